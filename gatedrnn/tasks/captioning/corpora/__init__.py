"""Corpora of images and recordings with captions."""
