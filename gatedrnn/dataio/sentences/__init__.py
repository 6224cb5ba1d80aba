"""Sentences with labels, in the files in which the field passes them around; word vectors."""

from gatedrnn.dataio.sentences.layouts import DATASETS, read_sentences
from gatedrnn.dataio.sentences.lines import read_labelled
from gatedrnn.dataio.sentences.vectors import read_vectors

__all__ = ["DATASETS", "read_labelled", "read_sentences", "read_vectors"]
