"""Corpora of labelled sentences and images."""
