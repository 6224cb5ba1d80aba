"""Building blocks of models: features, subsampling, softmax layers, initial values."""

from __future__ import annotations

from gatedrnn import lazy

_MODULES = {
    "AdaptiveSoftmax": "softmax",
    "ConvSubsampling": "features",
    "DropoutRates": "network_options",
    "FrameStacking": "features",
    "FullSoftmax": "softmax",
    "LogMel": "features",
    "build_stack": "network_options",
    "init_weights": "network_options",
    "size_for": "network_options",
}
__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
