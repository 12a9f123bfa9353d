"""Clips: frames in, restored frames out, and a mouth that does not flicker."""
