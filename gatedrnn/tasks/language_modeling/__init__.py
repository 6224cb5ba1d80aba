"""Language models, their evaluation, and rescoring of n-best lists."""
