"""Scores of recognisers: error rates, intervals and significance, files for NIST's sclite."""

from __future__ import annotations

import importlib
from typing import Any

#: Public name -> module, imported when the name is used: NumPy and SciPy take seconds.
_PUBLIC = {
    "Options": "measures",
    "Score": "measures",
    "Transcript": "transcript",
    "Transcripts": "transcript",
    "compare": "comparison",
    "read": "formats",
    "score": "measures",
    "score_meetings": "cpwer",
    "write_files": "nist",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
