"""Classification of sequences: images row by row, sentences, frames."""

from __future__ import annotations

from gatedrnn import lazy

_MODULES = {
    "ClassifierBundle": "bundle",
    "LabelledSet": "data",
    "SequenceClassifier": "model",
    "Splits": "data",
    "WordEmbedding": "model",
    "classify": "apply",
    "load_classifier": "bundle",
    "read_inputs": "apply",
    "train_classifier": "train",
}
__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
