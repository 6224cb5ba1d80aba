"""Synthetic signals and corpora for demonstrations and tests. Knows no model and no task."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_MODULES = {
    "Acoustics": "meeting",
    "CorpusOptions": "corpus",
    "Scenes": "scenes",
    "Sounds": "sounds",
    "make_utterance": "tones",
    "plan_corpus": "corpus",
    "simulate_corpus": "corpus",
    "simulate_meeting": "meeting",
    "write_digits": "small_sets",
    "write_music": "small_sets",
    "write_parallel": "small_sets",
    "write_sentences": "small_sets",
}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
