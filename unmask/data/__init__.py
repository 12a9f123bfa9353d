"""Faces and photos for training and measuring: sources, conversion, masked pairs, augmentation."""
