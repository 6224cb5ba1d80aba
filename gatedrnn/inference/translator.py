"""Bundles of translators: plain data, as bundles of recognisers are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from gatedrnn import __version__
from gatedrnn.dataio.parallel import Languages
from gatedrnn.decoding.captions import CaptionSearch
from gatedrnn.inference import weights as safe
from gatedrnn.inference.captioner import TIED
from gatedrnn.inference.folder import (
    CONFIG,
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
from gatedrnn.lobes.rules import boolean, check, number, whole
from gatedrnn.lobes.translator import Translator, TranslatorSpec
from gatedrnn.training import text_tokens
from gatedrnn.training.tokens import save

FORMAT = "gatedrnn-translator"
#: Raised when older programs could not read what newer ones write.
VERSION = 1

#: Tokens of the language that is read, and of that which is written.
SOURCE_TOKENS, TARGET_TOKENS = "source_tokens.json", "target_tokens.json"
FILES = (WEIGHTS, SOURCE_TOKENS, TARGET_TOKENS)

_KEYS = ("format", "version", "made_by", "model", "languages", "search", "files", "training")
_SEARCH = {
    "beam_size": whole(1, 1000),
    "max_length": whole(1, 1 << 20),
    "min_length": whole(0, 1 << 20),
    "length_penalty": number(0, 1000),
    "groups": whole(1, 1000),
    "diversity": number(0, 1e6),
    "temperature": number(0, 1e6),
    "block_ngrams": whole(0, 1 << 20),
    "unknown": boolean,
}


def search_from_dict(data: Any) -> CaptionSearch:
    """Reads how translations are searched for.

    Arguments
    ---------
    data : Any
        Plain data.

    Returns
    -------
    CaptionSearch

    Raises
    ------
    ValueError
        If it is something else; it names the key.

    Example
    -------
    >>> search_from_dict({"beam_size": 3, "max_length": 50}).beam_size
    3
    """
    check(data, _SEARCH, "search")
    try:
        return CaptionSearch(**data)
    except ValueError as error:
        raise ValueError(f"search: {error}") from error


@dataclass(frozen=True)
class TranslatorConfig:
    """What ``config.json`` of a translator says.

    Arguments
    ---------
    model : TranslatorSpec
        What the translator is built of.
    languages : Languages
        What it reads and writes.
    search : CaptionSearch
        That of the training's test.
    files : Mapping
        Name -> :class:`~gatedrnn.inference.folder.FileEntry`, of the weights and of the tokens.
    training : Mapping
        How the translator came to be, for the reader: seed, scores.
    made_by : str
        Program and version that wrote the bundle.
    """

    model: TranslatorSpec
    languages: Languages
    search: CaptionSearch = field(default_factory=CaptionSearch)
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
            "languages": self.languages.to_dict(),
            "search": asdict(self.search),
            "files": {name: asdict(entry) for name, entry in self.files.items()},
            "training": dict(self.training),
        }

    @classmethod
    def from_dict(cls, data: Any, path: str | Path) -> TranslatorConfig:
        """Reads what :meth:`to_dict` gave.

        Arguments
        ---------
        data : Any
            Plain data.
        path : str or Path
            Where it came from, for messages.

        Returns
        -------
        TranslatorConfig

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
                TranslatorSpec.from_dict(data["model"]),
                Languages.from_dict(data.get("languages")),
                search_from_dict(data.get("search", {})),
                read_files(data["files"], FILES),
                training,
                str(data.get("made_by", "")),
            )
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


@dataclass(frozen=True)
class TranslatorBundle:
    """A translator, ready to run.

    Arguments
    ---------
    config : TranslatorConfig
        What it is.
    source, target : TextTokens
        Of the language that is read, and of that which is written.
    model : Translator
        Tokens to tokens.
    """

    config: TranslatorConfig
    source: text_tokens.TextTokens
    target: text_tokens.TextTokens
    model: Translator


def read_translator(folder: str | Path) -> TranslatorBundle:
    """Reads a bundle of a translator, on the CPU.

    What its files say is compared with each other before memory is taken for weights.

    Arguments
    ---------
    folder : str or Path
        The bundle.

    Returns
    -------
    TranslatorBundle

    Raises
    ------
    FileNotFoundError
        If the folder or a file of it is missing.
    ValueError
        If a file is broken, or does not fit the others; it names the file, what is wrong, and what
        would be right.
    """
    folder = Path(folder)
    config = TranslatorConfig.from_dict(read_json(folder), folder / CONFIG)
    check_present(folder, FILES)
    path = folder / WEIGHTS
    shapes = safe.read_shapes(path)
    check_files(folder, config.files)
    source = _read_tokens(folder / SOURCE_TOKENS, config.model.source, "reads")
    target = _read_tokens(folder / TARGET_TOKENS, config.model.vocabulary, "writes")
    try:
        model = config.model.build_empty()
    except ValueError as error:
        raise ValueError(f"{folder / CONFIG}: {error}") from error
    tied = _tied(config)
    wanted = {name: tuple(v.shape) for name, v in safe.weights_of(model, tied).items()}
    safe.check_shapes(shapes, wanted, path)
    safe.put_weights(model, safe.read_weights(path), tied, assign=True)
    return TranslatorBundle(config, source, target, model)


def write_translator(
    folder: str | Path,
    found: TranslatorBundle,
    more: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> TranslatorConfig:
    """Writes a bundle of a translator, whole or not at all.

    Arguments
    ---------
    folder : str or Path
        The bundle.
    found : TranslatorBundle
        The translator; sizes and checksums of the files are filled in.
    more : Mapping or None
        Name -> text of further files.
    overwrite : bool
        Whether a bundle that is there already may be replaced.

    Returns
    -------
    TranslatorConfig
        As it was written.

    Raises
    ------
    FileExistsError
        If there is something in the folder that may not be replaced.

    Example
    -------
    >>> words = text_tokens.TextWords.learn(["guten Tag", "good day"])
    >>> sizes = {"network": "ran", "hidden_size": 4, "embedding_size": 4}
    >>> spec = TranslatorSpec(len(words), len(words), sizes, sizes)
    >>> found = TranslatorBundle(
    ...     TranslatorConfig(spec, Languages("de", "en")), words, words, spec.build())
    >>> folder = getfixture("tmp_path") / "translator"
    >>> _ = write_translator(folder, found)
    >>> read_translator(folder).config.languages.target
    'en'
    """
    with replacing(folder, overwrite) as draft:
        safe.write_weights(draft / WEIGHTS, found.model, _tied(found.config))
        save(found.source, draft / SOURCE_TOKENS)
        save(found.target, draft / TARGET_TOKENS)
        config = replace(
            found.config,
            made_by=f"gatedrnn {__version__}",
            files={name: entry_of(draft / name) for name in FILES},
        )
        write_config(draft, config.to_dict(), more)
    return config


def _tied(config: TranslatorConfig) -> tuple[str, str] | None:
    return TIED if config.model.decoder.get("tied") else None


def _read_tokens(path: Path, count: int, does: str) -> text_tokens.TextTokens:
    try:
        tokens = text_tokens.from_dict(json.loads(path.read_text(encoding="utf-8")))
        if not all(isinstance(name, str) for name in (tokens.alphabet, *tokens.names)):
            raise ValueError("names and alphabet must be text")
    except (ValueError, KeyError, TypeError, RuntimeError, RecursionError) as error:
        raise ValueError(f"{path} does not hold the tokens of a language: {error}") from error
    if len(tokens) != count:
        raise ValueError(
            f"{path} has {len(tokens)} tokens, and the model of {CONFIG} {does} {count}"
        )
    return tokens
