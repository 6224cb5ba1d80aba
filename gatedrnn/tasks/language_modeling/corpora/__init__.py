"""Corpora of running text."""
