"""Signals and corpora made by rule, for demonstrations and tests. Knows no model."""
