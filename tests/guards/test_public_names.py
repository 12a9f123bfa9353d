"""The public Python names and their signatures: changing one is a decision, never an accident."""

from __future__ import annotations

import inspect

import unmask


def test_top_level_names():
    assert sorted(unmask.__all__) == ["Restored", "Restorer", "UnmaskError", "__version__"]
    for name in unmask.__all__:
        assert getattr(unmask, name) is not None


def test_restorer_signatures():
    from unmask import Restored, Restorer

    opened = inspect.signature(Restorer.from_pretrained)
    assert list(opened.parameters)[:2] == ["name_or_path", "device"]
    assert opened.parameters["name_or_path"].default is None
    assert opened.parameters["device"].default == "auto"
    assert next(iter(inspect.signature(Restorer.restore).parameters)) == "self"
    assert {"image", "faces"} <= set(Restored.__dataclass_fields__)
    assert list(inspect.signature(Restorer.restore_many).parameters) == [
        "self", "images", "face", "regions", "seed", "outs", "overwrite", "samples",
    ]  # fmt: skip


def test_users_get_the_types():
    from importlib import resources

    assert (resources.files(unmask) / "py.typed").is_file()  # PEP 561: without it type checkers ignore the annotations
