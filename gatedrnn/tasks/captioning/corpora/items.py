"""Items with captions: their manifests, and their media files as tensors."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import numpy as np
import torch
from speechbrain.dataio import audio_io
from torchaudio.functional import resample

from gatedrnn.data import audio
from gatedrnn.data.config import Choices, Config, Range
from gatedrnn.data.files import write_atomically
from gatedrnn.data.report import Report
from gatedrnn.data.tables import read_rows
from gatedrnn.lazy import require

#: In the order in which they are written.
SPLITS = ("train", "dev", "test")
#: Kinds of files; columns of manifests have the same names.
KINDS = ("image", "audio", "features")
#: Names of splits in corpora and manifests -> names here.
SPLIT_NAMES = {
    "train": "train", "training": "train", "development": "train",
    "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev",
    "test": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
#: How an image of other proportions is brought to its size.
FITS = ("stretch", "crop", "pad")
#: Suffixes of files with features.
FEATURE_SUFFIXES = (".npy", ".npz", ".h5", ".hdf5")
#: Names of the array of features where the file of one item holds several, such as boxes.
_ARRAY_NAMES = ("feat", "features", "x", "arr_0")
#: First bytes of PNG, JPEG and GIF files.
_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8")
#: Pixels around an image that is padded.
_GREY = 128


@dataclass(frozen=True, slots=True)
class CaptionItem:
    """An image, a recording or features, with captions.

    Arguments
    ---------
    id : str
        Unique within the corpus.
    split, kind : str
        One of ``SPLITS``, one of ``KINDS``.
    path : str
        The file; of features optionally with ``#`` and the name of an array in it.
    references : tuple of str
        The captions.
    """

    id: str
    split: str
    path: str
    kind: str
    references: tuple[str, ...]

    @property
    def file(self) -> Path:
        """The file, without the name of an array."""
        return Path(self.path.split("#")[0] if self.kind == "features" else self.path)


def read_manifest(path: str | Path, report: Report, split: str | None = None) -> list[CaptionItem]:
    """Reads a manifest: a row per caption, or in JSON lines one per item.

    Each row has a path (relative to the manifest) in a column ``image``, ``audio`` or ``features``,
    and ``caption``; optionally ``id`` (default: the file's name), and ``split``. Rows of one id are
    one item with several references. JSON lines may have a list ``references`` instead of
    ``caption``. Features of a file with many items are ``all.h5#name``.

    Arguments
    ---------
    path : str or Path
        A ``.csv``, ``.tsv`` or ``.jsonl`` file, perhaps with ``.gz`` after it.
    report : Report
        Collects the rows that are skipped.
    split : str or None
        Split of rows without one.

    Returns
    -------
    list of CaptionItem
        Unchecked.

    Example
    -------
    >>> path = getfixture("tmp_path") / "mine.csv"
    >>> _ = path.write_text("image,caption,split\\na.png,a dog,train\\na.png,the dog,train\\n")
    >>> [item.references for item in read_manifest(path, Report("mine"))]
    [('a dog', 'the dog')]
    """
    path = Path(path)
    items: dict[str, CaptionItem] = {}
    for place, row in read_rows(path, report, tsv_quotes=True):
        item = _item(path, place, row, report, split)
        if item is None:
            continue
        before = items.get(item.id)
        if before is None:
            items[item.id] = item
        elif (before.path, before.split) == (item.path, item.split) and "caption" in row:
            references = (*before.references, *item.references)
            items[item.id] = CaptionItem(item.id, item.split, item.path, item.kind, references)
        else:
            report.add("id-repeated", item.id, f"again in {place}")
    return list(items.values())


def _item(
    path: Path, place: str, row: Mapping[str, Any], report: Report, split: str | None
) -> CaptionItem | None:
    """The item of a row; None if it is skipped."""
    kinds = [kind for kind in KINDS if row.get(kind)]
    if len(kinds) != 1:
        what = f"{' and '.join(kinds)}: must be one of them" if kinds else f"no {', '.join(KINDS)}"
        report.add("value-unreadable" if kinds else "column-missing", place, what)
        return None
    name = str(row.get("split") or split or "")
    if name not in SPLIT_NAMES:
        kind = "split-unknown" if name else "split-missing"
        report.add(kind, place, f"{name!r} is none of {', '.join(SPLIT_NAMES)}")
        return None
    captions = row.get("references", row.get("caption"))
    captions = [captions] if isinstance(captions, str) else captions
    if captions is None:
        captions = []
    if not isinstance(captions, list) or not all(isinstance(c, str) for c in captions):
        report.add("value-unreadable", place, "captions must be strings")
        return None
    # Joining keeps a path that is absolute.
    file = str((path.parent / str(row[kinds[0]])).absolute())
    item_id = str(row.get("id") or "") or Path(file).name
    return CaptionItem(item_id, SPLIT_NAMES[name], file, kinds[0], tuple(captions))


def write_manifest(path: str | Path, items: Iterable[CaptionItem]) -> None:
    """Writes items as JSON lines, which :func:`read_manifest` reads.

    Paths within the manifest's folder are written relative to it, so that the folder can be moved.
    """
    path = Path(path)
    folder = path.parent.absolute()
    lines = []
    for item in items:
        file = Path(item.path)
        inside = file.relative_to(folder) if file.is_relative_to(folder) else file
        row = {"id": item.id, "split": item.split, item.kind: inside.as_posix()}
        row["references"] = list(item.references)
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    write_atomically(path, "".join(lines))


class MediaError(ValueError):
    """A file that cannot be used: ``kind``, a key of :data:`gatedrnn.data.report.ISSUES`, and
    ``detail``."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


@dataclass(frozen=True)
class MediaOptions(Config):
    """Input of a captioner; bundles keep it.

    Arguments
    ---------
    kind : str
        ``"image"``, ``"audio"`` or ``"features"``.
    height, width : int
        Size of images, in pixels.
    fit : str
        How an image of other proportions is brought to that size: ``"stretch"``, ``"crop"`` its
        middle, or ``"pad"`` it with grey.
    sample_rate : int
        Of recordings, in Hz: others are resampled. Channels are averaged.
    max_seconds : float
        Length at which recordings are cut; 0 for never.
    max_regions : int
        Maximum number of regions of features; 0 for all.
    """

    kind: Annotated[str, Choices(*KINDS)] = "image"
    height: Annotated[int, Range(1, 16384)] = 64
    width: Annotated[int, Range(1, 16384)] = 64
    fit: Annotated[str, Choices(*FITS)] = "stretch"
    sample_rate: Annotated[int, Range(1000, 384_000)] = 16000
    max_seconds: Annotated[float, Range(0, 1e9)] = 30.0
    max_regions: Annotated[int, Range(0, 1 << 20)] = 0


def load_media(path: str, options: MediaOptions) -> torch.Tensor:
    """Reads a file as the input of a captioner.

    Arguments
    ---------
    path : str
        The file; of features optionally with ``#`` and the name of an array in it.
    options : MediaOptions
        Kind and size.

    Returns
    -------
    torch.Tensor
        An image (3, height, width), uint8; a recording (samples,); features (regions, size).

    Raises
    ------
    MediaError
        If the file is missing or broken; the message names it.
    ImportError
        If a package is not installed that such files need.

    Example
    -------
    >>> from gatedrnn.simulation.scenes import write_image
    >>> path = getfixture("tmp_path") / "a.png"
    >>> write_image(path, np.full((40, 60, 3), 200, dtype=np.uint8))
    >>> load_media(str(path), MediaOptions("image", 32, 32)).shape
    torch.Size([3, 32, 32])
    """
    return _LOADERS[options.kind](path, options)


def check(item: CaptionItem, decode: bool = True) -> None:
    """Raises a MediaError if the file of an item cannot be used.

    With ``decode`` images are decoded, features read and recordings read to their end: only so
    truncated files are detected. Without, the file must only exist.
    """
    if not item.file.is_file():
        raise MediaError(f"{item.kind}-missing", f"{item.file}: no such file")
    if not decode:
        return
    if item.kind == "image":
        read_image(item.path)
    elif item.kind == "audio":
        _audio_header(item.path)
    else:
        try:
            load_features(item.path)
        except ValueError as error:
            raise MediaError("features-unreadable", str(error)) from error


# ---- images ---------------------------------------------------------------------------------


def need_pillow() -> ModuleType:
    """``PIL.Image``."""
    return require("PIL.Image", "images", "captions", "Pillow")


def read_image(path: str | Path) -> np.ndarray:
    """Reads a file that Pillow reads, such as PNG or JPEG, as RGB (height, width, 3), uint8."""
    image = need_pillow()
    try:
        with image.open(path) as opened:
            try:
                return np.asarray(opened.convert("RGB"))
            # Pillow has no error of its own for files that begin well and end badly.
            except (OSError, SyntaxError, ValueError, EOFError) as error:
                raise MediaError("image-truncated", f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise MediaError("image-missing", f"{path}: no such file") from error
    except (OSError, SyntaxError, image.DecompressionBombError) as error:
        # Where even the header is cut off, Pillow knows no image.
        begun = Path(path).is_file() and _beginning(path).startswith(_SIGNATURES)
        kind = "image-truncated" if begun else "image-unreadable"
        raise MediaError(kind, f"{path}: {error}") from error


def _beginning(path: str | Path) -> bytes:
    with open(path, "rb") as stream:
        return stream.read(8)


def _image(path: str, options: MediaOptions) -> torch.Tensor:
    pixels = read_image(path)
    if pixels.shape[:2] != (options.height, options.width):
        pixels = _resized(pixels, options)
    # Copied, since Pillow's memory cannot be written.
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)).copy())


