"""Simulated face masks on every face of photos: the work of ``unmask simulate``."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__, images, progress
from ..errors import NoFaceError
from ..simulation.simulate import sample_garment, simulate
from . import jobs as many_jobs
from . import plan
from .jobs import Job

if TYPE_CHECKING:
    from ..faces.detect import Detector

STATEMENT = "The face mask in this picture was drawn by software; the photo showed a bare face."


def mask_faces(
    job: Job, detector: Detector, fixed: dict[str, Any], seed: int, save_region: bool, overwrite: bool
) -> str | None:
    """Put a face mask on every face of one picture and write it; the line to print. NoFaceError where there is none."""
    many_jobs.refuse_existing([job.target, *([job.beside("region")] if save_region else [])], overwrite)
    photo = images.read(job.source if job.source is not None else job.read())
    faces = detector.detect(photo.pixels)
    if not faces:
        raise NoFaceError(f"{job.name}: no face found; give a photo in which the eyes can be seen")
    rng = np.random.default_rng([seed, zlib.crc32(job.source.name.encode() if job.source else b"")])
    pixels, region, kinds = photo.pixels, np.zeros(photo.pixels.shape[:2], np.float32), []
    for face in faces:
        covered = simulate(pixels, face.kps, rng, sample_garment(rng, **fixed))
        pixels, region = covered.image, np.maximum(region, covered.region)
        kinds.append(covered.garment.kind if covered.garment else "")
    note = {"statement": STATEMENT, "software": f"unmask {__version__}"}
    if job.target is None:
        plan.to_stdout(images.encode(photo, pixels, note))
    else:
        images.write(photo, pixels, job.target, note)
    if save_region:
        gray = images.read((region * 255).round().astype(np.uint8))
        images.write(gray, gray.pixels, job.beside("region"))
    return f"{job.name} -> {job.target}  ({', '.join(kinds)})" if job.target and not progress.quiet() else None
