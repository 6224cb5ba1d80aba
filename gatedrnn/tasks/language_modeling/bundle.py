"""Bundles of language models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
from gatedrnn.data.config import Range
from gatedrnn.modules.network_options import parameters
from gatedrnn.tasks.language_modeling.model import TextModel
from gatedrnn.tokens import EOS_NAME, Tokens, load

__all__ = [
    "LanguageModel",
    "LanguageModelConfig",
    "TextModelSpec",
    "load_language_model",
    "read_language_model",
    "write_language_model",
]

#: Arguments of the model that only matter in training.
TRAINING_ONLY = ("dropout", "init_range", "init")


@dataclass(frozen=True)
class TextModelSpec(ModelSpec):
    """Specification of a language model.

    Arguments
    ---------
    vocabulary : int
        Number of tokens, at least 1.
    model : Mapping
        Arguments of :class:`~gatedrnn.tasks.language_modeling.model.TextModel`, without
        ``vocabulary`` and those of ``TRAINING_ONLY``.
    carry_state : bool
        Whether it was trained on running text, with the state carried from line to line; otherwise
        on single lines.
    line_ends : bool
        Whether it predicts ends of lines; text in one piece, such as text8, has none.

    Raises
    ------
    ValueError
        If a key is unknown or a value is refused.

    Example
    -------
    >>> spec = TextModelSpec(30, {"network": "ran", "hidden_size": 16, "tied": True})
    >>> TextModelSpec.from_dict(spec.to_dict()) == spec
    True
    >>> spec.build().embedding
    Embedding(30, 16)
    """

    vocabulary: Annotated[int, Range(1, WIDEST)]
    model: Mapping[str, Any] = field(default_factory=dict)
    carry_state: bool = True
    line_ends: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_model_arguments(TextModel, self.model, "model", ("vocabulary", *TRAINING_ONLY))

    def build(self) -> TextModel:
        """Makes the model, with weights to be trained or loaded."""
        try:
            return TextModel(self.vocabulary, **self.model)
        except TypeError as error:
            raise ValueError(f"this model cannot be built: {error}") from error


@dataclass(frozen=True)
class LanguageModelConfig(BundleConfig):
    """Config of a language model's bundle; see :class:`~gatedrnn.bundle.format.BundleConfig`."""

    model: TextModelSpec

    FORMAT = "gatedrnn-language-model"


@dataclass(frozen=True)
class LanguageModel:
    """A language model, ready to run.

    Arguments
    ---------
    config : LanguageModelConfig
        Its config.
    tokens : Tokens
        The tokens that it predicts.
    model : torch.nn.Module
        Scores the next token.
    """

    config: LanguageModelConfig
    tokens: Tokens
    model: nn.Module


class LanguageModelKind(BundleKind[LanguageModel]):
    """Bundles of language models."""

    task, noun, config = "language_modeling", "language model", LanguageModelConfig
    old_kind, old_metric = "text", ("perplexity", False)
    command, result = "perplexity {} FILE...", "perplexity {[perplexity]:.2f}"

    def load_tokens(self, name: str, path: Path, config: Any, model_file: str) -> Tokens:
        return load(path, EOS_NAME, config.model.vocabulary, model_file)

    def make(self, config: Any, model: nn.Module, tokens: Any, tensors: Any) -> LanguageModel:
        return LanguageModel(config, tokens["tokens"], model)

    def tied(self, config: LanguageModelConfig) -> tuple[str, str] | None:
        """The output layer's matrix may be the embedding."""
        return ("softmax.weight", "embedding.weight") if config.model.model.get("tied") else None

    def upgraded_description(self, description: dict[str, Any]) -> dict[str, Any]:
        """Older ones have the keys of ``model`` at the top."""
        return {"model": description}

    def card(self, name: str, bundle: LanguageModel) -> str:
        spec, training = bundle.config.model, bundle.config.training
        options = {"network": "lstmp", "num_layers": 2, "hidden_size": 650, **spec.model}
        text = "running text, with its state carried" if spec.carry_state else "single lines"
        columns = {
            "text": "",
            "perplexity per word": "{[perplexity]:.2f}",
            "open": "{[open perplexity]:.2f}",
            "bits per character": "{[bits per character]:.3f}",
            "words": "{[words]}",
            "unknown": "{[unknown]}",
        }
        return model_card(
            name,
            f"A language model: {options['num_layers']} layers of `{options['network']}`, "
            f"{options['hidden_size']} cells each; {spec.vocabulary} tokens "
            f"({bundle.tokens.kind}), {parameters(bundle.model):,} parameters; trained on {text}.",
            [
                f"    gatedrnn perplexity {name} text.txt",
                f"    gatedrnn generate {name} --prompt 'so'",
                f"    gatedrnn rescore {name} nbest_dev.jsonl nbest_test.jsonl",
            ],
            result_lines(
                training,
                "Of the training's own test; `open` includes the characters of unknown words:",
                columns,
                validation_line(training, "Perplexity of the validation text"),
            ),
        )


LANGUAGE_MODEL = LanguageModelKind()
BUNDLE_KINDS = (LANGUAGE_MODEL,)
read_language_model, load_language_model = LANGUAGE_MODEL.read, LANGUAGE_MODEL.load


def write_language_model(
    folder: str | Path,
    config: LanguageModelConfig,
    tokens: Tokens,
    model: nn.Module,
    more: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> LanguageModelConfig:
    """Writes a bundle of a language model; see :meth:`~gatedrnn.bundle.kind.BundleKind.write`.

    Example
    -------
    >>> from gatedrnn.tokens import Words
    >>> tokens = Words.learn(["GO ON"], special="<eos>")
    >>> spec = TextModelSpec(len(tokens), {"hidden_size": 4})
    >>> folder = getfixture("tmp_path") / "lm"
    >>> _ = write_language_model(folder, LanguageModelConfig(spec), tokens, spec.build())
    >>> read_language_model(folder).tokens.names
    ['<eos>', '<unk>', 'GO', 'ON']
    """
    bundle = LanguageModel(config, tokens, model)
    return LANGUAGE_MODEL.write(folder, bundle, more, overwrite)
