"""Encoder-decoder models around any recurrence: attention, decoder, search and training.

The function ``search.search`` is not listed here: it would hide its module.
"""

from __future__ import annotations

from gatedrnn import lazy

_MODULES = {
    "AdditiveAttention": "decoder_cells",
    "AttentionOptions": "decoder_cells",
    "Decoder": "decoder",
    "DecoderOutput": "decoder",
    "Encoder": "encoder",
    "EncoderDecoder": "model",
    "EncoderOutput": "encoder",
    "SampledSequences": "search",
    "ScheduledSampling": "brain",
    "SearchHypothesis": "search",
    "SearchOptions": "search",
    "Seq2SeqBrain": "brain",
    "TeacherForcingOutput": "model",
    "beam_search": "search",
    "diverse_beam_search": "search",
    "greedy": "search",
    "sample": "search",
    "sampled_log_probs": "search",
}
__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
