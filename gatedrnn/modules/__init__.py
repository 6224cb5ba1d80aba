"""Building blocks of models: features, subsampling, softmax layers, initial values."""

from __future__ import annotations

from gatedrnn import lazy

_MODULES = {
    "AdaptiveSoftmax": "softmax",
    "ConvSubsampling": "subsampling",
    "DropoutRates": "dropout",
    "FrameStacking": "subsampling",
    "FullSoftmax": "softmax",
    "LogMel": "features",
    "init_weights": "initialisation",
    "size_for": "parameter_budget",
}
__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
