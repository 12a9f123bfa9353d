"""Config fields: each says what it is, each is set by a shipped config or has a reason, and their number is held."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from docs.hooks.config_fields import fields, schema
from unmask import config
from unmask.training import TASKS

CONFIGS = Path(__file__).resolve().parents[2] / "unmask" / "configs"
MOST = 151
# Set by no shipped config, and yet a user's to set.
KEPT = {
    "training.loop.RunConfig.data": "one's own folder",
    "training.loop.RunConfig.seed": "another run of the same recipe",
    "training.loop.RunConfig.max_minutes": "a machine that is lent by the hour",
    "training.loop.RunConfig.precision": "a machine where auto is wrong",
    "training.loop.RunConfig.threads": "a machine that is shared",
    "training.loop.RunConfig.workers": "a machine with more cores",
    "training.tasks.generator.Config.start": "the second run of docs/training.md starts from the unmasker",
    "training.shapes.Network.conv_clamp": "generators of StyleGAN2-ADA have one",
    "training.tasks.unmasker.Config.lr_discriminator": "the pack's own run turned it",
    "training.tasks.unmasker.Config.generator": "one's own generator, as in the papers",
    "training.tasks.segmenter.Config.worn_labels": "real face masks from the second round on",
    "training.paired.Config.val_faces": "how long a validation may take",
    "training.tasks.recognizer.Config.start": "going on from the pack's weights",
    "g2d.config.Config.recognizer": "a shorter way to a reformer",
    "from_net.config.Network.scales": "an ablation of the paper",
    "from_net.config.Network.frozen": "a recognizer that is not to change",
    "training.tasks.segmenter.Config.start": "going on from the pack's weights",
}


def _set(content: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in content.items():
        yield from _set(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [prefix + key]


def test_every_field_says_what_it_is() -> None:
    bare = {field.key for task in TASKS for field in fields(schema(task)) if not field.doc}
    assert not bare, sorted(bare)


def test_every_field_is_set_by_a_shipped_config_or_has_a_reason() -> None:
    used: dict[str, set[str]] = {task: set() for task in TASKS}
    for path in CONFIGS.glob("*.yaml"):
        content = config.read(path)
        used[content["task"]].update(_set(content))
    known, touched = set(), set()
    for task in TASKS:
        for field in fields(schema(task)):
            known.add(field.key)
            touched |= {field.key} if field.name in used[task] else set()
    assert known - touched == set(KEPT)


def test_the_number_of_fields_is_held() -> None:
    keys = {field.key for task in TASKS for field in fields(schema(task))}
    assert len(keys) <= MOST


def test_a_default_that_differs_keeps_the_words_of_its_base() -> None:
    @dataclasses.dataclass(frozen=True)
    class Base:
        size: int = 1
        """How large."""

    @dataclasses.dataclass(frozen=True)
    class Own(Base):
        size: int = 2

    (field,) = fields(Own)
    assert (field.name, field.default, field.doc, field.owner) == ("size", 2, "How large.", Base)
