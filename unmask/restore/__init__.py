"""From a photo with a masked face to the photo without: locate, fill, paste."""

from .restorer import STATEMENT, Restorer
from .results import Restored, RestoredFace

__all__ = ["STATEMENT", "Restored", "RestoredFace", "Restorer"]
