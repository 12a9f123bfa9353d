"""What runs the networks of a restoration: ONNX Runtime, or torch where a GPU or weights of one's own ask for it."""

from .choice import Choice, choose, has_torch
from .networks import Network
from .sessions import one_thread_each, open_session, options, threads
from .unmaskers import Inverter

__all__ = [
    "Choice",
    "Inverter",
    "Network",
    "choose",
    "has_torch",
    "one_thread_each",
    "open_session",
    "options",
    "threads",
]
