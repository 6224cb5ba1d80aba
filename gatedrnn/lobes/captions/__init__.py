"""Captioners: encoders of images and recordings, and a decoder around any recurrence."""

from gatedrnn.lobes.captions.attention import AttentionOptions
from gatedrnn.lobes.captions.captioner import Captioner
from gatedrnn.lobes.captions.decoder import (
    CaptionDecoder,
    CaptionOutput,
    DecoderState,
    select_state,
)
from gatedrnn.lobes.captions.encoders import FeatureEncoder, ImageEncoder, MemoryEncoder
from gatedrnn.lobes.captions.memory import Memory

__all__ = [
    "AttentionOptions",
    "CaptionDecoder",
    "CaptionOutput",
    "Captioner",
    "DecoderState",
    "FeatureEncoder",
    "ImageEncoder",
    "Memory",
    "MemoryEncoder",
    "select_state",
]
