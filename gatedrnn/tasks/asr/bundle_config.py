"""``config.json`` of a bundle: plain data, checked before anything is built or allocated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from gatedrnn.bundle.files import CONFIG, FileEntry, check_header, only, read_files, read_json
from gatedrnn.tasks.asr.decode import SearchOptions
from gatedrnn.tasks.asr.lm_integration import FOLDER
from gatedrnn.tasks.asr.specification import RecogniserSpec

FORMAT = "gatedrnn-recogniser"
#: Raised when older programs could not read what newer ones write.
VERSION = 2
#: What a bundle without a language model is, which older programs read.
_WITHOUT = 1

#: Keys of ``language_model``, in :class:`SearchOptions` with ``lm_`` in front.
_LM_KEYS = ("mode", "weight", "insertion", "internal")
_KEYS = ("format", "version", "made_by", "model", "search", "language_model", "files", "training")


@dataclass(frozen=True)
class BundleConfig:
    """What ``config.json`` says.

    Arguments
    ---------
    model : RecogniserSpec
        What the recogniser is built of.
    search : SearchOptions
        Options of the search of the training's test; ``lm_*`` those of the language model in the
        subfolder ``lm``, with ``lm_mode`` None if there is none.
    files : Mapping
        Name -> :class:`FileEntry`, of the weights and of the tokens.
    training : Mapping
        How the model came to be, for the reader: corpus, seed, word error rates.
    made_by : str
        Program and version that wrote the bundle.

    Raises
    ------
    ValueError
        If such a recogniser cannot use a language model so.

    Example
    -------
    >>> from gatedrnn.bundle.files import FILES
    >>> spec = RecogniserSpec(30, {"num_layers": 2})
    >>> files = {name: FileEntry(3, "0" * 64) for name in FILES}
    >>> config = BundleConfig(spec, SearchOptions(beam_size=4), files)
    >>> BundleConfig.from_dict(config.to_dict(), "config.json") == config
    True
    """

    model: RecogniserSpec
    search: SearchOptions = SearchOptions()
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    made_by: str = ""

    def __post_init__(self) -> None:
        if self.search.lm_mode is not None:
            try:
                self.search.check_language_model(self.model.head)
            except ValueError as error:
                raise ValueError(f"language_model: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain data.

        Returns
        -------
        dict
        """
        without = self.search.lm_mode is None
        return {
            "format": FORMAT,
            "version": _WITHOUT if without else VERSION,
            "made_by": self.made_by,
            "model": self.model.to_dict(),
            **_search_to_dict(self.search),
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
        search, training = _read_search(data), data.get("training", {})
        if not isinstance(training, Mapping):
            raise ValueError("training must be an object with named values")
        return cls(
            RecogniserSpec.from_dict(data["model"]),
            search,
            read_files(data["files"]),
            training,
            str(data.get("made_by", "")),
        )


def _search_to_dict(search: SearchOptions) -> dict[str, Any]:
    """Keys ``search`` and ``language_model``; options at their defaults are left out of ``search``,
    so that programs which do not know them can read the bundle."""
    values = asdict(search)
    language_model = {name: values.pop(f"lm_{name}") for name in _LM_KEYS}
    options = {name: v for name, v in values.items() if v != getattr(SearchOptions, name)}
    parts = {"search": {"beam_size": search.beam_size, **options}}
    if search.lm_mode is not None:
        parts["language_model"] = {"folder": FOLDER, **language_model}
    return parts


def _read_search(data: Mapping[str, Any]) -> SearchOptions:
    options = data.get("search", {})
    names = [name for name in SearchOptions.__dataclass_fields__ if not name.startswith("lm_")]
    only(options, names, "search: ")
    try:
        search = SearchOptions(**options)
    except ValueError as error:
        raise ValueError(f"search: {error}") from error
    if "language_model" not in data:
        return search
    language_model = data["language_model"]
    only(language_model, ("folder", *_LM_KEYS), "language_model: ")
    if language_model.get("folder") != FOLDER:
        raise ValueError(
            f"language_model: folder must be {FOLDER!r}, in the bundle's own folder, not "
            f"{language_model.get('folder')!r}"
        )
    if language_model.get("mode") is None:
        raise ValueError("language_model: mode must be fusion or rescoring, not None")
    values = {f"lm_{name}": language_model[name] for name in _LM_KEYS if name in language_model}
    try:
        return replace(search, **values)
    except ValueError as error:
        raise ValueError(f"language_model: {error}".replace("lm_", "")) from error


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
