"""Small images: MNIST's kin (idx files) and CIFAR-10, and images read as sequences."""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from gatedrnn.data.report import Check, Report
from gatedrnn.tasks.classification.data import (
    ORDERS,
    ImageFrames,
    LabelledSet,
    Splits,
    hold_out,
)

#: The last images for training that are held out for validation: no set has such a part.
HELD_OUT = 5000
_MNIST = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
#: Digits of MNIST; kinds of Fashion-MNIST; things of CIFAR-10.
DIGITS = tuple("0123456789")
CLOTHES = (
    "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot",
)  # fmt: skip
THINGS = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
_SIDE = 32
#: Bytes of an image of CIFAR-10: its label, then its red, green and blue pixels.
_RECORD = 1 + 3 * _SIDE * _SIDE
BATCHES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_BATCH = "test_batch.bin"
_GZIP = b"\x1f\x8b"
#: Third byte of idx files of unsigned bytes, the only ones that are read, and of others.
UNSIGNED_BYTE = 0x08
_OTHERS = {0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}


def read_images(
    dataset: str, folder: str | Path, report: Report, valid_count: int = HELD_OUT
) -> Splits:
    """Reads a set of images, with a part of it held out for validation.

    Arguments
    ---------
    dataset : str
        ``"mnist"``, ``"fashion_mnist"`` or ``"cifar10"``.
    folder : str or Path
        Folder of its files.
    report : Report
        Collects sizes, checksums, and differences from the official files.
    valid_count : int
        Number of images that are held out: the last ones for training.

    Returns
    -------
    Splits
        Of images (number, height, width, channels).

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If there is no such set, or a file has other contents.
    """
    if dataset not in DATASETS:
        raise ValueError(f"dataset must be one of {', '.join(DATASETS)}, not {dataset!r}")
    reader, classes, counts = DATASETS[dataset]
    train, test = reader(Path(folder), report)
    for part, count in ((train, counts[0]), (test, counts[1])):
        report.checks.append(Check(f"{part.name} images", len(part), count, count, "official"))
    report.notes.append(
        f"the last {valid_count} of the {len(train)} images for training are held out for "
        "validation: there is no official part for it"
    )
    train, valid = hold_out(train, valid_count)
    report.statistics["images"] = {part.name: len(part) for part in (train, valid, test)}
    return Splits(classes, train, valid, (test,))


def read_mnist(folder: Path, report: Report) -> tuple[LabelledSet, LabelledSet]:
    """Reads the four idx files of MNIST, compressed (``.gz``) or not: training and test images
    (number, height, width, 1). ``train-images.idx3-ubyte`` is known, too.
    """
    return _read_idx_files(folder, report, _MNIST)


def read_fashion_mnist(folder: Path, report: Report) -> tuple[LabelledSet, LabelledSet]:
    """Reads Fashion-MNIST, whose files have the names of MNIST's; see :func:`read_mnist`."""
    train, test = _read_idx_files(folder, report, {})
    if any(file["md5"] in _MNIST.values() for file in report.statistics["files"].values()):
        raise ValueError(f"{folder} holds MNIST, not Fashion-MNIST")
    return train, test


def _read_idx_files(
    folder: Path, report: Report, official: Mapping[str, str]
) -> tuple[LabelledSet, LabelledSet]:
    files: dict[str, dict[str, object]] = {}
    parts = []
    for name, prefix in (("train", "train"), ("test", "t10k")):
        arrays = []
        for kind, dimensions in (("images", 3), ("labels", 1)):
            official_name = f"{prefix}-{kind}-idx{dimensions}-ubyte"
            path = _find(folder, official_name)
            values, digest = read_idx(path, dimensions)
            files[official_name] = {"md5": digest, "shape": list(values.shape)}
            if official:
                files[official_name]["official"] = digest == official[official_name]
            arrays.append(values)
        images, labels = arrays
        if len(images) != len(labels):
            raise ValueError(
                f"{folder}: {len(images)} images with {len(labels)} labels for {name}; the files "
                "are not of one set"
            )
        _check_labels(labels, path)
        parts.append(_labelled(name, images[..., None], labels))
    report.statistics["files"] = files
    if official:
        known = sum(bool(file["official"]) for file in files.values())
        report.checks.append(
            Check("files with the official checksum", known, len(files), len(files), "MD5")
        )
    train, test = parts
    if train.inputs.shape[1:] != test.inputs.shape[1:]:
        raise ValueError(f"{folder}: images for training and for the test differ in size")
    return train, test


def read_cifar10(folder: Path, report: Report) -> tuple[LabelledSet, LabelledSet]:
    """Reads CIFAR-10's binary version, in the folder or in ``cifar-10-batches-bin`` below it:
    training and test images (number, 32, 32, 3).
    """
    inner = folder / "cifar-10-batches-bin"
    folder = inner if inner.is_dir() else folder
    files: dict[str, dict[str, object]] = {}
    batches = [_read_batch(_find(folder, name), files) for name in (*BATCHES, TEST_BATCH)]
    report.statistics["files"] = files
    images, labels = (np.concatenate(parts) for parts in zip(*batches[:-1], strict=True))
    return _labelled("train", images, labels), _labelled("test", *batches[-1])


