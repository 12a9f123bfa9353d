"""Embeddings of every view of every picture, kept by content."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import engines, images
from ...faces import align
from ...recognition import Recognizer
from ..store import Store, content, source_hash
from .views import CLEAN, MASKED, SIMULATE, RenderedView, ViewRenderer

__all__ = ["Embedded", "embed"]

BATCH = 8  # pictures: what a network makes of so few stays in a processor's cache
SAVE_EVERY = 512  # pictures

# recognizer, view, and for each picture its embedding (None without a face) and a note
_Found = tuple[str, str, list[NDArray[np.float32] | None], list[dict[str, Any]]]


@dataclass(frozen=True)
class Embedded:
    """Embeddings [N,D] by recognizer and view, NaN where no face was found, and a note per picture and view."""

    keys: list[str]
    vectors: dict[tuple[str, str], NDArray[np.float32]]
    notes: dict[str, list[dict[str, Any]]]
    computed: int  # pictures that were not in the cache
    sha256: str  # of all pictures, and their masked versions, in order

    def missing(self, recognizer: str, view: str) -> list[str]:
        """The pictures without a face in a view."""
        vectors = self.vectors[recognizer, view]
        return [key for key, vector in zip(self.keys, vectors, strict=True) if np.isnan(vector).any()]


def embed(
    renderer: ViewRenderer,
    keys: Sequence[str],
    recognizers: Sequence[Recognizer],
    fingerprints: dict[str, str],
    cache: str | Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Embedded:
    """Embed all views of all pictures by all recognizers.

    ``fingerprints`` name what the views depend on besides the pictures: the detector, the segmenter.
    """
    stores = {
        (r.name, view): Store(_way(renderer, view, r, fingerprints), cache)
        for r in recognizers
        for view in renderer.views()
    }
    ids = {key: _identity(renderer, key) for key in keys}
    todo = [key for key in keys if any(ids[key] not in store for store in stores.values())]
    if progress is not None:
        progress(len(keys) - len(todo))
    views = [v for v in renderer.views() if any(ids[k] not in stores[r.name, v] for r in recognizers for k in todo)]

    def work(batch: Sequence[str]) -> list[_Found]:
        rendered = renderer.render(batch, views)
        return [_embed_views(r, view, rendered[view]) for r in recognizers for view in views]

    since = 0
    for batch, found in _side_by_side(work, [todo[i : i + BATCH] for i in range(0, len(todo), BATCH)]):
        for name, view, vectors, notes in found:
            for key, vector, note in zip(batch, vectors, notes, strict=True):
                stores[name, view].put(ids[key], vector, note)
        since += len(batch)
        if since >= SAVE_EVERY:
            _save(stores)
            since = 0
        if progress is not None:
            progress(len(batch))
    _save(stores)
    return _collect(list(keys), recognizers, ids, stores, len(todo))


def _side_by_side(
    work: Callable[[Sequence[str]], list[_Found]], batches: Sequence[Sequence[str]]
) -> Iterator[tuple[Sequence[str], list[_Found]]]:
    """Batches and what was made of them, in order, a few at once.

    A thread a core works, each on a batch of its own and alone in it: small operations hardly gain from several
    threads, and lose much where these wait for each other.
    """
    threads = engines.threads()
    with engines.one_thread_each(), ThreadPoolExecutor(threads) as pool:
        ahead: deque[tuple[Sequence[str], Future[list[_Found]]]] = deque()
        for batch in batches:
            ahead.append((batch, pool.submit(work, batch)))
            if len(ahead) > 2 * threads:
                yield ahead[0][0], ahead[0][1].result()
                ahead.popleft()
        while ahead:
            yield ahead[0][0], ahead[0][1].result()
            ahead.popleft()


def _way(renderer: ViewRenderer, view: str, recognizer: Recognizer, fingerprints: dict[str, str]) -> str:
    """Everything that an embedding of a view depends on, apart from the picture."""
    package = Path(__file__).resolve().parents[2]
    faces = package / "faces"
    files = [faces / "align.py", faces / "detect.py"]
    if view != CLEAN:
        files = [*faces.glob("*.py"), *(package / "simulation").glob("*.py")]
    files += [file for room in ("images", "recognition") for file in (package / room).glob("*.py")]
    parts: list[object] = [view == CLEAN, recognizer.fingerprint, renderer.aligned, fingerprints.get("detector")]
    if view != CLEAN:
        files.append(package / "evaluation" / "verification" / "views.py")
        parts += [renderer.points, renderer.masks is None, renderer.seed if renderer.masks is None else None]
        if renderer.cover == SIMULATE:
            files = [file for file in files if file.name != "patches.py"]
        else:
            parts.append(renderer.cover)
    if view not in (CLEAN, MASKED):
        restorer = next(r for r in renderer.restorers if r.name == view)
        parts += [restorer.fingerprint, renderer.segmenter is None]
        parts += [fingerprints.get("segmenter"), fingerprints.get("landmarker")]
        files += [file for room in ("engines", "models", "ops", "restore") for file in (package / room).glob("*.py")]
        files += [package / "evaluation" / name for name in ("baselines.py", "linear.py")]
    elif view == MASKED:
        unused = {"blend.py", "tone.py", "segment.py", "landmarks.py"}
        unused |= {"occluders.py"} if renderer.cover == SIMULATE else set()
        files = [file for file in files if file.name not in unused]
    return content(source_hash(files), *parts)


def _identity(renderer: ViewRenderer, key: str) -> str:
    """What tells one picture from another: its bytes, its name (which seeds its mask), its masked version's bytes."""
    parts: list[object] = [renderer.pictures.read(key), key]
    if renderer.masks is not None:
        name = renderer.masks.find(key) or renderer.masks.find(key.rsplit(".", 1)[0])
        parts.append(renderer.masks.read(name) if name else None)
    return content(*parts)


def _embed_views(recognizer: Recognizer, view: str, rendered: Sequence[RenderedView]) -> _Found:
    there = [(i, image.pixels, image.kps) for i, image in enumerate(rendered) if image.kps is not None]
    vectors: list[NDArray[np.float32] | None] = [None] * len(rendered)
    if there:
        crops = [align.crop_face(p, kps, recognizer.template, recognizer.size)[0] for _, p, kps in there]
        found = recognizer.embed(images.to_float(np.stack(crops)))
        for (i, _, _), vector in zip(there, found, strict=True):
            vectors[i] = vector
    return recognizer.name, view, vectors, [image.note for image in rendered]


def _save(stores: dict[tuple[str, str], Store]) -> None:
    for store in stores.values():
        store.save()


def _collect(
    keys: list[str],
    recognizers: Sequence[Recognizer],
    ids: dict[str, str],
    stores: dict[tuple[str, str], Store],
    computed: int,
) -> Embedded:
    vectors, notes = {}, {}
    for (name, view), store in stores.items():
        held = [store.get(ids[key]) for key in keys]
        size = next((len(v) for v, _ in held if v is not None), 1)
        table = np.full((len(keys), size), np.nan, np.float32)
        for row, (vector, _) in enumerate(held):
            if vector is not None:
                table[row] = vector
        vectors[name, view] = table
        if name == recognizers[0].name:
            notes[view] = [note or {} for _, note in held]
    return Embedded(keys, vectors, notes, computed, content(*(ids[key] for key in keys)))
