"""Files of a bundle: ``config.json``, weights and tokens; checked before they are read."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from gatedrnn.data.config import Config, ConfigError, Range, check_keys, from_mapping, to_dict

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENS = "tokens.json"
#: Limits of a config, in bytes, and of the files of a bundle; far above those of any model.
_LARGEST_CONFIG, _LARGEST_FILE = 1 << 20, 1 << 40

C = TypeVar("C", bound="BundleConfig")


@dataclass(frozen=True)
class FileEntry(Config):
    """Size and checksum (64 hexadecimal digits) of a file of a bundle."""

    bytes: Annotated[int, Range(0, _LARGEST_FILE)]
    sha256: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.sha256) != 64:
            raise ValueError(f"sha256 must be 64 hexadecimal digits, not {self.sha256[:80]!r}")

    @classmethod
    def of(cls, path: Path) -> FileEntry:
        """The entry of a file, which is read."""
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return cls(path.stat().st_size, digest.hexdigest())


@dataclass(frozen=True, kw_only=True)
class BundleConfig(Config):
    """Content of ``config.json``; subclasses add ``model`` and what else a kind of bundle has.

    Arguments
    ---------
    files : Mapping
        Name -> :class:`FileEntry`, of the weights and of the tokens.
    training : Mapping
        How the model was trained, for the reader: seed, epochs, test results.
    made_by : str
        Program and version that wrote the bundle.
    """

    files: Mapping[str, FileEntry] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    made_by: str = ""

    #: ``format`` of the file; ``version`` is raised when older programs could not read newer files.
    FORMAT: ClassVar[str]
    VERSION: ClassVar[int] = 1
    #: The files that may be listed; see :attr:`file_names`.
    FILES: ClassVar[tuple[str, ...]] = (WEIGHTS, TOKENS)
    #: Keys of the file that :meth:`upgraded` puts elsewhere.
    MORE_KEYS: ClassVar[tuple[str, ...]] = ()

    @property
    def file_names(self) -> tuple[str, ...]:
        """The files that are listed."""
        return self.FILES

    def version(self) -> int:
        """The ``version`` to write: the oldest that can hold this config."""
        return self.VERSION

    def description(self) -> dict[str, Any]:
        """What describes the model, as ``model.json`` of a training has it, too."""
        own = to_dict(self)
        return {name: own[name] for name in own if name not in BundleConfig.__dataclass_fields__}

    def to_dict(self) -> dict[str, Any]:
        """Everything, JSON-serialisable."""
        header = {"format": self.FORMAT, "version": self.version(), "made_by": self.made_by}
        files = {name: to_dict(entry) for name, entry in self.files.items()}
        return header | self.description() | {"files": files, "training": dict(self.training)}

    @classmethod
    def upgraded(cls, data: dict[str, Any]) -> dict[str, Any]:
        """The config of an older version with the keys of this one."""
        return data

    @classmethod
    def from_dict(cls: type[C], data: Any, place: str | Path = CONFIG) -> C:
        """Reads what :meth:`to_dict` returns, of this or an older version; else a ConfigError."""
        place = str(place)
        if not isinstance(data, Mapping):
            raise ConfigError(f"{place}: must be an object with named values, not {data!r:.80}")
        if data.get("format") != cls.FORMAT:
            raise ConfigError(
                f"{place}: format must be {cls.FORMAT!r}, not {data.get('format')!r:.80}"
            )
        version = data.get("version")
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise ConfigError(f"{place}: version must be a whole number, not {version!r:.80}")
        if version > cls.VERSION:
            raise ConfigError(
                f"{place}: version {version} is newer than what this gatedrnn reads "
                f"({cls.VERSION}); update it"
            )
        known = ("format", "version", *cls.__dataclass_fields__, *cls.MORE_KEYS)
        check_keys(data, known, place)
        if "files" not in data:
            raise ConfigError(f"{place}: there is no key 'files'")
        cls._check_names(data["files"], f"{place}: files")
        own = {name: value for name, value in data.items() if name not in ("format", "version")}
        config = cls.from_description(own, place)
        for name in config.file_names:
            if name not in config.files:
                raise ConfigError(f"{place}: files: {name} is not listed")
        return config

    @classmethod
    def from_description(cls: type[C], data: Mapping[str, Any], place: str) -> C:
        """Reads what :meth:`description` returns."""
        try:
            own = cls.upgraded(dict(data))
        except ValueError as error:
            raise ConfigError(f"{place}: {error}") from error
        return from_mapping(cls, own, place)

    @classmethod
    def _check_names(cls, files: Any, place: str) -> None:
        if not isinstance(files, Mapping):
            raise ConfigError(f"{place} must be an object with named values, not {files!r:.80}")
        for name in files:
            if name not in cls.FILES:
                raise ConfigError(
                    f"{place}: {name!r:.80} is not a file of a bundle of this kind; its files are "
                    f"{' and '.join(cls.FILES)}, in the bundle's own folder"
                )


def read_config(folder: Path, config_class: type[C]) -> C:
    """Reads ``config.json`` of a bundle.

    Raises
    ------
    FileNotFoundError
        If the folder or the file is missing.
    ValueError
        If the file is something else.
    """
    path = folder / CONFIG
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such bundle (a folder that gatedrnn export makes)")
    if not path.is_file():
        hint = ""
        if (folder / "save").is_dir():
            hint = f"; it is a training's folder: gatedrnn export {folder} BUNDLE makes one of it"
        raise FileNotFoundError(f"{folder} is no bundle: it has no {CONFIG}{hint}")
    if path.stat().st_size > _LARGEST_CONFIG:
        raise ValueError(f"{path}: {path.stat().st_size} bytes are too many for a bundle's config")
    return config_class.from_dict(read_json(path), path)


def read_json(path: Path) -> Any:
    """Reads a JSON file; a ValueError that names the file if it is something else."""
    try:
        return json.loads(path.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}") from error


def check_present(folder: Path, names: tuple[str, ...]) -> None:
    """Raises FileNotFoundError if a bundle lacks a file."""
    for name in names:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name}: this file of the bundle is missing")


def check_files(folder: Path, files: Mapping[str, FileEntry]) -> None:
    """Raises ValueError if a file has another size or checksum than the config lists."""
    for name, entry in files.items():
        path, size = folder / name, (folder / name).stat().st_size
        if size != entry.bytes:
            raise ValueError(f"{path} has {size} bytes, and {entry.bytes} by {CONFIG}")
        if FileEntry.of(path).sha256 != entry.sha256:
            raise ValueError(f"{path} is not the file that {CONFIG} lists: its checksum differs")


@contextmanager
def replacing(folder: str | Path, overwrite: bool) -> Iterator[Path]:
    """Replaces a bundle atomically: yields a draft folder, which becomes the bundle.

    Raises
    ------
    FileExistsError
        If there is a bundle and ``overwrite`` is false, or something else than a bundle.
    """
    folder = Path(folder)
    _check_writable(folder, overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        yield draft
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(draft, 0o777 & ~umask)
        for path in draft.iterdir():
            os.chmod(path, (0o777 if path.is_dir() else 0o666) & ~umask)
        if folder.exists():
            # Out of the way first: a folder that holds files cannot be replaced in one step.
            old = draft.with_name(f"{draft.name}.old")
            os.replace(folder, old)
            try:
                os.replace(draft, folder)
            except OSError:
                os.replace(old, folder)
                raise
            shutil.rmtree(old)
        else:
            os.replace(draft, folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _check_writable(folder: Path, overwrite: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / CONFIG).is_file():
        raise FileExistsError(f"{folder} holds something else than a bundle: name another folder")
    if not overwrite:
        raise FileExistsError(f"{folder} is there already: --overwrite replaces it")


#: Before the names of the model's own weights; other tensors of a bundle have other names.
MODEL = "model."

_PICKLES = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def read_shapes(path: str | Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of a safetensors file, without reading them.

    Raises
    ------
    ValueError
        If the file is something else, does not have the size that its header claims, or holds other
        numbers than float32.

    Example
    -------
    >>> from safetensors.torch import save_file
    >>> path = getfixture("tmp_path") / "model.safetensors"
    >>> save_file({"model.bias": torch.zeros(3)}, path)
    >>> read_shapes(path)
    {'model.bias': (3,)}
    """
    path, shapes = Path(path), {}
    try:
        # Reads the header alone; it refuses one that is too large, tensors that overlap or leave
        # holes, and a file of another size.
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():
                tensor = file.get_slice(name)
                shapes[name] = tuple(tensor.get_shape())
                if tensor.get_dtype() != "F32":
                    raise ValueError(f"{path}: {name} is {tensor.get_dtype()}, and must be F32")
    except SafetensorError as error:
        with open(path, "rb") as file:
            if file.read(2) in _PICKLES:
                raise ValueError(
                    f"{path} is a pickle, which could run code when read, and no safetensors file"
                ) from None
        raise ValueError(f"{path} is no safetensors file: {error}") from error
    return shapes


