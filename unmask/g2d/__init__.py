"""G2D (Ge et al. 2024): network, training and recognizer."""
