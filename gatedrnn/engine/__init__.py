"""Runs any declared cell over time. Knows no speech, and no cell by name."""

import importlib.util
import pkgutil

from gatedrnn.engine import select
from gatedrnn.engine.naming import cell_to_text
from gatedrnn.engine.plan import DeclarationError, Plan, plan
from gatedrnn.engine.run import run
from gatedrnn.engine.select import explain
from gatedrnn.engine.trace import UnsupportedOperation
from gatedrnn.engine.types import Result

__all__ = [
    "DeclarationError",
    "Plan",
    "Result",
    "UnsupportedOperation",
    "cell_to_text",
    "explain",
    "plan",
    "run",
]

# Every folder in here is a runner, or several: their module `runner` lists them in RUNNERS.
for _found in pkgutil.iter_modules(__path__):
    _name = f"{__name__}.{_found.name}.runner"
    if _found.ispkg and importlib.util.find_spec(_name):
        for _runner in importlib.import_module(_name).RUNNERS:
            select.register(_runner)
