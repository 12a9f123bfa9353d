"""Face verification and restoration quality, measured."""
