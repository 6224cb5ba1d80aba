"""Bundles: trained models as folders of a config, weights and tokens, which execute nothing."""

from gatedrnn import lazy

_MODULES = {"BundleConfig": "format", "BundleKind": "kind", "ModelSpec": "kind"}
__all__ = list(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
