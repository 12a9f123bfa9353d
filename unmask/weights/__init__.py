"""Weights: the table of known checkpoints, packs of others, and other layouts brought over."""

from .building import build
from .onnx_files import fingerprint
from .table import (
    FORMAT,
    INDEX,
    MAX_HEADER,
    RECOGNIZER,
    Checkpoint,
    Row,
    check,
    default_folder,
    fill,
    find,
    locate,
    read,
    register,
    row_of,
    rows,
    save,
    verify,
)

__all__ = [
    "FORMAT",
    "INDEX",
    "MAX_HEADER",
    "RECOGNIZER",
    "Checkpoint",
    "Row",
    "build",
    "check",
    "default_folder",
    "fill",
    "find",
    "fingerprint",
    "locate",
    "read",
    "register",
    "row_of",
    "rows",
    "save",
    "verify",
]
