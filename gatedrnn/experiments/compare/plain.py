"""Keys and values of a YAML file of plain data, with errors that name the file and the key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml

#: Stands for: there must be one.
_NEEDED = object()


def read_yaml(path: Path) -> Any:
    """Reads a file without executing anything in it.

    Arguments
    ---------
    path : Path
        A YAML file.

    Returns
    -------
    Any

    Raises
    ------
    FileNotFoundError
        If it is not there.
    ValueError
        If it is not YAML of plain data.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.yaml"
    >>> _ = path.write_text("seeds: [1, 2]")
    >>> read_yaml(path)
    {'seeds': [1, 2]}
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML of plain data: {error}") from error


def as_argument(value: Any) -> str:
    """A value as a recipe's command line takes it: YAML on one line.

    Arguments
    ---------
    value : Any
        Plain data.

    Returns
    -------
    str

    Example
    -------
    >>> [as_argument(v) for v in (0.5, "ran", True, None, {"output": "tanh"}, [1, 2], "1")]
    ['0.5', 'ran', 'true', '~', '{output: tanh}', '[1, 2]', "'1'"]
    """
    if value is None:
        return "~"  # recipes take null for a flag whose value was forgotten
    text = yaml.safe_dump(
        value, default_flow_style=True, width=math.inf, sort_keys=False, allow_unicode=True
    )
    return text.removesuffix("...\n").strip()


class Fields:
    """The keys of a mapping, taken one by one; what is left over at the end is a mistake.

    Arguments
    ---------
    given : Any
        What the file holds.
    path : Path
        The file; the files that it names are relative to it.
    place : tuple of str
        The keys that lead to it.

    Example
    -------
    >>> fields = Fields({"seed": 1, "lr": 2}, Path("a.yaml"))
    >>> fields.whole_number("seed")
    1
    >>> fields.finish()
    Traceback (most recent call last):
    ...
    ValueError: a.yaml: lr: there is no such key
    """

    def __init__(self, given: Any, path: Path, place: tuple[str, ...] = ()) -> None:
        self.path, self.place = path, place
        if not isinstance(given, Mapping):
            self.refuse((), f"must hold keys with values, not {given!r}")
        for key in given:
            if not isinstance(key, str):
                self.refuse((str(key),), "must be text: put it into quotation marks")
        self.given = dict(given)
        #: What has not been taken yet.
        self.left = dict(given)

    def refuse(self, key: tuple[str, ...], problem: str) -> NoReturn:
        """Raises the error of a key.

        Arguments
        ---------
        key : tuple of str
            From here.
        problem : str
            What is wrong, and what would be right.
        """
        where = ": ".join((*self.place, *(k for k in key if k)))
        raise ValueError(f"{self.path}: {where}: {problem}" if where else f"{self.path} {problem}")

    def finish(self) -> None:
        """Refuses what nobody has taken."""
        for key in self.left:
            self.refuse((key,), "there is no such key")

    def take(self, key: str, default: Any = _NEEDED) -> Any:
        """A value; one that is null counts as not given."""
        value = self.left.pop(key, None)
        if value is not None:
            return value
        if default is _NEEDED:
            self.refuse((key,), "is missing")
        return default

    def text(self, key: str, default: Any = _NEEDED) -> Any:
        """A text."""
        value = self.take(key, default)
        if value is not default and not isinstance(value, str):
            self.refuse((key,), f"must be text, not {value!r}")
        return value

    def texts(self, key: str, required: bool = False) -> list[str]:
        """A list of texts; a single one may stand by itself."""
        value = self.take(key, _NEEDED if required else [])
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            self.refuse((key,), f"must be a list of texts, not {value!r}")
        return value

    def whole_number(self, key: str, default: Any = _NEEDED) -> int:
        """A whole number."""
        value = self.take(key, default)
        if not _is_whole(value):
            self.refuse((key,), f"must be a whole number, not {value!r}")
        return value

    def whole_numbers(self, key: str) -> list[int]:
        """A list of whole numbers."""
        value = self.take(key)
        if not isinstance(value, list) or not all(_is_whole(v) for v in value):
            self.refuse((key,), f"must be a list of whole numbers, not {value!r}")
        return value

    def mapping(self, key: str | None) -> dict[str, Any]:
        """Names with values; those of this mapping that are left for ``None``."""
        if key is None:
            found, self.left = self.left, {}
            return found
        value = self.take(key, {})
        if not isinstance(value, dict) or not all(isinstance(k, str) for k in value):
            self.refuse((key,), f"must hold names with values, not {value!r}")
        return value

    def fields(self, key: str, required: bool = False) -> Fields | None:
        """A mapping whose keys are to be taken; ``None`` if it is not there."""
        there = key in self.left
        value = self.left.pop(key, None)
        if not there and not required:
            return None
        if not there:
            self.refuse((key,), "is missing")
        return Fields({} if value is None else value, self.path, (*self.place, key))

    def list_of_fields(self, key: str) -> list[Fields]:
        """A list of such mappings."""
        value = self.take(key, [])
        if not isinstance(value, list):
            self.refuse((key,), f"must be a list, not {value!r}")
        place = (*self.place, key)
        return [Fields(v, self.path, (*place, str(n))) for n, v in enumerate(value, 1)]

    def file(self, key: str, required: bool = False) -> Path | None:
        """A file that is there, relative to this one."""
        name = self.text(key, _NEEDED if required else None)
        if name is None:
            return None
        path = (self.path.parent / name).resolve()
        if not path.is_file():
            raise FileNotFoundError(
                f"{self.path}: {': '.join((*self.place, key))}: there is no file {path}"
            )
        return path


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
