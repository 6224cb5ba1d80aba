"""Bundles of translators: plain data, as bundles of recognisers are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gatedrnn.bundle.files import CONFIG, WEIGHTS
from gatedrnn.bundle.schema import PlainConfig, open_bundle, take_weights, write_plain
from gatedrnn.data.config_validation import boolean, check, number, whole
from gatedrnn.seq2seq.search import SearchOptions
from gatedrnn.tasks.captioning.bundle import TIED
from gatedrnn.tasks.translation.corpora import Languages
from gatedrnn.tasks.translation.model import Translator, TranslatorSpec
from gatedrnn.tokens import Tokens, read_text_tokens

#: Tokens of the language that is read, and of that which is written.
SOURCE_TOKENS, TARGET_TOKENS = "source_tokens.json", "target_tokens.json"

_SEARCH = {
    "beam_size": whole(1, 1000),
    "max_length": whole(1, 1 << 20),
    "min_length": whole(0, 1 << 20),
    "length_penalty": number(0, 1e6),
    "groups": whole(1, 1000),
    "diversity": number(0, 1e6),
    "temperature": number(0, 1e6),
    "block_ngrams": whole(0, 1 << 20),
    "unknown": boolean,
}


def search_from_dict(data: Any) -> SearchOptions:
    """Reads how translations are searched for.

    Arguments
    ---------
    data : Any
        Plain data.

    Returns
    -------
    SearchOptions

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
        return SearchOptions(**data)
    except ValueError as error:
        raise ValueError(f"search: {error}") from error


@dataclass(frozen=True)
class TranslatorConfig(PlainConfig):
    """What ``config.json`` of a translator says.

    Arguments
    ---------
    model : TranslatorSpec
        What the translator is built of.
    languages : Languages
        What it reads and writes.
    search : SearchOptions
        That of the training's test.
    **common : Any
        Of :class:`~gatedrnn.bundle.schema.PlainConfig`.
    """

    model: TranslatorSpec
    languages: Languages
    search: SearchOptions = field(default_factory=SearchOptions)

    FORMAT = "gatedrnn-translator"
    FILES = (WEIGHTS, SOURCE_TOKENS, TARGET_TOKENS)
    KEYS = ("model", "languages", "search")

    def own(self) -> dict[str, Any]:
        """See :meth:`~gatedrnn.bundle.schema.PlainConfig.own`."""
        parts = {"model": self.model.to_dict(), "languages": self.languages.to_dict()}
        return parts | {"search": asdict(self.search)}

    @classmethod
    def read_own(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """See :meth:`~gatedrnn.bundle.schema.PlainConfig.read_own`."""
        return {
            "model": TranslatorSpec.from_dict(data["model"]),
            "languages": Languages.from_dict(data.get("languages")),
            "search": search_from_dict(data.get("search", {})),
        }


@dataclass(frozen=True)
class TranslatorBundle:
    """A translator, ready to run.

    Arguments
    ---------
    config : TranslatorConfig
        What it is.
    source, target : Tokens
        Of the language that is read, and of that which is written.
    model : Translator
        Tokens to tokens.
    """

    config: TranslatorConfig
    source: Tokens
    target: Tokens
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
    config, shapes = open_bundle(folder, TranslatorConfig)
    source = read_text_tokens(folder / SOURCE_TOKENS, config.model.source)
    target = read_text_tokens(folder / TARGET_TOKENS, config.model.vocabulary)
    try:
        empty = config.model.build_empty()
    except ValueError as error:
        raise ValueError(f"{folder / CONFIG}: {error}") from error
    model = take_weights(folder, shapes, empty, _tied(config))
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
    >>> from gatedrnn.tokens import Words
    >>> words = Words.learn(["guten Tag", "good day"], "<eos>")
    >>> sizes = {"network": "ran", "hidden_size": 4, "embedding_size": 4}
    >>> spec = TranslatorSpec(len(words), len(words), sizes, sizes)
    >>> found = TranslatorBundle(
    ...     TranslatorConfig(spec, Languages("de", "en")), words, words, spec.build())
    >>> folder = getfixture("tmp_path") / "translator"
    >>> _ = write_translator(folder, found)
    >>> read_translator(folder).config.languages.target
    'en'
    """
    tokens = {SOURCE_TOKENS: found.source, TARGET_TOKENS: found.target}
    tied = _tied(found.config)
    return write_plain(folder, found.config, found.model, tokens, tied, more, overwrite)


def _tied(config: TranslatorConfig) -> tuple[str, str] | None:
    return TIED if config.model.decoder.get("tied") else None
