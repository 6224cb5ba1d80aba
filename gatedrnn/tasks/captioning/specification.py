"""A captioner as plain data: what there is to know to build it again, without weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gatedrnn.data.config_validation import PlainSpec, Rule, check, rules_of, size, whole
from gatedrnn.modules.features import LogMel
from gatedrnn.seq2seq.attention import AttentionOptions
from gatedrnn.seq2seq.decoder import Decoder
from gatedrnn.tasks.captioning.encoders import ENCODERS
from gatedrnn.tasks.captioning.model import Captioner

#: Arguments of encoder and decoder that only matter in training.
TRAINING_ONLY = ("dropout", "init", "weights_file", "trained")


def _sizes(value: Any) -> str | None:
    fits = isinstance(value, list | tuple) and len(value) and not any(map(size, value))
    return None if fits else "a list of widths"


def _features(value: Any) -> str | None:
    if value is not None:
        check(value, rules_of(LogMel), "features")
    return None


def _attention(value: Any) -> str | None:
    if not isinstance(value, str | Mapping):
        return "a name, or an object with named values"
    AttentionOptions.of(value)
    return None


def _text_or_none(value: Any) -> str | None:
    return None if value is None or isinstance(value, str) else "text"


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else "text"


def _encoder_rules(kind: str) -> dict[str, Rule]:
    own: dict[str, Rule] = {
        "width": size,
        "features": _features,
        "channels": _sizes,
        "stacked": whole(1, 1000),
        "pooled": whole(1, 1000),
        "name": _text,
        "layer": _text_or_none,
    }
    made = ENCODERS[kind]
    rules = rules_of(made, dropout=None)
    taken = made.__init__.__annotations__
    return rules | {name: rule for name, rule in own.items() if name in taken}


@dataclass(frozen=True)
class CaptionerSpec(PlainSpec):
    """What a captioner is built of.

    Arguments
    ---------
    vocabulary : int
        Number of words, with ``<eos>`` and ``<unk>``.
    kind : str
        Of encoder: a key of ``ENCODERS``.
    encoder : Mapping
        Its arguments, besides those that only matter in training.
    decoder : Mapping
        Arguments of :class:`~gatedrnn.seq2seq.decoder.Decoder`, besides ``vocabulary``,
        ``encoder_size`` and those that only matter in training.

    Raises
    ------
    ValueError
        If a key is unknown or a value is not what it should be; it names the key.

    Example
    -------
    >>> spec = CaptionerSpec(30, "image", {"width": 16}, {"network": "ran", "hidden_size": 8})
    >>> CaptionerSpec.from_dict(spec.to_dict()) == spec
    True
    >>> spec.build().decoder.softmax.weight.shape
    torch.Size([30, 512])
    """

    vocabulary: int
    kind: str = "features"
    encoder: Mapping[str, Any] = field(default_factory=dict)
    decoder: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check({"vocabulary": self.vocabulary}, {"vocabulary": whole(2, 1 << 20)}, "model")
        if self.kind not in ENCODERS:
            raise ValueError(f"kind must be {', '.join(ENCODERS)}, not {self.kind!r}")
        check(self.encoder, _encoder_rules(self.kind), "encoder")
        rules = rules_of(Decoder, dropout=None, attention=_attention)
        check(self.decoder, rules, "decoder")

    @property
    def media(self) -> str:
        """Kind of items: ``"features"``, ``"image"`` or ``"audio"``."""
        return ENCODERS[self.kind].media

    def build(self) -> Captioner:
        """Makes the captioner, with weights to be trained or loaded.

        Returns
        -------
        Captioner

        Raises
        ------
        ValueError
            If there is no such recurrence, it does not have such an option, or something is
            missing.
        """
        try:
            encoder = ENCODERS[self.kind](**self.encoder)
            decoder = Decoder(self.vocabulary, encoder.output_size, **self.decoder)
            return Captioner(encoder, decoder)
        except TypeError as error:
            raise ValueError(f"this captioner cannot be built: {error}") from error
