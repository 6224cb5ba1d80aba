"""Tasks: one folder each, above the layers that they share."""
