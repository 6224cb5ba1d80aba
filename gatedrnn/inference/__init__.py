"""A trained model in use: bundles, transcription, streaming."""

from gatedrnn.inference.bundle import Bundle, read_bundle, write_bundle
from gatedrnn.inference.export import export
from gatedrnn.inference.recogniser import Reading, Recogniser
from gatedrnn.inference.segmentation import SegmentationOptions
from gatedrnn.inference.sources import Item, find_items
from gatedrnn.inference.streamer import Streamer
from gatedrnn.inference.transcript import Segment, Transcript
from gatedrnn.inference.transcription import (
    Failure,
    TranscriptionOptions,
    transcribe,
    transcribe_file,
)

__all__ = [
    "Bundle",
    "Failure",
    "Item",
    "Reading",
    "Recogniser",
    "Segment",
    "SegmentationOptions",
    "Streamer",
    "Transcript",
    "TranscriptionOptions",
    "export",
    "find_items",
    "read_bundle",
    "transcribe",
    "transcribe_file",
    "write_bundle",
]
