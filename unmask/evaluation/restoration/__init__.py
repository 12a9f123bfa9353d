"""How near restored faces come to the true ones."""
