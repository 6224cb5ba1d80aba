"""Captioners: encoders of images and recordings, and a decoder around any recurrence."""

from gatedrnn.lobes.captions.attention import AttentionOptions
from gatedrnn.lobes.captions.backbone import BackboneEncoder
from gatedrnn.lobes.captions.captioner import Captioner
from gatedrnn.lobes.captions.decoder import (
    CaptionDecoder,
    CaptionOutput,
    DecoderState,
    select_state,
)
from gatedrnn.lobes.captions.encoders import FeatureEncoder, ImageEncoder, MemoryEncoder
from gatedrnn.lobes.captions.memory import Memory
from gatedrnn.lobes.captions.sounds import RecurrentSoundEncoder, SoundEncoder
from gatedrnn.lobes.captions.specification import CaptionerSpec

__all__ = [
    "AttentionOptions",
    "BackboneEncoder",
    "CaptionDecoder",
    "CaptionOutput",
    "Captioner",
    "CaptionerSpec",
    "DecoderState",
    "FeatureEncoder",
    "ImageEncoder",
    "Memory",
    "MemoryEncoder",
    "RecurrentSoundEncoder",
    "SoundEncoder",
    "select_state",
]
