"""Benchmarks of recurrent networks against those of other libraries."""

from gatedrnn import lazy

_MODULES = {
    "Benchmark": "implementations",
    "Implementation": "implementations",
    "Shape": "implementations",
    "Timing": "implementations",
    "peak_memory": "implementations",
}
__all__ = list(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
