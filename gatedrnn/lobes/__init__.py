"""Modules built around recurrences, in the place of SpeechBrain's of the same name."""

from gatedrnn.lobes.acoustic_model import CTCModel
from gatedrnn.lobes.attention_model import AttentionModel
from gatedrnn.lobes.attentional_decoder import AttentionalRNNDecoder
from gatedrnn.lobes.classifier import SequenceClassifier, WordEmbedding
from gatedrnn.lobes.encoders import CRDNN, ESPnetVGG, LengthsToRecurrence
from gatedrnn.lobes.features import LogMel
from gatedrnn.lobes.language_model import RNNLM
from gatedrnn.lobes.sequence_model import SequenceModel
from gatedrnn.lobes.subsampling import ConvSubsampling, FrameStacking
from gatedrnn.lobes.text_model import TextModel
from gatedrnn.lobes.transducer_model import TransducerModel

__all__ = [
    "CRDNN",
    "RNNLM",
    "AttentionModel",
    "AttentionalRNNDecoder",
    "CTCModel",
    "ConvSubsampling",
    "ESPnetVGG",
    "FrameStacking",
    "LengthsToRecurrence",
    "LogMel",
    "SequenceClassifier",
    "SequenceModel",
    "TextModel",
    "TransducerModel",
    "WordEmbedding",
]