def check_shapes(
    file_shapes: Mapping[str, tuple[int, ...]],
    model_shapes: Mapping[str, tuple[int, ...]],
    path: str | Path,
) -> None:
    """Raises ValueError, with the first differences, if a file does not have a model's tensors."""
    problems = [f"it lacks {name}" for name in model_shapes if name not in file_shapes]
    problems += [
        f"it has {name}, which the model has not"
        for name in file_shapes
        if name not in model_shapes
    ]
    problems += [
        f"its {name} is {file_shapes[name]}, in the model {shape}"
        for name, shape in model_shapes.items()
        if name in file_shapes and file_shapes[name] != shape
    ]
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ValueError(
            f"{path} does not fit the model of config.json: {'; '.join(problems[:3])}{more}"
        )


def read_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """Reads a file whose shapes have been checked, onto the CPU; finite values only."""
    try:
        # Copied to where torch would have put them: products of weights that are aligned otherwise
        # may differ in the last bits from those of the training.
        weights = {name: value.clone() for name, value in load_file(path, device="cpu").items()}
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file: {error}") from error
    for name, value in weights.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"{path}: {name} holds values that are not finite")
    return weights


def weights_of(model: nn.Module, tied: tuple[str, str] | None = None) -> dict[str, torch.Tensor]:
    """The weights of a model, each once, by their names in a bundle; they are not copied.

    Arguments
    ---------
    model : nn.Module
        The model.
    tied : tuple of str or None
        Names of the output layer's matrix, which is left out, and of the embedding that is used in
        its place; None if the model is not tied.

    Returns
    -------
    dict
        Name -> tensor.

    Example
    -------
    >>> model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5, bias=False))
    >>> model[1].weight = model[0].weight
    >>> list(weights_of(model, ("1.weight", "0.weight")))
    ['model.0.weight']
    """
    return {
        MODEL + name: value
        for name, value in model.state_dict().items()
        if tied is None or name != tied[0]
    }


def write_weights(path: str | Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Writes tensors in float32."""
    copies = {
        name: value.detach().to("cpu", torch.float32).contiguous().clone()
        for name, value in weights.items()
    }
    save_file(copies, path, metadata={"format": "pt"})


def put_weights(
    model: nn.Module,
    weights: Mapping[str, torch.Tensor],
    tied: tuple[str, str] | None = None,
    assign: bool = False,
) -> None:
    """Loads the weights of a bundle into a model, which is then in evaluation without gradients.

    Arguments
    ---------
    model : nn.Module
        The model; changed in place.
    weights : Mapping
        Name in a bundle -> tensor.
    tied : tuple of str or None
        See :func:`weights_of`.
    assign : bool
        Whether it takes the tensors themselves; for models on the meta device.
    """
    state = {name.removeprefix(MODEL): value for name, value in weights.items()}
    if tied is not None:
        state[tied[0]] = state[tied[1]]
    model.load_state_dict(state, assign=assign)
    if tied is not None:
        # Assigned by their names they are two again.
        owner, _, name = tied[0].rpartition(".")
        setattr(model.get_submodule(owner), name, model.get_parameter(tied[1]))
    model.eval().requires_grad_(False)
