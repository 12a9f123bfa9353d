"""Every number of every config has its range, and what lies outside names its key before anything is read."""

from __future__ import annotations

import dataclasses
import importlib
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any

import pytest

from unmask.errors import UsageError
from unmask.training import TASKS, read_config

BAD = ("nan", "inf", "-inf", "-1e13", "1e30", "-999999999999999", "9" * 5000, "", "x", "[1]", "{a: 1}")


def schema(task: str) -> type:
    return importlib.import_module(f"unmask.{TASKS[task]}").Config


def fields(kind: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and annotations of all fields, groups opened."""
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        if dataclasses.is_dataclass(hint):
            yield from fields(hint, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", hint


def numbers(hint: Any, ranged: bool = False) -> Iterator[bool]:
    """For every int or float in an annotation, whether it has a range."""
    if hint in (int, float):
        yield ranged
    elif typing.get_origin(hint) is Annotated:
        yield from numbers(typing.get_args(hint)[0], True)
    elif typing.get_origin(hint) in (tuple, dict, typing.Union, types.UnionType):
        for inner in typing.get_args(hint):
            yield from numbers(inner)


@pytest.mark.parametrize("task", TASKS)
def test_every_number_has_a_range(task: str) -> None:
    bare = [name for name, hint in fields(schema(task)) if not all(numbers(hint))]
    assert not bare
    assert sum(any(True for _ in numbers(hint)) for _, hint in fields(schema(task))) > 10


@pytest.mark.parametrize("task", TASKS)
def test_what_is_out_of_range_names_its_key(task: str) -> None:
    for name, hint in fields(schema(task)):
        if not any(True for _ in numbers(hint)):
            continue
        listed = typing.get_origin(typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint) is tuple
        optional = typing.get_origin(hint) in (typing.Union, types.UnionType)
        for bad in BAD:
            if optional and not bad:
                continue
            value = f"[{bad}]" if listed and bad[:1] not in ("[", "{") else bad
            if listed and value in ("[1]", "[]"):
                continue
            with pytest.raises(UsageError) as caught:
                read_config(f"mini-{task}", [f"{name}={value}"])
            assert name in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("task", "setting", "told"),
    [
        ("unmasker", "batch_size=0", "batch_size is 0; it is from 1 to 65536"),
        ("unmasker", "checkpoint_every=0", "checkpoint_every is 0"),
        ("unmasker", "log_every=0", "log_every is 0"),
        ("unmasker", "lr=nan", "lr is 'nan'; it is a float"),
        ("unmasker", "workers=0", "workers is 0"),
        ("unmasker", "window=1000", "window is 1000; it is a power of two from 8 to 1024"),
        ("unmasker", "window=256", "window is 256; it is at most model.img_resolution"),
        ("unmasker", "model.img_resolution=50", "model.img_resolution is 50; it is a power of two"),
        ("unmasker", "model.channels=[]", "model.channels is (); it takes 1 to 16 entries"),
        ("unmasker", "model.channels=[4, 4]", "model.channels has 2 entries; 128 px takes 6"),
        ("unmasker", "model.skips=[16]", "model.gated is [64]; it names some of skips"),
        ("unmasker", "jitter_share=1.5", "jitter_share is 1.5; it is from 0 to 1"),
        ("generator", "discriminator=[8]", "discriminator has 1 entries"),
        ("unmasker", "model.conv_clamp=0", "model.conv_clamp is 0.0; it is above 0"),
        ("generator", "precision=fp16", "precision is 'fp16'; it can be auto, fp32, bf16"),
        ("detector", "size=100", "size is 100; it is a multiple of 32"),
        ("segmenter", "model.ups=[3]", "model.depths has an entry for each of widths"),
        ("recognizer", "model.head=x", "model.head is 'x'"),
        ("recognizer", "model.depths=[2]", "model.widths has 4 entries"),
        ("g2d", "seed=-1", "seed is -1"),
        ("from", "model.grid=0", "model.grid is 0"),
    ],
)
def test_values_that_used_to_end_in_a_traceback(task: str, setting: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_config(f"mini-{task}", [setting])
    assert told in str(caught.value)
