"""Captions of images and recordings."""
