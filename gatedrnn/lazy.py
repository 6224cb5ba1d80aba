"""Late imports: public names of a package when they are used, and optional packages."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


def attributes(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package; ``modules``: public name -> module that defines it."""

    def getattr_(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return getattr_


class MissingExtraError(ImportError):
    """An optional package is not installed; the message names the extra to install."""


def require(module: str, what: str, extra: str, package: str = "") -> ModuleType:
    """Imports an optional package that ``extra`` of this package installs.

    ``what``: what needs it, in plural, for the message; ``package``: its name, if it is not that
    of the module.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'{what} need {package or module}: pip install "gatedrnn[{extra}]"'
        ) from error
