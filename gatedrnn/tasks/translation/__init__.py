"""Translation of sentences."""

from __future__ import annotations

from gatedrnn import lazy

_MODULES = {
    "TokenEncoder": "model",
    "Translation": "apply",
    "TranslationScore": "metrics",
    "Translator": "model",
    "load_translator": "bundle",
    "score_translations": "metrics",
    "train_translator": "train",
    "translate": "apply",
}
__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
