"""Metrics of captions: BLEU, ROUGE-L and CIDEr in Python; METEOR and SPICE with Java."""
