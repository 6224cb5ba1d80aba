"""Bundles of language models: plain data, as bundles of recognisers are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from gatedrnn.bundle.files import CONFIG, TOKENS
from gatedrnn.bundle.schema import PlainConfig, open_bundle, take_weights, write_plain
from gatedrnn.tasks.language_modeling.specification import TextModelSpec
from gatedrnn.tokens import Tokens, read_text_tokens

#: The matrix of the output layer, and that of the embedding, which it may be.
_TIED = ("softmax.weight", "embedding.weight")


@dataclass(frozen=True)
class LanguageModelConfig(PlainConfig):
    """What ``config.json`` of a language model says.

    Arguments
    ---------
    model : TextModelSpec
        What the model is built of.
    **common : Any
        Of :class:`~gatedrnn.bundle.schema.PlainConfig`.
    """

    model: TextModelSpec

    FORMAT = "gatedrnn-language-model"

    def own(self) -> dict[str, Any]:
        """See :meth:`~gatedrnn.bundle.schema.PlainConfig.own`."""
        return {"model": self.model.to_dict()}

    @classmethod
    def read_own(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """See :meth:`~gatedrnn.bundle.schema.PlainConfig.read_own`."""
        return {"model": TextModelSpec.from_dict(data["model"])}


@dataclass(frozen=True)
class LanguageModel:
    """A language model, ready to run.

    Arguments
    ---------
    config : LanguageModelConfig
        What it is.
    tokens : Tokens
        What it predicts.
    model : nn.Module
        Tokens to scores of the next one.
    """

    config: LanguageModelConfig
    tokens: Tokens
    model: nn.Module


def read_language_model(folder: str | Path) -> LanguageModel:
    """Reads a bundle of a language model, on the CPU.

    What its files say is compared with each other before memory is taken for weights.

    Arguments
    ---------
    folder : str or Path
        The bundle.

    Returns
    -------
    LanguageModel

    Raises
    ------
    FileNotFoundError
        If the folder or a file of it is missing.
    ValueError
        If a file is broken, or does not fit the others; it names the file, what is wrong, and what
        would be right.
    """
    folder = Path(folder)
    config, shapes = open_bundle(folder, LanguageModelConfig)
    tokens = read_text_tokens(folder / TOKENS, config.model.vocabulary)
    try:
        empty = config.model.build_empty()
    except ValueError as error:
        raise ValueError(f"{folder / CONFIG}: {error}") from error
    return LanguageModel(config, tokens, take_weights(folder, shapes, empty, _tied(config)))


def write_language_model(
    folder: str | Path,
    config: LanguageModelConfig,
    tokens: Tokens,
    model: nn.Module,
    more: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> LanguageModelConfig:
    """Writes a bundle of a language model, whole or not at all.

    Arguments
    ---------
    folder : str or Path
        The bundle.
    config : LanguageModelConfig
        What it is; sizes and checksums of the files are filled in.
    tokens : Tokens
        What it predicts.
    model : nn.Module
        Built as ``config.model`` says.
    more : Mapping or None
        Name -> text of further files.
    overwrite : bool
        Whether a bundle that is there already may be replaced.

    Returns
    -------
    LanguageModelConfig
        As it was written.

    Raises
    ------
    FileExistsError
        If there is something in the folder that may not be replaced.

    Example
    -------
    >>> from gatedrnn.tokens import Words
    >>> tokens = Words.learn(["GO ON"], "<eos>")
    >>> spec = TextModelSpec(len(tokens), {"hidden_size": 4})
    >>> folder = getfixture("tmp_path") / "lm"
    >>> _ = write_language_model(folder, LanguageModelConfig(spec), tokens, spec.build())
    >>> read_language_model(folder).tokens.names
    ['<eos>', '<unk>', 'GO', 'ON']
    """
    return write_plain(folder, config, model, {TOKENS: tokens}, _tied(config), more, overwrite)


def _tied(config: LanguageModelConfig) -> tuple[str, str] | None:
    return _TIED if config.model.model.get("tied") else None
