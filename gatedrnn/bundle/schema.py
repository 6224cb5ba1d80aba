"""What bundles of all models but recognisers have in common: a config, weights, lists of tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from torch import nn

from gatedrnn import __version__
from gatedrnn.bundle import weights as safe
from gatedrnn.bundle.files import (
    CONFIG,
    FILES,
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
from gatedrnn.tokens import save

#: In every config, in this order; a kind of model has keys of its own between the first three and
#: the last two.
_FIRST, _LAST = ("format", "version", "made_by"), ("files", "training")


@dataclass(frozen=True, kw_only=True)
class PlainConfig(ABC):
    """What ``config.json`` of any of these bundles says besides what the model is.

    Arguments
    ---------
    files : Mapping
        Name -> :class:`~gatedrnn.bundle.files.FileEntry`, of the weights and of the tokens.
    training : Mapping
        How the model came to be, for the reader: seed, scores.
    made_by : str
        Program and version that wrote the bundle.
    """

    files: Mapping[str, FileEntry] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    made_by: str = ""

    #: What the file calls its kind; the version is raised when older programs could not read what
    #: newer ones write.
    FORMAT: ClassVar[str]
    VERSION: ClassVar[int] = 1
    #: The bundle's files.
    FILES: ClassVar[tuple[str, ...]] = FILES
    #: The keys that only this kind has.
    KEYS: ClassVar[tuple[str, ...]] = ("model",)

    @abstractmethod
    def own(self) -> dict[str, Any]:
        """What only this kind has, as plain data.

        Returns
        -------
        dict
            Of ``KEYS``.
        """

    @classmethod
    @abstractmethod
    def read_own(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """Reads what :meth:`own` gave.

        Arguments
        ---------
        data : Mapping
            Plain data; only ``model`` is sure to be there.

        Returns
        -------
        dict
            Arguments of this class.

        Raises
        ------
        ValueError
            If it is something else; it names the key.
        """

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain data.

        Returns
        -------
        dict
        """
        return {
            "format": self.FORMAT,
            "version": self.VERSION,
            "made_by": self.made_by,
            **self.own(),
            "files": {name: asdict(entry) for name, entry in self.files.items()},
            "training": dict(self.training),
        }

    @classmethod
    def from_dict(cls: type[Config], data: Any, path: str | Path) -> Config:
        """Reads what :meth:`to_dict` gave.

        Arguments
        ---------
        data : Any
            Plain data.
        path : str or Path
            Where it came from, for messages.

        Returns
        -------
        PlainConfig
            Of this kind.

        Raises
        ------
        ValueError
            If it is something else; it names the file, the key, and what would be right.
        """
        try:
            check_header(data, cls.FORMAT, cls.VERSION, (*_FIRST, *cls.KEYS, *_LAST))
            training = data.get("training", {})
            if not isinstance(training, Mapping):
                raise ValueError("training must be an object with named values")
            return cls(
                **cls.read_own(data),
                files=read_files(data["files"], cls.FILES),
                training=training,
                made_by=str(data.get("made_by", "")),
            )
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


Config = TypeVar("Config", bound=PlainConfig)


def open_bundle(folder: Path, kind: type[Config]) -> tuple[Config, dict[str, tuple[int, ...]]]:
    """Reads what a bundle says of itself, and holds its files against that.

    Arguments
    ---------
    folder : Path
        The bundle.
    kind : type
        Of its config.

    Returns
    -------
    config : PlainConfig
        What it is.
    shapes : dict
        Name -> shape, of the weights in its file, which are not read yet.

    Raises
    ------
    FileNotFoundError
        If the folder or a file of it is missing.
    ValueError
        If a file is broken, or another than is listed.
    """
    config = kind.from_dict(read_json(folder), folder / CONFIG)
    check_present(folder, kind.FILES)
    shapes = safe.read_shapes(folder / WEIGHTS)
    check_files(folder, config.files)
    return config, shapes


def take_weights(
    folder: Path,
    shapes: Mapping[str, tuple[int, ...]],
    empty: nn.Module,
    tied: tuple[str, str] | None = None,
    build: Callable[[], nn.Module] | None = None,
) -> nn.Module:
    """Has a model take the weights of a bundle, after their shapes have been found right.

    Arguments
    ---------
    folder : Path
        The bundle.
    shapes : Mapping
        Of :func:`open_bundle`.
    empty : nn.Module
        The model, built without memory of its own.
    tied : tuple of str or None
        See :func:`~gatedrnn.bundle.weights.weights_of`.
    build : callable or None
        Builds the model that takes them in place of the empty one, once the shapes are right.

    Returns
    -------
    nn.Module
        In evaluation, without gradients.

    Raises
    ------
    ValueError
        If the weights are not those of such a model, or broken.
    """
    path = folder / WEIGHTS
    wanted = {name: tuple(v.shape) for name, v in safe.weights_of(empty, tied).items()}
    safe.check_shapes(shapes, wanted, path)
    model = empty if build is None else build()
    safe.put_weights(model, safe.read_weights(path), tied, assign=build is None)
    return model


def write_plain(
    folder: str | Path,
    config: Config,
    model: nn.Module,
    tokens: Mapping[str, Any],
    tied: tuple[str, str] | None = None,
    more: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Config:
    """Writes a bundle, whole or not at all.

    Arguments
    ---------
    folder : str or Path
        The bundle.
    config : PlainConfig
        What it is; sizes and checksums of the files are filled in.
    model : nn.Module
        Built as the config says.
    tokens : Mapping
        Name of a file -> the tokens that are saved there.
    tied : tuple of str or None
        See :func:`~gatedrnn.bundle.weights.weights_of`.
    more : Mapping or None
        Name -> text of further files.
    overwrite : bool
        Whether a bundle that is there already may be replaced.

    Returns
    -------
    PlainConfig
        As it was written.

    Raises
    ------
    FileExistsError
        If there is something in the folder that may not be replaced.
    """
    with replacing(folder, overwrite) as draft:
        safe.write_weights(draft / WEIGHTS, model, tied)
        for name, found in tokens.items():
            save(found, draft / name)
        config = replace(
            config,
            made_by=f"gatedrnn {__version__}",
            files={name: entry_of(draft / name) for name in config.FILES},
        )
        write_config(draft, config.to_dict(), more)
    return config