def _resized(pixels: np.ndarray, options: MediaOptions) -> np.ndarray:
    """The image in the size of the options."""
    pillow = need_pillow()
    height, width = pixels.shape[:2]
    target = (options.width, options.height)
    image = pillow.fromarray(pixels)
    if options.fit == "stretch":
        return np.asarray(image.resize(target, pillow.Resampling.BILINEAR))
    choose = max if options.fit == "crop" else min
    factor = choose(options.width / width, options.height / height)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    image = image.resize(size, pillow.Resampling.BILINEAR)
    canvas = pillow.new("RGB", target, (_GREY, _GREY, _GREY))
    canvas.paste(image, ((target[0] - size[0]) // 2, (target[1] - size[1]) // 2))
    return np.asarray(canvas)


# ---- recordings -----------------------------------------------------------------------------


def _audio_header(path: str) -> audio.AudioFile:
    try:
        header = audio.inspect(path)
    except audio.AudioError as error:
        raise MediaError(error.kind, error.detail) from error
    if header.truncated:
        detail = f"{path}: {header.frames} of {header.declared} samples are there"
        raise MediaError("audio-truncated", detail)
    return header


def _recording(path: str, options: MediaOptions) -> torch.Tensor:
    header = _audio_header(path)
    frames = int(options.max_seconds * header.rate) or -1
    try:
        samples, rate = audio_io.load(path, num_frames=frames, dtype=torch.float32)
    except RuntimeError as error:
        raise MediaError("audio-unreadable", f"{path}: {error}") from error
    signal = samples.mean(0)
    return signal if rate == options.sample_rate else resample(signal, rate, options.sample_rate)


# ---- features -------------------------------------------------------------------------------


def _features(path: str, options: MediaOptions) -> torch.Tensor:
    try:
        regions = as_regions(load_features(path))
    except ValueError as error:
        raise MediaError("features-unreadable", str(error)) from error
    return torch.from_numpy(regions[: options.max_regions or None].copy())


def load_features(path: str) -> np.ndarray:
    """Reads features.

    ``dog.npy`` is one item's; so is ``dog.npz`` with a single array, or one called ``feat``,
    ``features`` or ``x``. Of files with many items ``all.npz#dog`` and ``all.h5#dog`` name
    the array. Nothing is unpickled.

    Returns: float32, as stored: (size,), (regions, size) or (rows, columns, size).
    """
    name, _, key = path.partition("#")
    file = Path(name)
    if not file.is_file():
        raise ValueError(f"{file}: no such file")
    if file.suffix not in FEATURE_SUFFIXES:
        raise ValueError(f"{file}: features must be {', '.join(FEATURE_SUFFIXES)}")
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
    """Features of :func:`load_features` as (regions, size); a grid is flattened row by row."""
    return features.reshape(-1, features.shape[-1])


def with_features(items: Iterable[CaptionItem], where: str | Path) -> list[CaptionItem]:
    """Items with precomputed features in place of images or recordings, unchecked.

    ``where`` is a folder with a file for each item, named by its id or like its image; or a file
    with an array for each item, named by its id.
    """
    where = Path(where).absolute()
    if not where.exists():
        raise FileNotFoundError(f"{where}: no such folder or file of features")

    def path(item: CaptionItem) -> str:
        if where.is_file():
            return f"{where}#{item.id}"
        names = (item.id, item.file.stem)
        candidates = [where / f"{name}{suffix}" for name in names for suffix in FEATURE_SUFFIXES]
        return str(next((path for path in candidates if path.is_file()), candidates[0]))

    return [replace(item, path=path(item), kind="features") for item in items]


def _from_numpy(file: Path, key: str) -> np.ndarray:
    with _naming(file):
        loaded = np.load(file, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        if key:
            raise ValueError(f"{file}: a .npy file has one array, and no {key!r} in it")
        return loaded
    with loaded:
        name = _array_name(file, key, list(loaded.files))
        with _naming(file):
            return loaded[name]


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Adds the file to errors of NumPy."""
    try:
        yield
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file}: cannot be read ({error})") from error


def _from_hdf5(file: Path, key: str) -> np.ndarray:
    h5py = require("h5py", f"{file}: HDF5 files", "captions")
    try:
        with h5py.File(file, "r") as opened:
            array = opened[_array_name(file, key, list(opened))]
            if not isinstance(array, h5py.Dataset):
                raise ValueError(f"{file}: {key!r} is a group, not an array")
            return array[()]
    except OSError as error:
        raise ValueError(f"{file}: cannot be read ({error})") from error


def _array_name(file: Path, key: str, names: list[str]) -> str:
    """Name of the array of features."""
    if key:
        if key not in names:
            raise ValueError(f"{file}: there is no array {key!r} in it")
        return key
    usual = [name for name in _ARRAY_NAMES if name in names]
    if len(names) == 1 or usual:
        return names[0] if len(names) == 1 else usual[0]
    raise ValueError(f"{file}: holds {len(names)} arrays: name one after a '#'")


_LOADERS: dict[str, Callable[[str, MediaOptions], torch.Tensor]] = {
    "image": _image,
    "audio": _recording,
    "features": _features,
}
