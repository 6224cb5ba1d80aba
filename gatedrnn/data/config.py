"""Configs as dataclasses: built from the mappings of files and checked against their type hints."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import math
import reprlib
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

__all__ = [
    "Choices",
    "Config",
    "ConfigError",
    "Options",
    "Range",
    "check_arguments",
    "from_mapping",
    "json_schema",
    "to_dict",
]

T = TypeVar("T")

_Scalar = bool | int | float | str | None
#: Free keyword arguments: names with numbers, texts, truth values, or lists of these.
Options = Mapping[str, _Scalar | list[_Scalar | list[_Scalar]]]


class ConfigError(ValueError):
    """A value of a config that is refused: ``<file>: <key> must be <right>, not <wrong>``."""


@dataclasses.dataclass(frozen=True)
class Range:
    """Bounds of a number, in ``Annotated[int, Range(1, 10)]``.

    Arguments
    ---------
    min, max : float
        The smallest and the largest value.
    below : bool
        ``max`` itself is refused, too.

    Example
    -------
    >>> from typing import Annotated
    >>> @dataclasses.dataclass(frozen=True)
    ... class Mine(Config):
    ...     dropout: Annotated[float, Range(0, 1, below=True)] = 0.0
    >>> Mine(1)
    Traceback (most recent call last):
    ...
    gatedrnn.data.config.ConfigError: dropout must be a number of at least 0 and below 1, not 1
    """

    min: float
    max: float
    below: bool = False


@dataclasses.dataclass(frozen=True)
class Choices:
    """The allowed values of a text, in ``Annotated[str, Choices("a", "b")]``."""

    values: tuple[str, ...]

    def __init__(self, *values: str) -> None:
        object.__setattr__(self, "values", values)


#: No number in a file may be larger, even where a hint has no bounds of its own.
_BOUNDS = {int: Range(-(1 << 31), 1 << 31), float: Range(-1e9, 1e9)}
_NAMED = "an object with named values"


class Config:
    """Base of frozen dataclasses that files describe; their fields are checked when they are made.

    Supported type hints are ``bool``, ``int``, ``float``, ``str``, ``None``, ``Any`` (not checked),
    unions, ``Literal``, ``list``, ``tuple``, ``Sequence``, ``Mapping`` and other dataclasses.
    Bounds and choices stand in ``Annotated``, or in the metadata of the field: ``{"min": 1, "max":
    8}``, ``{"choices": ("a", "b")}``; ``{"required": True}`` is a key that files must have although
    the field has a default, and ``{"min": 1}`` a text that is not empty.

    Example
    -------
    >>> @dataclasses.dataclass(frozen=True)
    ... class Search(Config):
    ...     beam_size: int = dataclasses.field(default=1, metadata={"min": 1, "max": 1000})
    >>> Search.from_dict({"beam_size": 4}, "a.json")
    Search(beam_size=4)
    >>> Search.from_dict({"beam": 4}, "a.json")
    Traceback (most recent call last):
    ...
    gatedrnn.data.config.ConfigError: a.json: unknown key 'beam'; did you mean 'beam_size'?
    """

    def __post_init__(self) -> None:
        for name, hint in _fields(type(self)).items():
            _convert(hint, getattr(self, name), name, False)

    @classmethod
    def from_dict(cls: type[T], data: Any, place: str = "") -> T:
        """See :func:`from_mapping`."""
        return from_mapping(cls, data, place)

    def to_dict(self) -> dict[str, Any]:
        """See :func:`to_dict`."""
        return to_dict(self)


def from_mapping(cls: type[T], data: Any, place: str = "", null_is_missing: bool = False) -> T:
    """Makes a dataclass of what a file holds.

    data: Content of the file, or of a key in it.
    place: The file and the key, for messages.
    null_is_missing: Whether a key whose value is null counts as a key that is not there, as in
        YAML files.
    Raises ConfigError: If a key is unknown or missing, or a value is not what its type hint
        says.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{_prefix(place)}must be {_NAMED}, not {_short(data)}")
    hints = _fields(cls)
    check_keys(data, hints, place)
    values = {}
    for field in dataclasses.fields(cls):
        name = field.name
        if name in hints and name in data and not (null_is_missing and data[name] is None):
            where = f"{place}: {name}" if place else name
            values[name] = _convert(hints[name], data[name], where, null_is_missing)
        elif name in hints and _is_required(field):
            raise ConfigError(f"{_prefix(place)}there is no key {name!r}")
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError(f"{_prefix(place)}{error}") from error


