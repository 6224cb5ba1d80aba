"""Models of polyphonic music: the keys of the next frame."""

from __future__ import annotations

from gatedrnn import lazy

_MODULES = {
    "MusicBundle": "bundle",
    "SequenceModel": "model",
    "continuation": "apply",
    "evaluate": "apply",
    "load_music_model": "bundle",
    "read_music": "corpora",
    "read_pieces": "apply",
    "train_music": "train",
}
__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
