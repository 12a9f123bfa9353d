"""What the page asks of the library gives the very pixels that the library gives, and reads the upload once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.web.conftest import encoded
from unmask import images
from unmask.restore import Restorer
from unmask.web import work


def test_samples_are_the_librarys(restorer: Restorer) -> None:
    made = work.restore(restorer, encoded(), 10**6, samples=3, seed=7)
    whole = restorer.restore(encoded(), samples=3, seed=7)
    for k, one in enumerate(made.samples):
        assert np.array_equal(images.read(one.file.data).pixels, whole.sample(k))
    assert made.nbytes > sum(len(one.file.data) for one in made.samples)


def test_the_guess_that_is_the_single_one_has_its_pixels(restorer: Restorer) -> None:
    """The grain of the paste follows the seed for samples too."""
    single = images.read(work.restore(restorer, encoded(), 10**6, seed=7).samples[0].file.data).pixels
    several = work.restore(restorer, encoded(), 10**6, seed=7, samples=4).samples
    apart = [np.abs(images.read(one.file.data).pixels.astype(int) - single).max() for one in several]
    assert min(apart) <= 1  # samples are kept in whole levels; another seed's grain is 9 off


@pytest.mark.parametrize("samples", [1, 3])
def test_an_upload_is_decoded_once(restorer: Restorer, monkeypatch: pytest.MonkeyPatch, samples: int) -> None:
    photo, read = encoded(), []
    real = images.read

    def counted(image: Any, *args: Any, **options: Any) -> images.Photo:
        read.append(image is photo)
        return real(image, *args, **options)

    monkeypatch.setattr(images, "read", counted)
    work.restore(restorer, photo, 10**6, samples=samples)
    assert sum(read) == 1


def test_found_regions_are_those_that_are_restored(restorer: Restorer) -> None:
    """A region that goes out and comes back unchanged restores the same face, but for the view's rounding."""
    import base64

    found = work.find(restorer, encoded(), 10**6)
    region = base64.b64decode(found.faces[0]["region"])
    drawn = images.read(work.restore(restorer, encoded(), 10**6, region=region).samples[0].file.data).pixels
    itself = images.read(work.restore(restorer, encoded(), 10**6).samples[0].file.data).pixels
    inside = np.s_[55:75, 40:80]
    assert np.abs(drawn[inside].astype(int) - itself[inside]).max() <= 8
