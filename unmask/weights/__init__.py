"""Weights: the table of known checkpoints, packs of others, and other layouts brought over."""

from .table import (
    FORMAT,
    INDEX,
    MAX_HEADER,
    Checkpoint,
    Row,
    check,
    default_folder,
    fill,
    find,
    fingerprint,
    read,
    register,
    rows,
    save,
    verify,
)

__all__ = [
    "FORMAT",
    "INDEX",
    "MAX_HEADER",
    "Checkpoint",
    "Row",
    "check",
    "default_folder",
    "fill",
    "find",
    "fingerprint",
    "read",
    "register",
    "rows",
    "save",
    "verify",
]
