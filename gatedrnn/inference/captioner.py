"""Bundles of captioners: plain data, as bundles of recognisers are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from gatedrnn import __version__
from gatedrnn.dataio.captions import Vocabulary
from gatedrnn.dataio.captions.loading import MediaOptions
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
    only,
    read_files,
    read_json,
    replacing,
    write_config,
)
from gatedrnn.lobes.captions import Captioner, CaptionerSpec
from gatedrnn.training.caption_run import load_vocabulary
from gatedrnn.training.tokens import save

FORMAT = "gatedrnn-captioner"
#: Raised when older programs could not read what newer ones write.
VERSION = 1

_KEYS = ("format", "version", "made_by", "model", "media", "search", "files", "training")
#: Of a decoder the matrix of the output layer, and that of the embedding, which it may be.
TIED = ("decoder.softmax.weight", "decoder.embedding.weight")


@dataclass(frozen=True)
class CaptionerConfig:
    """What ``config.json`` of a captioner says.

    Arguments
    ---------
    model : CaptionerSpec
        What the captioner is built of.
    media : MediaOptions
        What it is given.
    beam_size : int
        That of the training's test.
    files : Mapping
        Name -> :class:`~gatedrnn.inference.folder.FileEntry`, of the weights and of the words.
    training : Mapping
        How the captioner came to be, for the reader: seed, scores.
    made_by : str
        Program and version that wrote the bundle.

    Raises
    ------
    ValueError
        If the encoder reads other media than these, or the beam size is no such number.
    """

    model: CaptionerSpec
    media: MediaOptions
    beam_size: int = 1
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    made_by: str = ""

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
            "media": self.media.to_dict(),
            "search": {"beam_size": self.beam_size},
            "files": {name: asdict(entry) for name, entry in self.files.items()},
            "training": dict(self.training),
        }

    @classmethod
    def from_dict(cls, data: Any, path: str | Path) -> CaptionerConfig:
        """Reads what :meth:`to_dict` gave.

        Arguments
        ---------
        data : Any
            Plain data.
        path : str or Path
            Where it came from, for messages.

        Returns
        -------
        CaptionerConfig

        Raises
        ------
        ValueError
            If it is something else; it names the file, the key, and what would be right.
        """
        try:
            check_header(data, FORMAT, VERSION, _KEYS)
            training, search = data.get("training", {}), data.get("search", {})
            if not isinstance(training, Mapping):
                raise ValueError("training must be an object with named values")
            only(search, ("beam_size",), "search: ")
            return cls(
                CaptionerSpec.from_dict(data["model"]),
                MediaOptions.from_dict(data.get("media", {})),
                search.get("beam_size", 1),
                read_files(data["files"]),
                training,
                str(data.get("made_by", "")),
            )
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


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
    config = CaptionerConfig.from_dict(read_json(folder), folder / CONFIG)
    check_present(folder)
    path = folder / WEIGHTS
    shapes = safe.read_shapes(path)
    check_files(folder, config.files)
    vocabulary = load_vocabulary(folder / TOKENS)
    if len(vocabulary) != config.model.vocabulary:
        raise ValueError(
            f"{folder / TOKENS} has {len(vocabulary)} words, and the model of {CONFIG} scores "
            f"{config.model.vocabulary}"
        )
    try:
        tied = TIED if config.model.decoder.get("tied") else None
        empty = safe.weights_of(config.model.build_empty(), tied)
        safe.check_shapes(shapes, {name: tuple(v.shape) for name, v in empty.items()}, path)
        # Not the empty one with weights put in: encoders also hold tables that no file has.
        model = config.model.build()
    except ValueError as error:
        where = "" if str(folder) in str(error) else f"{folder / CONFIG}: "
        raise ValueError(f"{where}{error}") from error
    safe.put_weights(model, safe.read_weights(path), tied)
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
    with replacing(folder, overwrite) as draft:
        tied = TIED if found.config.model.decoder.get("tied") else None
        safe.write_weights(draft / WEIGHTS, found.model, tied)
        save(found.vocabulary, draft / TOKENS)
        config = replace(
            found.config,
            made_by=f"gatedrnn {__version__}",
            files={name: entry_of(draft / name) for name in FILES},
        )
        write_config(draft, config.to_dict(), more)
    return config
