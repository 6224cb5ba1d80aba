"""Bundles of captioners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from torch import nn

from gatedrnn.bundle.format import BundleConfig
from gatedrnn.bundle.kind import (
    WIDEST,
    BundleKind,
    ModelSpec,
    check_model_arguments,
    model_card,
    result_lines,
    validation_line,
)
from gatedrnn.data.config import Choices, Range
from gatedrnn.modules.features import LogMel
from gatedrnn.modules.network_options import parameters
from gatedrnn.seq2seq.decoder import Decoder
from gatedrnn.seq2seq.decoder_cells import AttentionOptions, AttentionValue
from gatedrnn.seq2seq.search import SearchOptions
from gatedrnn.tasks.captioning.corpora.items import MediaOptions
from gatedrnn.tasks.captioning.model import ENCODERS, Captioner
from gatedrnn.tokens import Vocabulary, load_vocabulary

__all__ = [
    "CaptionerBundle",
    "CaptionerConfig",
    "CaptionerSpec",
    "load_captioner",
    "read_captioner",
    "write_captioner",
]

#: Arguments of encoder and decoder that only matter in training.
TRAINING_ONLY = ("dropout", "init", "weights_file", "trained")


@dataclass(frozen=True)
class CaptionerSpec(ModelSpec):
    """Specification of a captioner.

    Arguments
    ---------
    vocabulary : int
        Number of words, with ``<eos>`` and ``<unk>``.
    kind : str
        Kind of encoder: a key of ``ENCODERS``.
    encoder : Mapping
        Arguments of the encoder, without those of ``TRAINING_ONLY``.
    decoder : Mapping
        Arguments of :class:`~gatedrnn.seq2seq.decoder.Decoder`, without ``vocabulary``,
        ``encoder_size`` and those of ``TRAINING_ONLY``.

    Raises
    ------
    ValueError
        If a key is unknown or a value is refused.

    Example
    -------
    >>> spec = CaptionerSpec(30, "image", {"width": 16}, {"network": "ran", "hidden_size": 8})
    >>> CaptionerSpec.from_dict(spec.to_dict()) == spec
    True
    >>> spec.build().decoder.softmax.weight.shape
    torch.Size([30, 512])
    """

    vocabulary: Annotated[int, Range(2, WIDEST)]
    kind: Annotated[str, Choices(*ENCODERS)] = "features"
    encoder: Mapping[str, Any] = field(default_factory=dict)
    decoder: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_model_arguments(ENCODERS[self.kind], self.encoder, "encoder", TRAINING_ONLY)
        if not self.encoder.get("channels", [1]):
            raise ValueError("encoder: channels must be a list of at least one width, not []")
        if self.encoder.get("features") is not None:
            check_model_arguments(LogMel, self.encoder["features"], "encoder: features")
        left_out = ("vocabulary", "encoder_size", *TRAINING_ONLY)
        check_model_arguments(Decoder, self.decoder, "decoder", left_out, attention=AttentionValue)

    @property
    def media(self) -> str:
        """Kind of items: ``"features"``, ``"image"`` or ``"audio"``."""
        return ENCODERS[self.kind].media

    def build(self) -> Captioner:
        """Makes the captioner, with weights to be trained or loaded."""
        try:
            encoder = ENCODERS[self.kind](**self.encoder)
            decoder = Decoder(self.vocabulary, encoder.output_size, **self.decoder)
            return Captioner(encoder, decoder)
        except TypeError as error:
            raise ValueError(f"this captioner cannot be built: {error}") from error


@dataclass(frozen=True)
class CaptionerConfig(BundleConfig):
    """Config of a captioner's bundle; see also :class:`~gatedrnn.bundle.format.BundleConfig`.

    Arguments
    ---------
    model : CaptionerSpec
        The captioner.
    media : MediaOptions
        Its inputs.
    search : SearchOptions
        Search of the training's test.

    Raises
    ------
    ValueError
        If the encoder reads other media than these.
    """

    model: CaptionerSpec
    media: MediaOptions
    search: SearchOptions = field(default_factory=SearchOptions)

    FORMAT = "gatedrnn-captioner"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model.media != self.media.kind:
            raise ValueError(
                f"media: kind must be {self.model.media!r}, which the encoder {self.model.kind} "
                f"reads, not {self.media.kind!r}"
            )


@dataclass(frozen=True)
class CaptionerBundle:
    """A captioner, ready to run.

    Arguments
    ---------
    config : CaptionerConfig
        Its config.
    vocabulary : Vocabulary
        The words that it knows.
    model : Captioner
        Generates words from media.
    """

    config: CaptionerConfig
    vocabulary: Vocabulary
    model: Captioner


class CaptionerKind(BundleKind[CaptionerBundle]):
    """Bundles of captioners."""

    task, noun, config = "captioning", "captioner", CaptionerConfig
    tokens = {"tokens.json": "vocabulary"}
    old_kind, old_metric = "captions", ("CIDEr-D", True)
    # Encoders of sounds and images.
    has_tables = True
    command, result = "caption {} FILE_OR_FOLDER...", "CIDEr-D {[CIDEr-D]:.3f}"

    def load_tokens(self, name: str, path: Path, config: Any, model_file: str) -> Vocabulary:
        """See :meth:`BundleKind.load_tokens`."""
        return load_vocabulary(path, config.model.vocabulary)

    def make(self, config: Any, model: nn.Module, tokens: Any, tensors: Any) -> CaptionerBundle:
        """See :meth:`BundleKind.make`; older configs do not have the ``max_length`` of search."""
        vocabulary = tokens["vocabulary"]
        search = replace(config.search, max_length=vocabulary.max_length)
        return CaptionerBundle(replace(config, search=search), vocabulary, model)

    def tied(self, config: CaptionerConfig) -> tuple[str, str] | None:
        """The output layer's matrix may be the embedding."""
        tied = config.model.decoder.get("tied")
        return ("decoder.softmax.weight", "decoder.embedding.weight") if tied else None

    def upgraded_description(self, description: dict[str, Any]) -> dict[str, Any]:
        """Older ones have a ``beam_size`` in place of ``search``."""
        beam_size = description.pop("beam_size", 1)
        return description | {"search": {"beam_size": beam_size}}

    def headline(self, config: Any) -> str:
        """See :meth:`BundleKind.headline`."""
        return f"{config.model.vocabulary} words"

    def card(self, name: str, bundle: CaptionerBundle) -> str:
        """See :meth:`BundleKind.card`."""
        spec, training = bundle.config.model, bundle.config.training
        decoder = {"network": "lstmp", "num_layers": 1, "hidden_size": 512, **spec.decoder}
        attention = AttentionOptions.of(decoder.get("attention", "soft")).kind.replace("_", "-")
        media = {"image": "images", "audio": "recordings", "features": "features"}[spec.media]
        metrics = ("BLEU-1", "BLEU-4", "ROUGE-L", "CIDEr-D", "exact match")
        columns = {"set": "", "items": "{[items]}", **{m: f"{{[{m}]:.4f}}" for m in metrics}}
        return model_card(
            name,
            f"A captioner of {media}: encoder `{spec.kind}`, {attention} attention, "
            f"{decoder['num_layers']} layers of `{decoder['network']}` with "
            f"{decoder['hidden_size']} cells each; {spec.vocabulary} words, "
            f"{parameters(bundle.model):,} parameters.",
            [f"    gatedrnn caption {name} FILE_OR_FOLDER..."],
            result_lines(
                training,
                f"Of the training's own test, beam size {bundle.config.search.beam_size}:",
                columns,
                validation_line(training, "CIDEr-D of greedy captions of the validation set", 4),
            ),
        )


CAPTIONER = CaptionerKind()
BUNDLE_KINDS = (CAPTIONER,)
read_captioner, write_captioner, load_captioner = CAPTIONER.read, CAPTIONER.write, CAPTIONER.load
