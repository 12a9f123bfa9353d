"""Loss functions, one formula each."""
