"""Corpora of polyphonic music."""
