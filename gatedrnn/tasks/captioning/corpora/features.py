"""Features that were computed elsewhere: .npy, .npz and HDF5 files."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from gatedrnn.data.errors import MissingExtraError
from gatedrnn.tasks.captioning.corpora.item import CaptionItem

#: Endings of files with features.
SUFFIXES = (".npy", ".npz", ".h5", ".hdf5")
#: Names that an array has where a file is one item's and holds several, such as boxes.
_USUAL = ("feat", "features", "x", "arr_0")


def load_features(path: str) -> np.ndarray:
    """Reads features.

    ``dog.npy`` is one item's; so is ``dog.npz`` with a single array, or one called ``feat``,
    ``features`` or ``x``. Where a file holds many items, ``all.npz#dog`` and ``all.h5#dog`` name
    the array. Nothing is unpickled.

    Arguments
    ---------
    path : str
        The file, perhaps with ``#`` and the array's name.

    Returns
    -------
    np.ndarray
        As stored, float32: (size,) of the whole, (regions, size), or (rows, columns, size) of a
        grid; :func:`as_regions` makes one of all.

    Raises
    ------
    ValueError
        If the file or the array is not there or is none of these.
    ImportError
        If it is HDF5 and h5py is not installed.

    Example
    -------
    >>> path = getfixture("tmp_path") / "all.npz"
    >>> np.savez(path, dog=np.ones((36, 8)), cat=np.ones((36, 8)))
    >>> load_features(f"{path}#dog").shape
    (36, 8)
    """
    name, _, key = path.partition("#")
    file = Path(name)
    if not file.is_file():
        raise ValueError(f"{file}: no such file")
    if file.suffix not in SUFFIXES:
        raise ValueError(f"{file}: features must be {', '.join(SUFFIXES)}")
    read = _from_hdf5 if file.suffix in (".h5", ".hdf5") else _from_numpy
    array = read(file, key)
    if array.ndim not in (1, 2, 3) or not array.size or array.dtype.kind not in "fiu":
        raise ValueError(
            f"{path}: features must be numbers, (size,), (regions, size) or (rows, columns, size), "
            f"not {array.shape} of {array.dtype}"
        )
    array = np.asarray(array, dtype=np.float32)
    if not np.isfinite(array).all():
        raise ValueError(f"{path}: some features are infinite or not a number")
    return array


def as_regions(features: np.ndarray) -> np.ndarray:
    """Features as regions, a grid's row by row.

    Arguments
    ---------
    features : np.ndarray
        Of :func:`load_features`.

    Returns
    -------
    np.ndarray
        (regions, size).

    Example
    -------
    >>> as_regions(np.ones((7, 7, 512))).shape, as_regions(np.ones(512)).shape
    ((49, 512), (1, 512))
    """
    return features.reshape(-1, features.shape[-1])


def with_features(items: Iterable[CaptionItem], where: str | Path) -> list[CaptionItem]:
    """Items with their features in place of images or recordings.

    Arguments
    ---------
    items : iterable of CaptionItem
        The items.
    where : str or Path
        A folder with a file for each, called by the item or like its image; or a file with an array
        for each, called by the item.

    Returns
    -------
    list of CaptionItem
        Unchecked.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or file.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> np.save(folder / "dog.npy", np.ones((36, 8)))
    >>> item = CaptionItem("7", "train", "images/dog.png", "image", ("a dog",))
    >>> with_features([item], folder)[0].file.name
    'dog.npy'
    """
    where = Path(where).absolute()
    if not where.exists():
        raise FileNotFoundError(f"{where}: no such folder or file of features")

    def path(item: CaptionItem) -> str:
        if where.is_file():
            return f"{where}#{item.id}"
        names = (item.id, item.file.stem)
        possible = [where / f"{name}{suffix}" for name in names for suffix in SUFFIXES]
        return str(next((one for one in possible if one.is_file()), possible[0]))

    return [replace(item, path=path(item), kind="features") for item in items]


def _from_numpy(file: Path, key: str) -> np.ndarray:
    with _told_of(file):
        loaded = np.load(file, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        if key:
            raise ValueError(f"{file}: a .npy file has one array, and no {key!r} in it")
        return loaded
    with loaded:
        name = _chosen(file, key, list(loaded.files))
        with _told_of(file):
            return loaded[name]


@contextmanager
def _told_of(file: Path) -> Iterator[None]:
    """Names the file in what NumPy says of it."""
    try:
        yield
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file}: cannot be read ({error})") from error


def _from_hdf5(file: Path, key: str) -> np.ndarray:
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'{file}: HDF5 files need h5py: pip install "gatedrnn[captions]"'
        ) from error
    try:
        with h5py.File(file, "r") as opened:
            found = opened[_chosen(file, key, list(opened))]
            if not isinstance(found, h5py.Dataset):
                raise ValueError(f"{file}: {key!r} is a group, not an array")
            return found[()]
    except OSError as error:
        raise ValueError(f"{file}: cannot be read ({error})") from error


def _chosen(file: Path, key: str, names: list[str]) -> str:
    """Name of the array that is meant."""
    if key:
        if key not in names:
            raise ValueError(f"{file}: there is no array {key!r} in it")
        return key
    usual = [name for name in _USUAL if name in names]
    if len(names) == 1 or usual:
        return names[0] if len(names) == 1 else usual[0]
    raise ValueError(f"{file}: holds {len(names)} arrays: name one after a '#'")
