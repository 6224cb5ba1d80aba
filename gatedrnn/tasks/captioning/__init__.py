"""Captions of images and recordings."""

from __future__ import annotations

from gatedrnn import lazy

_MODULES = {
    "BackboneEncoder": "encoders",
    "CaptionDataset": "data",
    "CaptionSets": "data",
    "Captioner": "model",
    "FeatureEncoder": "encoders",
    "ImageEncoder": "encoders",
    "RecurrentSoundEncoder": "encoders",
    "SoundEncoder": "encoders",
    "describe": "apply",
    "draw_attention": "apply",
    "find_sources": "apply",
    "load_captioner": "bundle",
    "simulate": "data",
    "train_captioner": "train",
}
__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
