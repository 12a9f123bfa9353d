"""Options that several commands share, and the kinds of values that a person types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Shard(click.ParamType):
    """``I/N``: part I, from 1, of N."""

    name = "i/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Two numbers."""
        if isinstance(value, tuple):
            return value
        part, slash, parts = str(value).partition("/")
        if slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts):
            return int(part), int(parts)
        self.fail(f"{value!r} is not a part such as 2/8, from 1/8 to 8/8", param, ctx)


class FaceChoice(click.ParamType):
    """``all``, ``largest``, ``center``, or the number of a face."""

    name = "all|largest|center|n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | int:
        """The word, or the number as int."""
        if value in ("all", "largest", "center") or isinstance(value, int):
            return value
        if str(value).isdecimal():
            return int(value)
        self.fail(f"{value!r} is none of all, largest, center or a number from 0", param, ctx)


class Color(click.ParamType):
    """``#rrggbb`` or ``r,g,b``."""

    name = "#rrggbb"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int, int]:
        """Three numbers from 0 to 255."""
        if isinstance(value, tuple):
            return value
        text = str(value)
        try:
            parts = [int(text[i : i + 2], 16) for i in (1, 3, 5)] if text.startswith("#") else [
                int(part) for part in text.split(",")
            ]  # fmt: skip
        except ValueError:
            parts = []
        if len(parts) != 3 or not all(0 <= part <= 255 for part in parts) or (text[0] == "#" and text[7:]):
            self.fail(f"{value!r} is no color; give it as #87ceeb or 135,206,235", param, ctx)
        return parts[0], parts[1], parts[2]


inputs = click.argument("inputs", nargs=-1, required=True, metavar="IN...")
device = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
weights = click.option(
    "--weights", metavar="PATH", help="A run, a folder of weights or an unmasker's file, instead of the pack."
)
detector = click.option("--detector", metavar="NAME", help="insightface:PACK, or an ONNX file in SCRFD's layout.")
overwrite = click.option("--overwrite", is_flag=True, help="Replace files that exist.")
skip_existing = click.option("--skip-existing", is_flag=True, help="Leave out pictures whose result exists.")


def seed(of: str) -> Decorator:
    """``--seed``, with a word about what it is the seed of."""
    return click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help=of)


def out(mark: str) -> Decorator:
    """``-o`` of commands that write pictures, NAME.MARK.EXT where it is not given."""
    text = f"File, folder (trees are mirrored) or - for stdout; by default NAME.{mark}.EXT beside each input."
    return click.option("-o", "--out", metavar="PATH", help=text)
