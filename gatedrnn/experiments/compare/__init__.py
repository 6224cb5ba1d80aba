"""Tables of trainings: networks by seeds by data sets, with paired significance tests."""

from gatedrnn import lazy

_MODULES = {
    "Plan": "runs",
    "Runner": "runs",
    "Table": "specification",
    "read_table": "specification",
    "write_reports": "report",
}
__all__ = list(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
