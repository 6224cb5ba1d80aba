"""Scores of recognisers: error rates, intervals and significance, files for NIST's sclite."""

from gatedrnn import lazy

_MODULES = {
    "Options": "measures",
    "Score": "measures",
    "Transcript": "formats",
    "Transcripts": "formats",
    "compare": "comparison",
    "read": "formats",
    "score": "measures",
    "score_meetings": "measures",
    "write_files": "report",
}
__all__ = list(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
