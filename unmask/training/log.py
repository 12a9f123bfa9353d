"""What a run writes of itself while it runs: JSON lines, and TensorBoard's events where that is installed."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import files
from ..errors import UnmaskError
from . import distributed


class Log:
    """JSON lines in ``log.jsonl`` and, where tensorboard is installed, its event files."""

    def __init__(self, folder: Path, first: int) -> None:
        self.start = time.monotonic()
        self.main = distributed.is_main()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.stream = (folder / "log.jsonl").open("a", encoding="utf-8") if self.main else None
        except OSError as error:
            raise UnmaskError(f"{folder}: cannot be written ({files.reason(error)}); give another out=FOLDER") from None
        self.board: Any = None
        if self.main:
            try:
                from torch.utils.tensorboard import SummaryWriter

                self.board = SummaryWriter(str(folder / "tb"), purge_step=first)
            except ImportError:
                pass

    def write(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """Append one line: step, kind ("train" or "val"), seconds since the start, and the values."""
        if self.stream is None:
            return
        figures = {k: round(v, 6) if math.isfinite(v) else None for k, v in values.items()}  # JSON knows no NaN
        line = {"step": step, "kind": kind, "seconds": round(time.monotonic() - self.start, 1), **figures}
        self.stream.write(json.dumps(line, allow_nan=False) + "\n")
        self.stream.flush()
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Close the files."""
        if self.stream is not None:
            self.stream.close()
        if self.board is not None:
            self.board.close()
