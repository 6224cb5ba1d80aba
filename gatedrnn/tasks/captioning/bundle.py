"""Bundles of captioners: plain data, as bundles of recognisers are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatedrnn.bundle.files import CONFIG, TOKENS, only
from gatedrnn.bundle.schema import PlainConfig, open_bundle, take_weights, write_plain
from gatedrnn.tasks.captioning.corpora.media import MediaOptions
from gatedrnn.tasks.captioning.model import Captioner
from gatedrnn.tasks.captioning.specification import CaptionerSpec
from gatedrnn.tokens import Vocabulary, load_vocabulary

#: Of a decoder the matrix of the output layer, and that of the embedding, which it may be.
TIED = ("decoder.softmax.weight", "decoder.embedding.weight")


@dataclass(frozen=True)
class CaptionerConfig(PlainConfig):
    """What ``config.json`` of a captioner says.

    Arguments
    ---------
    model : CaptionerSpec
        What the captioner is built of.
    media : MediaOptions
        What it is given.
    beam_size : int
        That of the training's test.
    **common : Any
        Of :class:`~gatedrnn.bundle.schema.PlainConfig`.

    Raises
    ------
    ValueError
        If the encoder reads other media than these, or the beam size is no such number.
    """

    model: CaptionerSpec
    media: MediaOptions
    beam_size: int = 1

    FORMAT = "gatedrnn-captioner"
    KEYS = ("model", "media", "search")

    def __post_init__(self) -> None:
        if self.model.media != self.media.kind:
            raise ValueError(
                f"media: kind must be {self.model.media!r}, which the encoder {self.model.kind} "
                f"reads, not {self.media.kind!r}"
            )
        if type(self.beam_size) is not int or not 1 <= self.beam_size <= 1000:
            raise ValueError(
                f"search: beam_size must be a whole number from 1 to 1000, not {self.beam_size!r}"
            )

    def own(self) -> dict[str, Any]:
        """See :meth:`~gatedrnn.bundle.schema.PlainConfig.own`."""
        parts = {"model": self.model.to_dict(), "media": self.media.to_dict()}
        return parts | {"search": {"beam_size": self.beam_size}}

    @classmethod
    def read_own(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """See :meth:`~gatedrnn.bundle.schema.PlainConfig.read_own`."""
        search = data.get("search", {})
        only(search, ("beam_size",), "search: ")
        return {
            "model": CaptionerSpec.from_dict(data["model"]),
            "media": MediaOptions.from_dict(data.get("media", {})),
            "beam_size": search.get("beam_size", 1),
        }


@dataclass(frozen=True)
class CaptionerBundle:
    """A captioner, ready to run.

    Arguments
    ---------
    config : CaptionerConfig
        What it is.
    vocabulary : Vocabulary
        The words that it knows.
    model : Captioner
        Media to words.
    """

    config: CaptionerConfig
    vocabulary: Vocabulary
    model: Captioner


def read_captioner(folder: str | Path) -> CaptionerBundle:
    """Reads a bundle of a captioner, on the CPU.

    What its files say is compared with each other before memory is taken for weights.

    Arguments
    ---------
    folder : str or Path
        The bundle.

    Returns
    -------
    CaptionerBundle

    Raises
    ------
    FileNotFoundError
        If the folder or a file of it is missing.
    ValueError
        If a file is broken, or does not fit the others; it names the file, what is wrong, and what
        would be right.
    ImportError
        If the encoder is one of torchvision, and that is not installed.
    """
    folder = Path(folder)
    config, shapes = open_bundle(folder, CaptionerConfig)
    vocabulary = load_vocabulary(folder / TOKENS, config.model.vocabulary)
    try:
        empty = config.model.build_empty()
        # Not the empty one with weights put in: encoders also hold tables that no file has.
        model = take_weights(folder, shapes, empty, _tied(config), config.model.build)
    except ValueError as error:
        where = "" if str(folder) in str(error) else f"{folder / CONFIG}: "
        raise ValueError(f"{where}{error}") from error
    return CaptionerBundle(config, vocabulary, model)


def write_captioner(
    folder: str | Path,
    found: CaptionerBundle,
    more: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> CaptionerConfig:
    """Writes a bundle of a captioner, whole or not at all.

    Arguments
    ---------
    folder : str or Path
        The bundle.
    found : CaptionerBundle
        The captioner; sizes and checksums of the files are filled in.
    more : Mapping or None
        Name -> text of further files.
    overwrite : bool
        Whether a bundle that is there already may be replaced.

    Returns
    -------
    CaptionerConfig
        As it was written.

    Raises
    ------
    FileExistsError
        If there is something in the folder that may not be replaced.

    Example
    -------
    >>> words = Vocabulary(("<eos>", "<unk>", "a", "dog"))
    >>> spec = CaptionerSpec(4, "image", {"channels": [4], "width": 8}, {"hidden_size": 4})
    >>> config = CaptionerConfig(spec, MediaOptions("image", 16, 16))
    >>> folder = getfixture("tmp_path") / "captioner"
    >>> _ = write_captioner(folder, CaptionerBundle(config, words, spec.build()))
    >>> read_captioner(folder).vocabulary.names
    ('<eos>', '<unk>', 'a', 'dog')
    """
    tokens, tied = {TOKENS: found.vocabulary}, _tied(found.config)
    return write_plain(folder, found.config, found.model, tokens, tied, more, overwrite)


def _tied(config: CaptionerConfig) -> tuple[str, str] | None:
    return TIED if config.model.decoder.get("tied") else None
