"""Drop-in replacements for SpeechBrain's modules of the same name, around any recurrence."""

from gatedrnn import renamed
from gatedrnn.lobes.attentional_decoder import AttentionalRNNDecoder
from gatedrnn.lobes.encoders import CRDNN, ESPnetVGG, LengthsToRecurrence
from gatedrnn.lobes.language_model import RNNLM
from gatedrnn.lobes.transducer_search import TransducerBeamSearcher

__all__ = [
    "CRDNN",
    "RNNLM",
    "AttentionalRNNDecoder",
    "ESPnetVGG",
    "LengthsToRecurrence",
    "TransducerBeamSearcher",
]

# Names of earlier releases.
__getattr__ = renamed.attributes_of(__name__)
