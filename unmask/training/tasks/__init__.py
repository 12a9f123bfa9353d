"""One training task a file."""
