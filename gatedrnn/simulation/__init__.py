"""Synthetic signals and corpora for demonstrations and tests. Knows no model and no task."""

from __future__ import annotations

from gatedrnn import lazy

_MODULES = {
    "Acoustics": "meeting",
    "CorpusOptions": "corpus",
    "Scenes": "scenes",
    "Sounds": "scenes",
    "make_utterance": "small_sets",
    "plan_corpus": "corpus",
    "simulate_corpus": "corpus",
    "simulate_meeting": "meeting",
    "write_digits": "small_sets",
    "write_music": "small_sets",
    "write_parallel": "small_sets",
    "write_sentences": "small_sets",
}
__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
