"""Modules built around recurrences, in the place of SpeechBrain's of the same name."""

from gatedrnn.lobes.attentional_decoder import AttentionalRNNDecoder
from gatedrnn.lobes.encoders import CRDNN, ESPnetVGG, LengthsToRecurrence
from gatedrnn.lobes.language_model import RNNLM

__all__ = ["CRDNN", "RNNLM", "AttentionalRNNDecoder", "ESPnetVGG", "LengthsToRecurrence"]
