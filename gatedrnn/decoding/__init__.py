"""Searches with recurrent networks of any kind."""

from gatedrnn.decoding.hypotheses import Hypothesis
from gatedrnn.decoding.transducer import TransducerBeamSearcher

__all__ = ["Hypothesis", "TransducerBeamSearcher"]
