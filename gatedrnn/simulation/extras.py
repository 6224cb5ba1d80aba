"""The packages that simulation needs and nothing else does."""

from __future__ import annotations

import importlib
from types import ModuleType

from gatedrnn.data.errors import MissingExtraError


def need(module: str) -> ModuleType:
    """Imports an optional package.

    Arguments
    ---------
    module : str
        What to import.

    Returns
    -------
    ModuleType

    Raises
    ------
    ImportError
        If it is not installed; the message says what to install.

    Example
    -------
    >>> need("json").__name__
    'json'
    >>> need("no_such_package")
    Traceback (most recent call last):
    ...
    ImportError: simulated meetings need no_such_package: pip install "gatedrnn[demo]"
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'simulated meetings need {module}: pip install "gatedrnn[demo]"'
        ) from error
