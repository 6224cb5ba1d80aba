"""Metrics of captions: BLEU, ROUGE-L and CIDEr in Python; METEOR and SPICE with Java."""

from gatedrnn.tasks.captioning.metrics.ngrams import (
    BleuCounts,
    Cider,
    DocumentFrequencies,
    rouge_l,
)
from gatedrnn.tasks.captioning.metrics.scoring import (
    CaptionMetric,
    Captions,
    CaptionScore,
    CaptionScoreOptions,
    read_captions,
    score_captions,
)

__all__ = [
    "BleuCounts",
    "CaptionMetric",
    "CaptionScore",
    "CaptionScoreOptions",
    "Captions",
    "Cider",
    "DocumentFrequencies",
    "read_captions",
    "rouge_l",
    "score_captions",
]
