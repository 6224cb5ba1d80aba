"""Captioning corpora: readers, manifests, media files, and their preparation."""

from __future__ import annotations

from gatedrnn import lazy

_MODULES = {
    "CaptionItem": "items",
    "MediaError": "items",
    "MediaOptions": "items",
    "load_media": "items",
    "prepare_captions": "prepare",
    "read_manifest": "items",
    "write_manifest": "items",
}
__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
