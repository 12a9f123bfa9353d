"""From a photo with a masked face to the photo without: locate, fill, paste."""

from .restorer import Restorer
from .results import STATEMENT, Restored, RestoredFace

__all__ = ["STATEMENT", "Restored", "RestoredFace", "Restorer"]
