"""How much a language model counts, as a file: what rescoring has chosen, for those who use it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from gatedrnn.data.files import write_atomically
from gatedrnn.tasks.language_modeling.rescoring import Setting

#: Name of the file beside rescored lists.
SETTING = "setting.json"


def write_setting(path: str | Path, setting: Setting) -> None:
    """Writes a setting as JSON.

    Arguments
    ---------
    path : str or Path
        The file.
    setting : Setting
        The setting.
    """
    write_atomically(Path(path), json.dumps(asdict(setting)) + "\n")


def read_setting(path: str | Path) -> Setting:
    """Reads a setting.

    Arguments
    ---------
    path : str or Path
        The file, or the folder that ``gatedrnn rescore --output`` has written it to.

    Returns
    -------
    Setting

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If the file holds something else.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> write_setting(folder / SETTING, Setting(0.5, 1.0))
    >>> read_setting(folder)
    Setting(weight=0.5, insertion=1.0, internal=0.0)
    """
    path = Path(path)
    path = path / SETTING if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; gatedrnn rescore --output writes it")
    try:
        return setting_of(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(f"{path} does not hold a language model's weight: {error}") from error


def setting_of(data: Mapping[str, object]) -> Setting:
    """Makes a setting of plain data.

    Arguments
    ---------
    data : Mapping
        ``weight``, ``insertion`` and ``internal``; what is missing is 0.

    Returns
    -------
    Setting

    Raises
    ------
    ValueError
        If there is something else.
    """
    names = tuple(Setting.__dataclass_fields__)
    if not isinstance(data, Mapping) or set(data) - set(names):
        raise ValueError(f"it must be an object with {', '.join(names)}, not {data!r}")
    for name, value in data.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number, not {value!r}")
    return Setting(**{name: float(value) for name, value in data.items()})
