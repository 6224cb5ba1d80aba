"""``config.json`` of a bundle: plain data, checked before anything is built or allocated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gatedrnn.bundle.files import CONFIG, FileEntry, check_header, only, read_files, read_json
from gatedrnn.tasks.asr.lm_integration import LanguageUse
from gatedrnn.tasks.asr.specification import RecogniserSpec

FORMAT = "gatedrnn-recogniser"
#: Raised when older programs could not read what newer ones write.
VERSION = 2
#: What a bundle without a language model is, which older programs read.
_WITHOUT = 1

_KEYS = ("format", "version", "made_by", "model", "search", "language_model", "files", "training")


@dataclass(frozen=True)
class BundleConfig:
    """What ``config.json`` says.

    Arguments
    ---------
    model : RecogniserSpec
        What the recogniser is built of.
    beam_size : int
        Width of the beam with which the training's test was done; 1 for the greedy search.
    files : Mapping
        Name -> :class:`FileEntry`, of the weights and of the tokens.
    training : Mapping
        How the model came to be, for the reader: corpus, seed, word error rates.
    made_by : str
        Program and version that wrote the bundle.
    language : LanguageUse or None
        How it uses the language model that lies in its folder ``lm``; None if there is none.

    Raises
    ------
    ValueError
        If such a recogniser cannot use a language model so.

    Example
    -------
    >>> from gatedrnn.bundle.files import FILES
    >>> spec = RecogniserSpec(30, {"num_layers": 2})
    >>> files = {name: FileEntry(3, "0" * 64) for name in FILES}
    >>> config = BundleConfig(spec, beam_size=4, files=files)
    >>> BundleConfig.from_dict(config.to_dict(), "config.json") == config
    True
    """

    model: RecogniserSpec
    beam_size: int = 1
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    made_by: str = ""
    language: LanguageUse | None = None

    def __post_init__(self) -> None:
        if self.language is not None:
            try:
                self.language.check(self.model.head, self.beam_size)
            except ValueError as error:
                raise ValueError(f"language_model: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain data.

        Returns
        -------
        dict
        """
        without = self.language is None
        return {
            "format": FORMAT,
            "version": _WITHOUT if without else VERSION,
            "made_by": self.made_by,
            "model": self.model.to_dict(),
            "search": {"beam_size": self.beam_size},
            **({} if without else {"language_model": self.language.to_dict()}),
            "files": {name: asdict(entry) for name, entry in self.files.items()},
            "training": dict(self.training),
        }

    @classmethod
    def from_dict(cls, data: Any, path: str | Path) -> BundleConfig:
        """Reads what :meth:`to_dict` gave.

        Arguments
        ---------
        data : Any
            Plain data.
        path : str or Path
            Where it came from, for messages.

        Returns
        -------
        BundleConfig

        Raises
        ------
        ValueError
            If it is something else; it names the file, the key, and what would be right.
        """
        try:
            return cls._read(data)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def _read(cls, data: Any) -> BundleConfig:
        check_header(data, FORMAT, VERSION, _KEYS)
        search, training = data.get("search", {}), data.get("training", {})
        only(search, ("beam_size",), "search: ")
        beam_size = search.get("beam_size", 1)
        if not isinstance(beam_size, int) or isinstance(beam_size, bool) or beam_size < 1:
            raise ValueError(f"search: beam_size must be a whole number from 1, not {beam_size!r}")
        if not isinstance(training, Mapping):
            raise ValueError("training must be an object with named values")
        return cls(
            RecogniserSpec.from_dict(data["model"]),
            beam_size,
            read_files(data["files"]),
            training,
            str(data.get("made_by", "")),
            LanguageUse.from_dict(data["language_model"]) if "language_model" in data else None,
        )


def read_config(folder: str | Path) -> BundleConfig:
    """Reads ``config.json`` of a bundle.

    Arguments
    ---------
    folder : str or Path
        The bundle.

    Returns
    -------
    BundleConfig

    Raises
    ------
    FileNotFoundError
        If the folder or the file is missing.
    ValueError
        If the file is something else than a bundle's config.
    """
    return BundleConfig.from_dict(read_json(folder), Path(folder) / CONFIG)
