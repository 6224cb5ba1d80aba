"""Parallel text: sentences and their translations, in the layouts of corpora."""

from gatedrnn.dataio.parallel.layouts import LAYOUTS, read_parallel
from gatedrnn.dataio.parallel.pairs import Languages, Pairs, ParallelCorpus

__all__ = ["LAYOUTS", "Languages", "Pairs", "ParallelCorpus", "read_parallel"]
