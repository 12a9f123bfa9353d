"""Folders of thousands: the pipeline, the manifest, and the one step that every engine runs."""
