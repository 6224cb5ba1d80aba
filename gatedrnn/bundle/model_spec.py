"""Specifications of models: what is needed to build them again, without weights."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gatedrnn.data.config import Config, Options, Range, check_arguments

#: Far above any model, and far below what would keep a machine busy with numbers of a bad file.
WIDEST, DEEPEST = 1 << 20, 1000

_SIZE, _FRACTION = Range(1, WIDEST), Range(0, 1, below=True)
#: Argument of a model -> its bounds.
BOUNDS: dict[str, Range] = {
    **dict.fromkeys(
        ("size", "classes", "inputs", "input_size", "hidden_size", "proj_size", "embedding_size",
         "attention_size", "joint_size", "channels", "cutoffs", "width"),
        _SIZE,
    ),
    **dict.fromkeys(
        ("dropout", "dropout_input", "word_dropout", "ctc_weight", "label_smoothing"), _FRACTION
    ),
    **dict.fromkeys(("factor", "stacked", "pooled"), Range(1, 1000)),
    "bptt_frames": Range(0, WIDEST),
    "num_layers": Range(1, DEEPEST),
    "sample_rate": Range(1000, 384_000),
    "n_mels": Range(1, 4096),
    "hop_seconds": Range(1e-4, 1, below=True),
    "window_seconds": Range(1e-4, 1, below=True),
    "dynamic_range": Range(0, 1e6, below=True),
}  # fmt: skip


@dataclass(frozen=True)
class ModelSpec(Config):
    """Base of specifications: frozen dataclasses, checked before anything is built."""

    @abstractmethod
    def build(self) -> nn.Module:
        """Makes the model, with weights to be trained or loaded.

        Raises
        ------
        ValueError
            If there is no such recurrence, or it does not have such an option.
        """

    def build_empty(self) -> nn.Module:
        """Makes the model without memory for its weights, for their names and shapes."""
        with torch.device("meta"):
            return self.build()


def check_model_arguments(
    model: Callable[..., Any],
    values: Any,
    place: str,
    leave_out: Sequence[str] = (),
    **hints: Any,
) -> None:
    """Checks arguments of a model's class: types by its type hints, bounds by :data:`BOUNDS`.

    Arguments
    ---------
    model : callable
        The class.
    values : Any
        Argument -> value, from a file.
    place : str
        Their key, for messages.
    leave_out : sequence of str
        Arguments that may not stand in a file, such as those that only matter in training.
    **hints : Any
        Type hints in place of the class's own.

    Raises
    ------
    ConfigError
        If an argument is unknown, or a value is refused.
    """
    hints = {"network_options": Options | None, **hints}
    check_arguments(model, values, place, hints, leave_out, BOUNDS)
