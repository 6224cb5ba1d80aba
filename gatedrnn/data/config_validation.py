"""What may stand in a file that describes a model: plain values, checked before they are used."""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any

import torch
from torch import nn

#: Says what would be right, or ``None`` if a value is.
Rule = Callable[[Any], str | None]

# Far above any model, and far below what would keep a machine busy with numbers out of a bad file.
_WIDEST, _DEEPEST = 1 << 20, 1000


def whole(least: int, most: int) -> Rule:
    """The rule of a whole number.

    Arguments
    ---------
    least : int
        The smallest.
    most : int
        The largest.

    Returns
    -------
    callable

    Example
    -------
    >>> whole(1, 3)(3), whole(1, 3)(True)
    (None, 'a whole number from 1 to 3')
    """

    def problem(value: Any) -> str | None:
        fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        return None if fits else f"a whole number from {least} to {most}"

    return problem


def number(least: float, below: float) -> Rule:
    """The rule of a number.

    Arguments
    ---------
    least : float
        The smallest.
    below : float
        What it must be smaller than.

    Returns
    -------
    callable
    """

    def problem(value: Any) -> str | None:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        fits = fits and math.isfinite(value) and least <= value < below
        return None if fits else f"a number of at least {least} and below {below}"

    return problem


def boolean(value: Any) -> str | None:
    """The rule of a truth value."""
    return None if isinstance(value, bool) else "true or false"


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else "text"


def _options(value: Any) -> str | None:
    if value is None or isinstance(value, Mapping) and all(_plain(v) for v in value.values()):
        return None
    return "names with numbers, texts, truth values, or lists of these"


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_plain(v) for v in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | int | str)


#: The rule of widths, and of numbers of tokens.
size = whole(1, _WIDEST)


def size_or_none(value: Any) -> str | None:
    """The rule of widths that need not be there."""
    return None if value is None else size(value)


def _sizes_or_none(value: Any) -> str | None:
    fits = value is None or isinstance(value, list | tuple) and not any(map(size, value))
    return None if fits else "a list of whole numbers, or null"


#: Name of an argument -> its rule.
_RULES: dict[str, Rule] = {
    "input_size": size,
    "hidden_size": size,
    "proj_size": size_or_none,
    "embedding_size": size,
    "attention_size": size,
    "joint_size": size,
    "channels": size,
    "cutoffs": _sizes_or_none,
    "factor": whole(1, 1000),
    "bptt_frames": whole(0, _WIDEST),
    "num_layers": whole(1, _DEEPEST),
    "bidirectional": boolean,
    "tied": boolean,
    "dropout": number(0, 1),
    "ctc_weight": number(0, 1),
    "label_smoothing": number(0, 1),
    "network": _text,
    "subsampling": _text,
    "attention": _text,
    "network_options": _options,
    "sample_rate": whole(1000, 384000),
    "n_mels": whole(1, 4096),
    "hop_seconds": number(1e-4, 1.0),
    "window_seconds": number(1e-4, 1.0),
    "dynamic_range": number(0, 1e6),
}


def rules_of(made: Callable[..., Any], **changes: Rule | None) -> dict[str, Rule]:
    """The rules of the arguments that something takes.

    Arguments
    ---------
    made : callable
        A class, for example.
    **changes : callable or None
        Rules of its own; ``None`` for an argument that may not stand in a file.

    Returns
    -------
    dict
        Name -> rule.
    """
    taken = inspect.signature(made).parameters
    rules = {name: rule for name, rule in _RULES.items() if name in taken} | changes
    return {name: rule for name, rule in rules.items() if rule is not None}


def check(values: Any, rules: Mapping[str, Rule], place: str) -> None:
    """Holds values against rules.

    Arguments
    ---------
    values : Any
        Plain data.
    rules : Mapping
        Name -> rule, of all values that there may be.
    place : str
        Where they stand, for messages.

    Raises
    ------
    ValueError
        If they are not named values, a name is unknown, or a value breaks its rule.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{place} must be an object with named values, not {values!r}")
    for name, value in values.items():
        if name not in rules:
            known = ", ".join(sorted(rules)) or "none"
            raise ValueError(f"{place} has an unknown key {name!r}; known are: {known}")
        wanted = rules[name](value)
        if wanted:
            raise ValueError(f"{place}: {name} must be {wanted}, not {value!r}")


class PlainSpec(ABC):
    """What descriptions of models have in common: they are frozen dataclasses with a vocabulary."""

    @classmethod
    def from_dict(cls, data: Any) -> Any:
        """Reads what :meth:`to_dict` gave.

        Arguments
        ---------
        data : Any
            Plain data from a file.

        Returns
        -------
        PlainSpec
            One of this class.

        Raises
        ------
        ValueError
            If it is something else.
        """
        if not isinstance(data, Mapping):
            raise ValueError("the model must be described by an object with named values")
        known = set(cls.__dataclass_fields__)
        unknown = sorted(set(data) - known)
        if unknown:
            raise ValueError(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
        for one in fields(cls):
            needed = one.default is MISSING and one.default_factory is MISSING
            if needed and one.name not in data:
                raise ValueError(f"there is no key {one.name!r}")
        return cls(**data)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain data.

        Returns
        -------
        dict
        """
        return asdict(self)

    @abstractmethod
    def build(self) -> nn.Module:
        """Makes the model, with weights to be trained or loaded.

        Returns
        -------
        torch.nn.Module
        """

    def build_empty(self) -> nn.Module:
        """Makes the model without memory for its weights, to see their names and shapes.

        Returns
        -------
        torch.nn.Module
        """
        with torch.device("meta"):
            return self.build()
