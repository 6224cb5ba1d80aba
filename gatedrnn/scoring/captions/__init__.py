"""Scores of captioners: BLEU, ROUGE-L and CIDEr in Python, METEOR and SPICE where Java is."""

from gatedrnn.dataio.captions.tokeniser import tokenize
from gatedrnn.scoring.captions.cider import Cider, Frequencies
from gatedrnn.scoring.captions.files import Captions, read
from gatedrnn.scoring.captions.measures import CaptionScore, Options, score

__all__ = [
    "CaptionScore",
    "Captions",
    "Cider",
    "Frequencies",
    "Options",
    "read",
    "score",
    "tokenize",
]
