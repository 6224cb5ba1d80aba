"""Bundles of classifiers of sequences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from torch import nn

from gatedrnn.bundle.format import WEIGHTS, BundleConfig
from gatedrnn.bundle.kind import (
    WIDEST,
    BundleKind,
    ModelSpec,
    check_model_arguments,
    model_card,
    result_lines,
    validation_line,
)
from gatedrnn.data.config import Config, Range
from gatedrnn.modules.network_options import parameters
from gatedrnn.tasks.classification.data import ImageFrames
from gatedrnn.tasks.classification.model import SequenceClassifier, WordEmbedding
from gatedrnn.tokens import EOS_NAME, Tokens, load

__all__ = [
    "ClassifierBundle",
    "ClassifierConfig",
    "ClassifierSpec",
    "load_classifier",
    "read_classifier",
    "write_classifier",
]

#: Arguments of the model that only matter in training.
TRAINING_ONLY = ("dropout", "re_init", "init")


@dataclass(frozen=True)
class EmbeddingSpec(Config):
    """Embedding of a classifier of text: number of tokens, width, and the unknown token."""

    vocabulary: Annotated[int, Range(1, WIDEST)]
    size: Annotated[int, Range(1, WIDEST)]
    unknown: Annotated[int, Range(0, WIDEST)]


@dataclass(frozen=True)
class ClassifierSpec(ModelSpec):
    """Specification of a classifier.

    Arguments
    ---------
    classes : tuple of str
        Names of the classes.
    inputs : int or EmbeddingSpec
        Width of a frame; or the embedding of tokens.
    model : Mapping
        Arguments of :class:`~gatedrnn.tasks.classification.model.SequenceClassifier`, without
        ``classes``, ``inputs`` and those of ``TRAINING_ONLY``.

    Raises
    ------
    ValueError
        If a key is unknown or a value is refused.
    """

    classes: tuple[str, ...]
    inputs: Annotated[int, Range(1, WIDEST)] | EmbeddingSpec
    model: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.classes:
            raise ValueError("classes must be a list of at least one name, not []")
        left_out = ("classes", "inputs", *TRAINING_ONLY)
        check_model_arguments(SequenceClassifier, self.model, "model", left_out)

    def build(self) -> SequenceClassifier:
        """Makes the model, with weights to be trained or loaded."""
        inputs: Any = self.inputs
        if isinstance(inputs, EmbeddingSpec):
            inputs = WordEmbedding(inputs.vocabulary, inputs.size, unknown=inputs.unknown)
        try:
            return SequenceClassifier(len(self.classes), inputs, **self.model)
        except TypeError as error:
            raise ValueError(f"this classifier cannot be built: {error}") from error


@dataclass(frozen=True)
class ClassifierConfig(BundleConfig):
    """Config of a classifier's bundle: its model, and how images become frames (None for texts and
    other frames). See :class:`~gatedrnn.bundle.format.BundleConfig`."""

    model: ClassifierSpec
    images: ImageFrames | None = None

    FORMAT = "gatedrnn-classifier"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.images is not None and self.images.frame_width != self.model.inputs:
            raise ValueError(
                f"model: inputs must be {self.images.frame_width}, the width of the frames of "
                f"images, not {self.model.inputs}"
            )

    @property
    def file_names(self) -> tuple[str, ...]:
        """Classifiers of frames have no tokens."""
        return self.FILES if isinstance(self.model.inputs, EmbeddingSpec) else (WEIGHTS,)


@dataclass(frozen=True)
class ClassifierBundle:
    """A classifier, ready to run.

    Arguments
    ---------
    config : ClassifierConfig
        Its config.
    tokens : Tokens or None
        Tokens of its texts; None for sequences of frames.
    model : SequenceClassifier
        Scores the classes.
    """

    config: ClassifierConfig
    tokens: Tokens | None
    model: SequenceClassifier


class ClassifierKind(BundleKind[ClassifierBundle]):
    """Bundles of classifiers."""

    task, noun, config = "classification", "classifier", ClassifierConfig
    old_metric = ("accuracy", True)
    command, result = "classify {} FILE...", "accuracy {[accuracy]:.2f} %"

    def load_tokens(self, name: str, path: Path, config: Any, model_file: str) -> Tokens:
        """See :meth:`BundleKind.load_tokens`."""
        return load(path, EOS_NAME, config.model.inputs.vocabulary, model_file)

    def make(self, config: Any, model: nn.Module, tokens: Any, tensors: Any) -> ClassifierBundle:
        """See :meth:`BundleKind.make`."""
        return ClassifierBundle(config, tokens["tokens"], model)

    def headline(self, config: Any) -> str:
        """See :meth:`BundleKind.headline`."""
        return f"{len(config.model.classes)} classes"

    def card(self, name: str, bundle: ClassifierBundle) -> str:
        """See :meth:`BundleKind.card`."""
        spec, training = bundle.config.model, bundle.config.training
        options = {"network": "lstmp", "num_layers": 1, "hidden_size": 100, **spec.model}
        inputs = f"frames of {spec.inputs} numbers"
        if bundle.tokens is not None:
            inputs = f"texts, {len(bundle.tokens)} tokens ({bundle.tokens.kind})"
        columns = {
            "set": "",
            "sequences": "{[sequences]}",
            "errors": "{[errors]}",
            "accuracy %": "{[accuracy]:.2f}",
        }
        return model_card(
            name,
            f"A classifier of {inputs} into {len(spec.classes)} classes: {options['num_layers']} "
            f"layers of `{options['network']}`, {options['hidden_size']} cells each; "
            f"{parameters(bundle.model):,} parameters.",
            [f"    gatedrnn classify {name} FILE..."],
            result_lines(
                training,
                "Accuracy of the training's own test:",
                columns,
                validation_line(training, "Accuracy of the validation sequences, in %"),
            ),
        )


CLASSIFIER = ClassifierKind()
BUNDLE_KINDS = (CLASSIFIER,)
read_classifier, write_classifier = CLASSIFIER.read, CLASSIFIER.write
load_classifier = CLASSIFIER.load
