"""A recogniser as plain data: what there is to know to build it again, without weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from gatedrnn.data.config_validation import PlainSpec, check, rules_of, size
from gatedrnn.modules.features import LogMel
from gatedrnn.tasks.asr.heads import HEADS, add_head
from gatedrnn.tasks.asr.model import CTCModel

NORMALISATIONS = ("sentence", "global")


@dataclass(frozen=True)
class RecogniserSpec(PlainSpec):
    """What a recogniser is built of.

    Arguments
    ---------
    vocabulary : int
        Number of tokens, with the blank.
    acoustic : Mapping
        Arguments of ``CTCModel``, besides ``vocabulary`` and those that only
        matter before training (``start``) or that are no plain data (``encoder``).
    head : str
        ``"ctc"``, ``"attention"`` or ``"transducer"``.
    head_options : Mapping
        Arguments of the head's model, besides the acoustic model and the vocabulary.
    features : Mapping
        Arguments of :class:`~gatedrnn.modules.features.LogMel`.
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
        check({"vocabulary": self.vocabulary}, {"vocabulary": size}, "model")
        if self.head not in HEADS:
            raise ValueError(f"head must be {', '.join(HEADS)}, not {self.head!r}")
        if self.normalisation not in NORMALISATIONS:
            raise ValueError(
                f"normalisation must be {' or '.join(NORMALISATIONS)}, not {self.normalisation!r}"
            )
        check(self.acoustic, rules_of(CTCModel), "acoustic")
        model = HEADS[self.head]
        check(self.head_options, {} if model is CTCModel else rules_of(model), "head_options")
        check(self.features, rules_of(LogMel), "features")
        bands, width = self.features.get("n_mels", 80), self.acoustic.get("input_size", 80)
        if bands != width:
            raise ValueError(f"n_mels is {bands}, but the acoustic model's input_size is {width}")

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
            return add_head(self.head, acoustic, self.vocabulary, **self.head_options)
        except TypeError as error:
            raise ValueError(f"this model cannot be built: {error}") from error

    def build_features(self) -> LogMel:
        """Makes what computes the features.

        Returns
        -------
        LogMel
        """
        return LogMel(**self.features)
