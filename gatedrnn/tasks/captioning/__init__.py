"""Captions of images and recordings."""

from __future__ import annotations

from gatedrnn import lazy

_MODULES = {
    "BackboneEncoder": "model",
    "CaptionDataset": "data",
    "CaptionSets": "data",
    "Captioner": "model",
    "FeatureEncoder": "model",
    "ImageEncoder": "model",
    "RecurrentSoundEncoder": "model",
    "SoundEncoder": "model",
    "describe": "apply",
    "draw_attention": "apply",
    "find_sources": "apply",
    "load_captioner": "bundle",
    "simulate": "data",
    "train_captioner": "train",
}
__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
