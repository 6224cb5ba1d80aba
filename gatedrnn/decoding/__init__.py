"""Searches with recurrent networks of any kind."""

from gatedrnn.decoding.transducer import TransducerBeamSearcher

__all__ = ["TransducerBeamSearcher"]
