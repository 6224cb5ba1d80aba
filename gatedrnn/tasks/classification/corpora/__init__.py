"""Labelled images and sentences, and word vectors."""

from __future__ import annotations

from gatedrnn import lazy

_MODULES = {
    "read_images": "images",
    "read_sentences": "sentences",
    "read_vectors": "sentences",
    "sets_as_sequences": "images",
}
__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
