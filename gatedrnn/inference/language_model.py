"""Bundles of language models: plain data, as bundles of recognisers are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from gatedrnn import __version__
from gatedrnn.inference import weights as safe
from gatedrnn.inference.folder import (
    CONFIG,
    FILES,
    TOKENS,
    WEIGHTS,
    FileEntry,
    check_files,
    check_header,
    check_present,
    entry_of,
    read_files,
    read_json,
    replacing,
    write_config,
)
from gatedrnn.lobes.text_specification import TextModelSpec
from gatedrnn.training import text_tokens
from gatedrnn.training.tokens import save

FORMAT = "gatedrnn-language-model"
#: Raised when older programs could not read what newer ones write.
VERSION = 1

_KEYS = ("format", "version", "made_by", "model", "files", "training")
#: The matrix of the output layer, and that of the embedding, which it may be.
_TIED = ("softmax.weight", "embedding.weight")


@dataclass(frozen=True)
class LanguageModelConfig:
    """What ``config.json`` of a language model says.

    Arguments
    ---------
    model : TextModelSpec
        What the model is built of.
    files : Mapping
        Name -> :class:`~gatedrnn.inference.folder.FileEntry`, of the weights and of the tokens.
    training : Mapping
        How the model came to be, for the reader: seed, perplexities.
    made_by : str
        Program and version that wrote the bundle.
    """

    model: TextModelSpec
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    made_by: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain data.

        Returns
        -------
        dict
        """
        return {
            "format": FORMAT,
            "version": VERSION,
            "made_by": self.made_by,
            "model": self.model.to_dict(),
            "files": {name: asdict(entry) for name, entry in self.files.items()},
            "training": dict(self.training),
        }

    @classmethod
    def from_dict(cls, data: Any, path: str | Path) -> LanguageModelConfig:
        """Reads what :meth:`to_dict` gave.

        Arguments
        ---------
        data : Any
            Plain data.
        path : str or Path
            Where it came from, for messages.

        Returns
        -------
        LanguageModelConfig

        Raises
        ------
        ValueError
            If it is something else; it names the file, the key, and what would be right.
        """
        try:
            check_header(data, FORMAT, VERSION, _KEYS)
            training = data.get("training", {})
            if not isinstance(training, Mapping):
                raise ValueError("training must be an object with named values")
            return cls(
                TextModelSpec.from_dict(data["model"]),
                read_files(data["files"]),
                training,
                str(data.get("made_by", "")),
            )
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


@dataclass(frozen=True)
class LanguageModel:
    """A language model, ready to run.

    Arguments
    ---------
    config : LanguageModelConfig
        What it is.
    tokens : TextTokens
        What it predicts.
    model : nn.Module
        Tokens to scores of the next one.
    """

    config: LanguageModelConfig
    tokens: text_tokens.TextTokens
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
    config = LanguageModelConfig.from_dict(read_json(folder), folder / CONFIG)
    check_present(folder)
    path = folder / WEIGHTS
    shapes = safe.read_shapes(path)
    check_files(folder, config.files)
    tokens = _read_tokens(folder / TOKENS, config.model.vocabulary)
    try:
        model = config.model.build_empty()
    except ValueError as error:
        raise ValueError(f"{folder / CONFIG}: {error}") from error
    tied = _TIED if config.model.model.get("tied") else None
    wanted = {name: tuple(v.shape) for name, v in safe.weights_of(model, tied).items()}
    safe.check_shapes(shapes, wanted, path)
    safe.put_weights(model, safe.read_weights(path), tied, assign=True)
    return LanguageModel(config, tokens, model)


def write_language_model(
    folder: str | Path,
    config: LanguageModelConfig,
    tokens: text_tokens.TextTokens,
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
    tokens : TextTokens
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
    >>> tokens = text_tokens.TextWords.learn(["GO ON"])
    >>> spec = TextModelSpec(len(tokens), {"hidden_size": 4})
    >>> folder = getfixture("tmp_path") / "lm"
    >>> _ = write_language_model(folder, LanguageModelConfig(spec), tokens, spec.build())
    >>> read_language_model(folder).tokens.names
    ['<eos>', '<unk>', 'GO', 'ON']
    """
    with replacing(folder, overwrite) as draft:
        safe.write_weights(
            draft / WEIGHTS, model, _TIED if config.model.model.get("tied") else None
        )
        save(tokens, draft / TOKENS)
        config = replace(
            config,
            made_by=f"gatedrnn {__version__}",
            files={name: entry_of(draft / name) for name in FILES},
        )
        write_config(draft, config.to_dict(), more)
    return config


def _read_tokens(path: Path, vocabulary: int) -> text_tokens.TextTokens:
    try:
        tokens = text_tokens.from_dict(json.loads(path.read_text(encoding="utf-8")))
        if not all(isinstance(name, str) for name in (tokens.alphabet, *tokens.names)):
            raise ValueError("names and alphabet must be text")
    except (ValueError, KeyError, TypeError, RuntimeError, RecursionError) as error:
        raise ValueError(f"{path} does not hold the tokens of a language model: {error}") from error
    if len(tokens) != vocabulary:
        raise ValueError(
            f"{path} has {len(tokens)} tokens, and the model of {CONFIG} scores {vocabulary}"
        )
    return tokens
