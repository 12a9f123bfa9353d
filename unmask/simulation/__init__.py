"""Simulated face masks and other occluders, drawn on photos of bare faces."""
