"""Unmask: a plausible face for a photo of someone who wears a face mask, by GAN inversion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Restored", "Restorer", "UnmaskError", "__version__"]

from .errors import UnmaskError

if TYPE_CHECKING:
    from .restore import Restored, Restorer


def __getattr__(name: str) -> Any:
    """Import the heavy public names on first use, so that ``import unmask`` stays light."""
    if name in ("Restored", "Restorer"):
        from .restore import restorer

        return getattr(restorer, name)
    raise AttributeError(f"module 'unmask' has no attribute {name!r}")