def check_keys(data: Mapping[Any, Any], known: typing.Iterable[str], place: str) -> None:
    """Refuses keys that are unknown, and names the one that was probably meant."""
    for key in data:
        if not isinstance(key, str):
            raise ConfigError(
                f"{_prefix(place)}the key {key!r} must be text; put it into quotation marks"
            )
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are: {_listed(known)}"
            raise ConfigError(f"{_prefix(place)}unknown key {key!r}; {hint}")


def check_arguments(
    function: Callable[..., Any],
    values: Any,
    place: str,
    hints: Mapping[str, Any] = types.MappingProxyType({}),
    leave_out: Sequence[str] = (),
    bounds: Mapping[str, Range] = types.MappingProxyType({}),
) -> None:
    """Checks keyword arguments from a file against the type hints of what takes them.

    function: A class or a function. Arguments that no file can hold, such as modules, are
        unknown keys.
    place: The file and the key, for messages.
    hints: Name -> type hint, in place of the function's own.
    leave_out: Arguments that may not stand in a file.
    bounds: Name -> bounds of the argument's numbers.
    Raises ConfigError: If a name is unknown or a value is not what its type hint says.

    Example
    -------
    >>> def scale(x: float, times: int = 1) -> float:
    ...     return times * x
    >>> check_arguments(scale, {"times": 2}, "a.json")
    >>> check_arguments(scale, {"times": "2"}, "a.json")
    Traceback (most recent call last):
    ...
    gatedrnn.data.config.ConfigError: a.json: times must be a whole number from -2147483648 to \
2147483648, not '2'
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{_prefix(place)}must be {_NAMED}, not {_short(values)}")
    known = {
        name: hint
        for name, hint in _arguments(function).items()
        if name not in leave_out and (name in hints or hint is not None)
    }
    known |= {name: hint for name, hint in hints.items() if name in known}
    known |= {name: _noted(known[name], [bounds[name]]) for name in known if name in bounds}
    check_keys(values, known, place)
    for name, value in values.items():
        _convert(known[name], value, f"{place}: {name}" if place else name, False)


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass as JSON-serialisable mappings, lists and scalars."""
    return dataclasses.asdict(config)


def json_schema(cls: type) -> dict[str, Any]:
    """JSON schema (draft 2020-12) of the mappings from which a dataclass can be made.

    Example
    -------
    >>> @dataclasses.dataclass(frozen=True)
    ... class Search(Config):
    ...     beam_size: int = dataclasses.field(default=1, metadata={"min": 1, "max": 1000})
    >>> json_schema(Search)["properties"]
    {'beam_size': {'type': 'integer', 'minimum': 1, 'maximum': 1000, 'default': 1}}
    """
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_schema(cls)}


# ---- type hints ---------------------------------------------------------------------------------


def _prefix(place: str) -> str:
    return f"{place}: " if place else ""


def _short(value: Any) -> str:
    short = reprlib.Repr()
    short.maxstring = short.maxother = 80
    return short.repr(value)


def _is_required(field: dataclasses.Field[Any]) -> bool:
    """Whether files must have a key: it has no default, or its metadata says so."""
    no_default = field.default is dataclasses.MISSING
    no_default = no_default and field.default_factory is dataclasses.MISSING
    return no_default or field.metadata.get("required", False)


