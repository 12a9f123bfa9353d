"""Folders of thousands and clips: the pipeline, the manifest, and the one step that every engine runs."""