def _read_batch(path: Path, files: dict[str, dict[str, object]]) -> tuple[np.ndarray, np.ndarray]:
    raw = unpacked(path)
    if not raw or len(raw) % _RECORD:
        raise ValueError(
            f"{path}: {len(raw)} bytes are no number of images of {_RECORD} bytes: cut off, or not "
            "the binary version of CIFAR-10"
        )
    records = np.frombuffer(raw, dtype=np.uint8).reshape(-1, _RECORD)
    _check_labels(records[:, 0], path)
    digest = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    files[path.name] = {"md5": digest, "images": len(records)}
    images = records[:, 1:].reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
    return images, records[:, 0]


def _check_labels(labels: np.ndarray, path: Path) -> None:
    wrong = np.flatnonzero(labels > 9)
    if len(wrong):
        raise ValueError(
            f"{path}: image {int(wrong[0])} has the label {int(labels[wrong[0]])}; labels go from "
            "0 to 9"
        )


def _labelled(name: str, images: np.ndarray, labels: np.ndarray) -> LabelledSet:
    pixels = torch.from_numpy(np.ascontiguousarray(images).copy())
    return LabelledSet(name, pixels, torch.from_numpy(labels.astype(np.int64)))


def _find(folder: Path, name: str) -> Path:
    """A file by its official name, or as some unpack it, compressed or not."""
    names = [name, name.replace("-idx", ".idx")]
    for known in names:
        for suffix in ("", ".gz"):
            if (folder / f"{known}{suffix}").is_file():
                return folder / f"{known}{suffix}"
    raise FileNotFoundError(f"{folder}: there is no {name}, nor {name}.gz")


def unpacked(path: str | Path) -> bytes:
    """Content of a file, decompressed if it is one of gzip, whatever its name."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    raw = path.read_bytes()
    if not raw.startswith(_GZIP):
        return raw
    try:
        return gzip.decompress(raw)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be decompressed, fetch it again: {error}") from error


def read_idx(path: str | Path, dimensions: int) -> tuple[np.ndarray, str]:
    """Reads an idx file of unsigned bytes: big-endian sizes, then the elements.

    Returns the array, uint8, with so many dimensions (3 for images, 1 for labels), and the MD5
    digest of the file without compression.
    """
    path = Path(path)
    raw = unpacked(path)
    if len(raw) < 4 or raw[:2] != b"\0\0":
        raise ValueError(
            f"{path} is no idx file: it begins with {raw[:4].hex() or 'nothing'}; must be "
            f"{bytes((0, 0, UNSIGNED_BYTE, dimensions)).hex()}"
        )
    kind, count = raw[2], raw[3]
    if kind != UNSIGNED_BYTE:
        raise ValueError(
            f"{path}: its elements are {_OTHERS.get(kind, f'of the unknown kind {kind:#04x}')}; "
            "images and labels are unsigned bytes (0x08)"
        )
    if count != dimensions:
        raise ValueError(
            f"{path} has {count} dimension(s), must have {dimensions} (images have 3, labels 1); "
            "are two files exchanged?"
        )
    start = 4 + 4 * dimensions
    if len(raw) < start:
        raise ValueError(f"{path} is cut off: its sizes are missing")
    shape = tuple(int(n) for n in np.frombuffer(raw[4:start], dtype=">u4"))
    size = start + math.prod(shape)
    if len(raw) != size:
        raise ValueError(
            f"{path} is {'cut off' if len(raw) < size else 'too long'}: {len(raw)} bytes, where "
            f"{' x '.join(map(str, shape))} elements need {size}"
        )
    values = np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)
    return values, hashlib.md5(raw, usedforsecurity=False).hexdigest()


#: Name -> reader, names of the classes, official numbers for training and the test.
DATASETS: dict[
    str,
    tuple[
        Callable[[Path, Report], tuple[LabelledSet, LabelledSet]], Sequence[str], tuple[int, int]
    ],
] = {
    "mnist": (read_mnist, DIGITS, (60_000, 10_000)),
    "fashion_mnist": (read_fashion_mnist, CLOTHES, (60_000, 10_000)),
    "cifar10": (read_cifar10, THINGS, (50_000, 10_000)),
}


# ---- images as sequences --------------------------------------------------------------------


def as_sequences(
    images: torch.Tensor, order: str = "rows", permutation: int | None = None
) -> torch.Tensor:
    """Reads images as sequences.

    images: (number, height, width, channels).
    """
    if order not in ORDERS:
        raise ValueError(f"order must be {' or '.join(ORDERS)}, not {order!r}")
    count, height, width, channels = images.shape
    pixels = images.reshape(count, height * width, channels)
    if permutation is not None:
        if type(permutation) is not int:
            raise ValueError(
                f"permutation must be a whole number, the seed of the order, not {permutation!r}"
            )
        generator = torch.Generator().manual_seed(permutation)
        pixels = pixels[:, torch.randperm(height * width, generator=generator)]
    return pixels.reshape(count, height, -1) if order == "rows" else pixels


def sets_as_sequences(sets: Splits, order: str = "rows", permutation: int | None = None) -> Splits:
    """All images as sequences: see :func:`as_sequences`."""

    def convert(part: LabelledSet) -> LabelledSet:
        return replace(part, inputs=as_sequences(part.inputs, order, permutation))

    _, *size = sets.train.inputs.shape
    return Splits(
        sets.classes,
        convert(sets.train),
        convert(sets.valid),
        tuple(convert(part) for part in sets.tests),
        ImageFrames(*size, order, permutation),
    )
