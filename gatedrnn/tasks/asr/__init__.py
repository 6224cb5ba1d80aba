"""Automatic speech recognition."""

from __future__ import annotations

from gatedrnn import lazy

_MODULES = {
    "Bundle": "bundle",
    "CTCModel": "model",
    "Failure": "apply",
    "Item": "inputs",
    "RecognitionResult": "apply",
    "Recognizer": "apply",
    "SearchOptions": "decode",
    "SegmentationOptions": "segmentation",
    "Streamer": "streaming",
    "Transcript": "writers",
    "TranscriptSegment": "writers",
    "TranscriptionOptions": "apply",
    "find_items": "inputs",
    "read_bundle": "bundle",
    "train_asr": "train",
    "transcribe": "apply",
    "transcribe_file": "apply",
    "write_bundle": "bundle",
}
__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
