"""A recogniser as plain data: what there is to know to build it again, without weights."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from gatedrnn.lobes.acoustic_model import CTCModel
from gatedrnn.lobes.attention_model import AttentionModel
from gatedrnn.lobes.features import LogMel
from gatedrnn.lobes.transducer_model import TransducerModel

#: Head -> its model, which takes the acoustic model and the size of the vocabulary.
HEAD_MODELS: dict[str, Callable[..., nn.Module] | None] = {
    "ctc": None,
    "attention": AttentionModel,
    "transducer": TransducerModel,
}
NORMALISATIONS = ("sentence", "global")

# Far above any model, and far below what would keep a machine busy with numbers out of a bad file.
_WIDEST, _DEEPEST = 1 << 20, 1000


def _whole(least: int, most: int) -> Callable[[Any], str | None]:
    def problem(value: Any) -> str | None:
        fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        return None if fits else f"a whole number from {least} to {most}"

    return problem


def _number(least: float, below: float) -> Callable[[Any], str | None]:
    def problem(value: Any) -> str | None:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        fits = fits and math.isfinite(value) and least <= value < below
        return None if fits else f"a number of at least {least} and below {below}"

    return problem


def _boolean(value: Any) -> str | None:
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


_size = _whole(1, _WIDEST)

#: Name of an argument -> says what would be right, or ``None`` if the value is.
_RULES: dict[str, Callable[[Any], str | None]] = {
    "input_size": _size,
    "hidden_size": _size,
    "proj_size": lambda value: None if value is None else _size(value),
    "embedding_size": _size,
    "attention_size": _size,
    "joint_size": _size,
    "channels": _size,
    "factor": _whole(1, 1000),
    "bptt_frames": _whole(0, _WIDEST),
    "num_layers": _whole(1, _DEEPEST),
    "bidirectional": _boolean,
    "dropout": _number(0, 1),
    "ctc_weight": _number(0, 1),
    "label_smoothing": _number(0, 1),
    "network": _text,
    "subsampling": _text,
    "attention": _text,
    "network_options": _options,
    "sample_rate": _whole(1000, 384000),
    "n_mels": _whole(1, 4096),
    "hop_seconds": _number(1e-4, 1.0),
    "window_seconds": _number(1e-4, 1.0),
    "dynamic_range": _number(0, 1e6),
}


@dataclass(frozen=True)
class RecogniserSpec:
    """What a recogniser is built of.

    Arguments
    ---------
    vocabulary : int
        Number of tokens, with the blank.
    acoustic : Mapping
        Arguments of :class:`~gatedrnn.lobes.CTCModel`, besides ``vocabulary`` and those that only
        matter before training (``start``) or that are no plain data (``encoder``).
    head : str
        ``"ctc"``, ``"attention"`` or ``"transducer"``.
    head_options : Mapping
        Arguments of the head's model, besides the acoustic model and the vocabulary.
    features : Mapping
        Arguments of :class:`~gatedrnn.lobes.LogMel`.
    normalisation : str
        ``"sentence"``: by each utterance's own mean and variance; ``"global"``: by those of the
        training data.

    Raises
    ------
    ValueError
        If a key is unknown or a value is not what it should be; it names the key.

    Example
    -------
    >>> spec = RecogniserSpec(30, {"num_layers": 2, "hidden_size": 16, "proj_size": 8})
    >>> RecogniserSpec.from_dict(spec.to_dict()) == spec
    True
    >>> spec.build().output
    Linear(in_features=8, out_features=30, bias=True)
    """

    vocabulary: int
    acoustic: Mapping[str, Any] = field(default_factory=dict)
    head: str = "ctc"
    head_options: Mapping[str, Any] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)
    normalisation: str = "sentence"

    def __post_init__(self) -> None:
        _check({"vocabulary": self.vocabulary}, {"vocabulary": _size}, "model")
        if self.head not in HEAD_MODELS:
            raise ValueError(f"head must be {', '.join(HEAD_MODELS)}, not {self.head!r}")
        if self.normalisation not in NORMALISATIONS:
            raise ValueError(
                f"normalisation must be {' or '.join(NORMALISATIONS)}, not {self.normalisation!r}"
            )
        _check(self.acoustic, _rules(CTCModel), "acoustic")
        model = HEAD_MODELS[self.head]
        _check(self.head_options, {} if model is None else _rules(model), "head_options")
        _check(self.features, _rules(LogMel), "features")
        bands, width = self.features.get("n_mels", 80), self.acoustic.get("input_size", 80)
        if bands != width:
            raise ValueError(f"n_mels is {bands}, but the acoustic model's input_size is {width}")

    @classmethod
    def from_dict(cls, data: Any) -> RecogniserSpec:
        """Reads what :meth:`to_dict` gave.

        Arguments
        ---------
        data : Any
            Plain data from a file.

        Returns
        -------
        RecogniserSpec

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
        if "vocabulary" not in data:
            raise ValueError("there is no key 'vocabulary'")
        return cls(**data)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain data.

        Returns
        -------
        dict
        """
        return asdict(self)

    def build(self) -> nn.Module:
        """Makes the model, with weights to be trained or loaded.

        Returns
        -------
        CTCModel, AttentionModel or TransducerModel

        Raises
        ------
        ValueError
            If there is no such recurrence, or it does not have such an option.
        """
        try:
            acoustic = CTCModel(self.vocabulary, **self.acoustic)
            model = HEAD_MODELS[self.head]
            if model is None:
                return acoustic
            return model(acoustic, self.vocabulary, **self.head_options)
        except TypeError as error:
            raise ValueError(f"this model cannot be built: {error}") from error

    def build_empty(self) -> nn.Module:
        """Makes the model without memory for its weights, to see their names and shapes.

        Returns
        -------
        CTCModel, AttentionModel or TransducerModel
        """
        with torch.device("meta"):
            return self.build()

    def build_features(self) -> LogMel:
        """Makes what computes the features.

        Returns
        -------
        LogMel
        """
        return LogMel(**self.features)


def _rules(made: Callable[..., Any]) -> dict[str, Callable[[Any], str | None]]:
    """The rules of the arguments that something takes."""
    return {n: _RULES[n] for n in inspect.signature(made).parameters if n in _RULES}


def _check(values: Any, rules: Mapping[str, Callable[[Any], str | None]], place: str) -> None:
    if not isinstance(values, Mapping):
        raise ValueError(f"{place} must be an object with named values, not {values!r}")
    for name, value in values.items():
        if name not in rules:
            known = ", ".join(sorted(rules)) or "none"
            raise ValueError(f"{place} has an unknown key {name!r}; known are: {known}")
        wanted = rules[name](value)
        if wanted:
            raise ValueError(f"{place}: {name} must be {wanted}, not {value!r}")
