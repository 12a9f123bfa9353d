"""The page in the browser and the REST endpoint: one process on this machine, one worker, nothing kept on disk."""
