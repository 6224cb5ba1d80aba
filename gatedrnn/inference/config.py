"""``config.json`` of a bundle: plain data, checked before anything is built or allocated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gatedrnn.lobes.specification import RecogniserSpec

FORMAT = "gatedrnn-recogniser"
#: Raised when older programs could not read what newer ones write.
VERSION = 1

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENS = "tokens.json"
#: The files that a bundle lists with their sizes and checksums.
FILES = (WEIGHTS, TOKENS)
#: No honest one comes near it.
LARGEST_CONFIG = 1 << 20

_KEYS = ("format", "version", "made_by", "model", "search", "files", "training")


@dataclass(frozen=True)
class FileEntry:
    """A file of a bundle.

    Arguments
    ---------
    bytes : int
        Its size.
    sha256 : str
        Its checksum, in hexadecimal.
    """

    bytes: int
    sha256: str


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

    Example
    -------
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
            "search": {"beam_size": self.beam_size},
            "files": {
                name: {"bytes": entry.bytes, "sha256": entry.sha256}
                for name, entry in self.files.items()
            },
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
        if not isinstance(data, Mapping):
            raise ValueError("must hold an object with named values")
        if data.get("format") != FORMAT:
            raise ValueError(f"format must be {FORMAT!r}, not {data.get('format')!r}")
        version = data.get("version")
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise ValueError(f"version must be a whole number, not {version!r}")
        if version > VERSION:
            raise ValueError(
                f"version {version} is newer than what this gatedrnn reads ({VERSION}): update it"
            )
        _only(data, _KEYS, "")
        for key in ("model", "files"):
            if key not in data:
                raise ValueError(f"there is no key {key!r}")
        search, training = data.get("search", {}), data.get("training", {})
        _only(search, ("beam_size",), "search: ")
        beam_size = search.get("beam_size", 1)
        if not isinstance(beam_size, int) or isinstance(beam_size, bool) or beam_size < 1:
            raise ValueError(f"search: beam_size must be a whole number from 1, not {beam_size!r}")
        if not isinstance(training, Mapping):
            raise ValueError("training must be an object with named values")
        return cls(
            RecogniserSpec.from_dict(data["model"]),
            beam_size,
            _files(data["files"]),
            training,
            str(data.get("made_by", "")),
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
    folder = Path(folder)
    path = folder / CONFIG
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such bundle (a folder that gatedrnn export makes)")
    if not path.is_file():
        hint = ""
        if (folder / "save").is_dir():
            hint = f"; it is a training's folder: gatedrnn export {folder} BUNDLE makes one of it"
        raise FileNotFoundError(f"{folder} is no bundle: it has no {CONFIG}{hint}")
    if path.stat().st_size > LARGEST_CONFIG:
        raise ValueError(f"{path}: {path.stat().st_size} bytes are too many for a bundle's config")
    try:
        data = json.loads(path.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    return BundleConfig.from_dict(data, path)


def _files(data: Any) -> dict[str, FileEntry]:
    if not isinstance(data, Mapping):
        raise ValueError("files must be an object with named values")
    for name in data:
        if name not in FILES:
            raise ValueError(
                f"files: {name!r} is not a file of a bundle; these are {' and '.join(FILES)}, and "
                "they lie in the bundle's own folder"
            )
    entries = {}
    for name in FILES:
        if name not in data:
            raise ValueError(f"files: {name} is not listed")
        entry = data[name]
        _only(entry, ("bytes", "sha256"), f"files: {name}: ")
        size, checksum = entry.get("bytes"), entry.get("sha256")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ValueError(f"files: {name}: bytes must be a whole number, not {size!r}")
        if not isinstance(checksum, str) or len(checksum) != 64:
            raise ValueError(f"files: {name}: sha256 must be 64 hexadecimal digits")
        entries[name] = FileEntry(size, checksum)
    return entries


def _only(data: Any, known: tuple[str, ...], place: str) -> None:
    if not isinstance(data, Mapping):
        raise ValueError(f"{place or 'it '}must be an object with named values, not {data!r}")
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise ValueError(f"{place}unknown key {unknown[0]!r}; known are {', '.join(known)}")