@functools.cache
def _fields(cls: type) -> dict[str, Any]:
    """Name -> type hint of the fields that files may set."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {
        field.name: _annotated(hints[field.name], field.metadata)
        for field in dataclasses.fields(cls)
        if field.init
    }


def _annotated(hint: Any, metadata: Mapping[str, Any]) -> Any:
    if "choices" in metadata:
        hint = Annotated[hint, Choices(*metadata["choices"])]
    if "min" in metadata or "max" in metadata:
        bounds = _BOUNDS[float]
        least, most = metadata.get("min", bounds.min), metadata.get("max", bounds.max)
        hint = Annotated[hint, Range(least, most)]
    return hint


@functools.cache
def _arguments(function: Callable[..., Any]) -> dict[str, Any]:
    """Name -> type hint of arguments, ``None`` for those that no file can hold."""
    called = function.__init__ if inspect.isclass(function) else function
    hints = typing.get_type_hints(called, include_extras=True)
    names = inspect.signature(function).parameters
    return {name: _readable(hints[name]) for name in names if name in hints}


def _readable(hint: Any) -> Any:
    """A type hint without what no file can hold; ``None`` if nothing is left."""
    kind, parts, _ = _taken_apart(hint)
    if kind is typing.Union:
        parts = tuple(part for part in map(_readable, parts) if part is not None)
        return typing.Union[parts] if any(part is not type(None) for part in parts) else None  # noqa: UP007
    known = (bool, int, float, str, type(None), Any, Literal, list, tuple, Mapping)
    return hint if kind in known or dataclasses.is_dataclass(kind) else None


def _taken_apart(hint: Any) -> tuple[Any, tuple[Any, ...], list[Any]]:
    """Kind of a type hint, its parts, and what ``Annotated`` says of it."""
    notes: list[Any] = []
    while typing.get_origin(hint) is Annotated:
        hint, *more = typing.get_args(hint)
        notes += more
    origin, parts = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin is types.UnionType:
        origin = typing.Union
    if origin is Sequence:
        origin = list
    if origin is dict or origin is Mapping:
        origin = Mapping
    return origin, parts, notes


def _noted(hint: Any, notes: Sequence[Any]) -> Any:
    return Annotated[(hint, *notes)] if notes else hint


def _first(notes: Sequence[Any], kind: type[T]) -> T | None:
    return next((note for note in notes if isinstance(note, kind)), None)


def _convert(hint: Any, value: Any, place: str, null_is_missing: bool) -> Any:
    """A value as its type hint says, or an error that says what would be right."""
    kind, parts, notes = _taken_apart(hint)
    if kind is typing.Union:
        return _convert_union(hint, parts, notes, value, place, null_is_missing)
    if dataclasses.is_dataclass(kind):
        if isinstance(value, kind):
            return value
        return from_mapping(kind, value, place, null_is_missing)
    if kind is Any or kind is object:
        return value
    if kind is Mapping and isinstance(value, Mapping):
        return _convert_mapping(hint, parts, value, place, null_is_missing)
    if kind in (list, tuple) and isinstance(value, list | tuple):
        parts = tuple(part if part is Ellipsis else _noted(part, notes) for part in parts)
        items = _convert_items(hint, parts, value, place, null_is_missing)
        return tuple(items) if kind is tuple else items
    if kind is Literal:
        fits = value in parts
    elif kind is type(None):
        fits = value is None
    elif kind in (int, float):
        fits = _is_in_range(kind, value, _first(notes, Range) or _BOUNDS[kind])
        value = float(value) if fits and kind is float else value
    else:
        choices = _first(notes, Choices)
        fits = kind in (bool, str) and isinstance(value, kind)
        fits = fits and (choices is None or value in choices.values)
        length = _first(notes, Range)
        if fits and kind is str and length is not None:
            fits = length.min <= len(value) <= length.max
    if not fits:
        raise ConfigError(f"{place} must be {_expected(hint)}, not {_short(value)}")
    return value


def _is_in_range(kind: type, value: Any, bounds: Range) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
        return False
    below = value < bounds.max if bounds.below else value <= bounds.max
    return math.isfinite(value) and bounds.min <= value and below


def _convert_union(
    hint: Any, parts: Sequence[Any], notes: list[Any], value: Any, place: str, null: bool
) -> Any:
    for part in parts:
        # An object that may be a config is checked as one, so that the error names its key.
        if dataclasses.is_dataclass(part) and isinstance(value, Mapping):
            return _convert(part, value, place, null)
    for part in parts:
        if part is float and type(value) is int and int in parts:
            continue
        try:
            return _convert(_noted(part, notes), value, place, null)
        except ConfigError:
            pass
    raise ConfigError(f"{place} must be {_expected(hint)}, not {_short(value)}")


def _convert_mapping(
    hint: Any, parts: Sequence[Any], value: Mapping[Any, Any], place: str, null: bool
) -> dict[str, Any]:
    converted = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise ConfigError(f"{place}: the key {key!r} must be text; put it into quotation marks")
        try:
            converted[key] = _convert(parts[1], item, f"{place}: {key}", null) if parts else item
        except ConfigError:
            if _has_config(hint):
                raise
            raise ConfigError(f"{place} must be {_expected(hint)}, not {_short(value)}") from None
    return converted


def _convert_items(
    hint: Any, parts: Sequence[Any], value: Sequence[Any], place: str, null: bool
) -> list[Any]:
    if len(parts) == 2 and parts[1] is not Ellipsis or len(parts) > 2:
        if len(parts) != len(value):
            raise ConfigError(f"{place} must be {_expected(hint)}, not {_short(value)}")
        hints = parts
    else:
        hints = [parts[0] if parts else Any] * len(value)
    try:
        return [
            _convert(item_hint, item, f"{place}: {number}", null)
            for number, (item_hint, item) in enumerate(zip(hints, value, strict=True), 1)
        ]
    except ConfigError:
        if _has_config(hint):
            raise
        raise ConfigError(f"{place} must be {_expected(hint)}, not {_short(value)}") from None


def _has_config(hint: Any) -> bool:
    kind, parts, _ = _taken_apart(hint)
    return dataclasses.is_dataclass(kind) or any(map(_has_config, parts))


def _expected(hint: Any, many: bool = False) -> str:
    """What would be right, for messages."""
    kind, parts, notes = _taken_apart(hint)
    if kind is typing.Union:
        if hint == Options or parts == typing.get_args(_Scalar):
            return "numbers, texts, truth values or null"
        texts = [_expected(_noted(p, notes), many) for p in parts]
        return ", or ".join(dict.fromkeys(texts))
    choices = _first(notes, Choices)
    if kind is Literal or choices is not None:
        return _listed(parts if choices is None else choices.values, "or")
    if kind in (int, float):
        bounds = _first(notes, Range)
        what = {int: "whole number", float: "number"}[kind]
        what = f"{what}s" if many else f"a {what}"
        if bounds is None:
            bounds = _BOUNDS[kind]
        least, most = (f"{b:.15g}" for b in (bounds.min, bounds.max))
        if bounds.below:
            return f"{what} of at least {least} and below {most}"
        return f"{what} from {least} to {most}"
    if kind in (list, tuple):
        fixed = parts and parts[-1] is not Ellipsis and kind is tuple
        if fixed:
            return f"a list of {len(parts)}: {', '.join(map(_expected, parts))}"
        return f"a list of {_expected(_noted(parts[0], notes), True)}" if parts else "a list"
    if kind is Mapping:
        if hint == Options:
            return "names with numbers, texts, truth values, or lists of these"
        return _NAMED
    if kind is str and _first(notes, Range) is not None:
        return "text that is not empty"
    simple = {bool: "true or false", str: "texts" if many else "text", type(None): "null"}
    return simple.get(kind, _NAMED)


def _listed(values: typing.Iterable[Any], last: str = "") -> str:
    texts = [str(value) for value in values]
    if last and len(texts) > 1:
        return f"{', '.join(texts[:-1])} {last} {texts[-1]}"
    return ", ".join(texts) or "none"


def _schema(hint: Any) -> dict[str, Any]:
    kind, parts, notes = _taken_apart(hint)
    if dataclasses.is_dataclass(kind):
        return _object_schema(kind)
    if kind is typing.Union:
        return {"anyOf": [_schema(_noted(p, notes)) for p in parts]}
    choices = _first(notes, Choices)
    if kind is Literal or choices is not None:
        return {"enum": list(parts if choices is None else choices.values)}
    if kind in (int, float):
        bounds = _first(notes, Range) or _BOUNDS[kind]
        most = "exclusiveMaximum" if bounds.below else "maximum"
        name = "integer" if kind is int else "number"
        return {"type": name, "minimum": bounds.min, most: bounds.max}
    if kind in (list, tuple):
        fixed = kind is tuple and parts and parts[-1] is not Ellipsis
        if fixed:
            items = [_schema(part) for part in parts]
            return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
        items = {"items": _schema(_noted(parts[0], notes))} if parts else {}
        return {"type": "array", **items}
    if kind is Mapping:
        values = {"additionalProperties": _schema(parts[1])} if parts else {}
        return {"type": "object", **values}
    names = {bool: "boolean", str: "string", type(None): "null"}
    return {"type": names[kind]} if kind in names else {}


def _object_schema(cls: type) -> dict[str, Any]:
    hints, properties, required = _fields(cls), {}, []
    for field in _settable(cls):
        properties[field.name] = _schema(hints[field.name])
        if _is_required(field):
            required.append(field.name)
        elif field.default is not dataclasses.MISSING and not dataclasses.is_dataclass(
            field.default
        ):
            properties[field.name] = properties[field.name] | {"default": field.default}
    summary = (inspect.getdoc(cls) or cls.__name__).splitlines()[0]
    return {
        "title": cls.__name__,
        "description": summary,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _settable(cls: type) -> Iterator[dataclasses.Field[Any]]:
    return (field for field in dataclasses.fields(cls) if field.init)
