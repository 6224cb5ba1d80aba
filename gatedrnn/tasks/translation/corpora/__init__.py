"""Corpora of parallel text."""
