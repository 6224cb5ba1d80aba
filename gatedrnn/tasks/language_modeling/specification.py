"""A language model as plain data: what there is to know to build it again, without weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gatedrnn.data.config_validation import PlainSpec, boolean, check, rules_of, size, size_or_none
from gatedrnn.tasks.language_modeling.model import TextModel

#: Arguments of the model that only matter in training.
TRAINING_ONLY = ("dropout", "init_range", "init")


@dataclass(frozen=True)
class TextModelSpec(PlainSpec):
    """What a language model is built of.

    Arguments
    ---------
    vocabulary : int
        Number of tokens.
    model : Mapping
        Arguments of ``TextModel``, besides ``vocabulary`` and those that only
        matter in training.
    carry_state : bool
        Whether it was trained on running text, the state going on from line to line; otherwise on
        lines by themselves.
    line_ends : bool
        Whether it predicts ends of lines; text of one piece, such as text8, has none.

    Raises
    ------
    ValueError
        If a key is unknown or a value is not what it should be; it names the key.

    Example
    -------
    >>> spec = TextModelSpec(30, {"network": "ran", "hidden_size": 16, "tied": True})
    >>> TextModelSpec.from_dict(spec.to_dict()) == spec
    True
    >>> spec.build().embedding
    Embedding(30, 16)
    """

    vocabulary: int
    model: Mapping[str, Any] = field(default_factory=dict)
    carry_state: bool = True
    line_ends: bool = True

    def __post_init__(self) -> None:
        check({"vocabulary": self.vocabulary}, {"vocabulary": size}, "model")
        for name in ("carry_state", "line_ends"):
            check({name: getattr(self, name)}, {name: boolean}, "model")
        check(self.model, rules_of(TextModel, dropout=None, embedding_size=size_or_none), "model")

    def build(self) -> TextModel:
        """Makes the model, with weights to be trained or loaded.

        Returns
        -------
        TextModel

        Raises
        ------
        ValueError
            If there is no such recurrence, or it does not have such an option.
        """
        try:
            return TextModel(self.vocabulary, **self.model)
        except TypeError as error:
            raise ValueError(f"this model cannot be built: {error}") from error
