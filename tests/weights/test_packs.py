"""The checked download, against a server on this machine."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from unmask.errors import UnmaskError, UsageError
from unmask.weights import packs


def zipped(**files: bytes) -> bytes:
    """A zip archive of the given files; ``__`` in a name stands for a slash, ``_`` before onnx for a dot."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            # ZipInfo has a fixed date: two test workers must collect the same bytes
            archive.writestr(zipfile.ZipInfo(name.replace("__", "/").replace("_onnx", ".onnx")), data)
    return stream.getvalue()


GOOD = zipped(det_onnx=b"detector", sub__rec_onnx=b"recognizer", readme=b"text")
SHA = hashlib.sha256(GOOD).hexdigest()


@pytest.fixture
def server() -> Iterator[str]:
    """A server that answers /good, /cut (a third of it) and 404 for the rest."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/missing":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(GOOD)))
            self.end_headers()
            self.wfile.write(GOOD if self.path == "/good" else GOOD[: len(GOOD) // 3])

        def log_message(self, *args: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_address[1]}"
    running.shutdown()
    running.server_close()


def test_a_download_with_the_right_hash_is_installed(server: str, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    target = packs.install(
        "mine",
        accepted=True,
        url=f"{server}/good",
        sha256=SHA.upper(),
        home=tmp_path,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert target == tmp_path / "mine"
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {
        "det.onnx": b"detector",
        "rec.onnx": b"recognizer",
    }
    assert seen[-1] == (len(GOOD), len(GOOD))
    with pytest.raises(UnmaskError, match="already there"):
        packs.install("mine", accepted=True, url=f"{server}/good", sha256=SHA, home=tmp_path)


@pytest.mark.parametrize(
    ("path", "sha256", "message"),
    [
        ("/good", "0" * 64, "its sha256 is"),
        ("/cut", SHA, "cut short|download failed"),
        ("/missing", SHA, "download failed"),
    ],
)
def test_a_failed_download_installs_nothing(server: str, tmp_path: Path, path: str, sha256: str, message: str) -> None:
    with pytest.raises(UnmaskError, match=message):
        packs.install("mine", accepted=True, url=server + path, sha256=sha256, home=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_listens(tmp_path: Path) -> None:
    with pytest.raises(UnmaskError, match="--from FILE"):
        packs.install("mine", accepted=True, url="http://127.0.0.1:9/x", sha256=SHA, home=tmp_path)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "http://127.0.0.1.example.org/x"])
def test_only_https_is_downloaded(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="only https"):
        packs.install("mine", accepted=True, url=url, sha256=SHA, home=tmp_path)


def test_the_license_is_shown_and_must_be_accepted(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"non-commercial research only.*--accept-license"):
        packs.install("buffalo_l", accepted=False, home=tmp_path)


def test_an_unknown_pack_needs_a_hash_or_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"known: buffalo_l.*--from FILE"):
        packs.install("other", accepted=True, home=tmp_path)
    with pytest.raises(UsageError, match="--sha256"):
        packs.install("other", accepted=True, url="https://example.org/x", home=tmp_path)
    with pytest.raises(UsageError, match="not the name"):
        packs.install("../other", accepted=True, home=tmp_path)
    with pytest.raises(UsageError, match="not the one of this pack"):
        packs.install("buffalo_l", accepted=True, sha256=SHA, home=tmp_path)


def test_a_local_archive(tmp_path: Path) -> None:
    archive = tmp_path / "pack.zip"
    archive.write_bytes(GOOD)
    assert packs.install("mine", accepted=True, archive=archive, home=tmp_path / "home").is_dir()
    with pytest.raises(UnmaskError, match="not 80ffe37d"):
        packs.install("buffalo_l", accepted=True, archive=archive, home=tmp_path / "home")
    for data, message in ((b"not a zip", "not a whole zip"), (zipped(readme=b""), "no ONNX model")):
        archive.write_bytes(data)
        with pytest.raises(UnmaskError, match=message):
            packs.install("bad", accepted=True, archive=archive, home=tmp_path / "home")
    with pytest.raises(UnmaskError, match="cannot be installed"):
        packs.install("bad", accepted=True, archive=tmp_path / "none.zip", home=tmp_path / "home")
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["mine"]


def test_packs_go_where_insightface_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSIGHTFACE_HOME", str(tmp_path))
    assert packs.folder() == tmp_path / "models"
