"""Encoder-decoder models around any recurrence: attention, decoder, search and training.

The function ``search.search`` is not imported here: it would hide its module.
"""

from gatedrnn.seq2seq.attention import AdditiveAttention, AttentionOptions
from gatedrnn.seq2seq.decoder import Decoder, DecoderOutput
from gatedrnn.seq2seq.encoder import Encoder, EncoderOutput
from gatedrnn.seq2seq.model import EncoderDecoder, TeacherForcingOutput
from gatedrnn.seq2seq.search import (
    SampledSequences,
    SearchHypothesis,
    SearchOptions,
    beam_search,
    diverse_beam_search,
    greedy,
    sample,
    sampled_log_probs,
)

__all__ = [
    "AdditiveAttention",
    "AttentionOptions",
    "Decoder",
    "DecoderOutput",
    "Encoder",
    "EncoderDecoder",
    "EncoderOutput",
    "SampledSequences",
    "SearchHypothesis",
    "SearchOptions",
    "TeacherForcingOutput",
    "beam_search",
    "diverse_beam_search",
    "greedy",
    "sample",
    "sampled_log_probs",
]
