"""Errors that are the user's to solve, beside ValueError and OSError."""

from __future__ import annotations

import importlib
from types import ModuleType


class MissingExtraError(ImportError):
    """An optional package is not installed; the message names the extra to install."""


def require(module: str, what: str, extra: str, package: str = "") -> ModuleType:
    """Imports an optional package.

    Arguments
    ---------
    module : str
        The module.
    what : str
        What needs it, in plural, for the message.
    extra : str
        The extra of this package that installs it.
    package : str
        Name of the package, if it is not that of the module.

    Returns
    -------
    ModuleType

    Raises
    ------
    MissingExtraError
        If it is not installed.

    Example
    -------
    >>> require("json", "notes", "demo").__name__
    'json'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'{what} need {package or module}: pip install "gatedrnn[{extra}]"'
        ) from error
