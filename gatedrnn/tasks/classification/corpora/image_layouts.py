"""Sets of small images in the files in which they are passed around: MNIST's kin and CIFAR-10."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from gatedrnn.data.report import Check, Report
from gatedrnn.tasks.classification.corpora.idx import read_idx, unpacked
from gatedrnn.tasks.classification.corpora.labelled import Labelled, LabelledSets, hold_out

#: Images that are held out for validation, the last ones for training: no set has such a part.
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


def read_images(
    dataset: str, folder: str | Path, report: Report, valid_count: int = HELD_OUT
) -> LabelledSets:
    """Reads a set of images, with a part of it held out for validation.

    Arguments
    ---------
    dataset : str
        ``"mnist"``, ``"fashion_mnist"`` or ``"cifar10"``.
    folder : str or Path
        Where its files lie.
    report : Report
        Takes what is found: sizes, checksums, and what differs from the official files.
    valid_count : int
        Images that are held out: the last ones for training.

    Returns
    -------
    LabelledSets
        Of images (number, height, width, channels).

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If there is no such set, or a file is not what it should be.
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
    report.figures["images"] = {part.name: len(part) for part in (train, valid, test)}
    return LabelledSets(classes, train, valid, (test,))


def read_mnist(folder: Path, report: Report) -> tuple[Labelled, Labelled]:
    """Reads the four idx files of MNIST.

    Arguments
    ---------
    folder : Path
        Where they lie, compressed (``.gz``) or not; ``train-images.idx3-ubyte`` is known, too.
    report : Report
        Takes sizes and checksums.

    Returns
    -------
    train, test : Labelled
        Images (number, height, width, 1).
    """
    return _read_idx_files(folder, report, _MNIST)


def read_fashion_mnist(folder: Path, report: Report) -> tuple[Labelled, Labelled]:
    """Reads Fashion-MNIST, whose files have the names of MNIST's; see :func:`read_mnist`."""
    train, test = _read_idx_files(folder, report, {})
    if any(file["md5"] in _MNIST.values() for file in report.figures["files"].values()):
        raise ValueError(f"{folder} holds MNIST, not Fashion-MNIST")
    return train, test


def _read_idx_files(
    folder: Path, report: Report, official: Mapping[str, str]
) -> tuple[Labelled, Labelled]:
    files: dict[str, dict[str, object]] = {}
    parts = []
    for name, prefix in (("train", "train"), ("test", "t10k")):
        found = []
        for kind, dimensions in (("images", 3), ("labels", 1)):
            plain = f"{prefix}-{kind}-idx{dimensions}-ubyte"
            path = _find(folder, plain)
            values, digest = read_idx(path, dimensions)
            files[plain] = {"md5": digest, "shape": list(values.shape)}
            if official:
                files[plain]["official"] = digest == official[plain]
            found.append(values)
        images, labels = found
        if len(images) != len(labels):
            raise ValueError(
                f"{folder}: {len(images)} images with {len(labels)} labels for {name}; the files "
                "are not of one set"
            )
        _check_labels(labels, path)
        parts.append(_labelled(name, images[..., None], labels))
    report.figures["files"] = files
    if official:
        known = sum(bool(file["official"]) for file in files.values())
        report.checks.append(
            Check("files with the official checksum", known, len(files), len(files), "MD5")
        )
    train, test = parts
    if train.inputs.shape[1:] != test.inputs.shape[1:]:
        raise ValueError(f"{folder}: images for training and for the test differ in size")
    return train, test


def read_cifar10(folder: Path, report: Report) -> tuple[Labelled, Labelled]:
    """Reads CIFAR-10's binary version: five batches for training, one for the test.

    Arguments
    ---------
    folder : Path
        Where they lie, or the folder ``cifar-10-batches-bin`` in it.
    report : Report
        Takes sizes and checksums.

    Returns
    -------
    train, test : Labelled
        Images (number, 32, 32, 3).
    """
    inner = folder / "cifar-10-batches-bin"
    folder = inner if inner.is_dir() else folder
    files: dict[str, dict[str, object]] = {}
    batches = [_read_batch(_find(folder, name), files) for name in (*BATCHES, TEST_BATCH)]
    report.figures["files"] = files
    images, labels = (np.concatenate(found) for found in zip(*batches[:-1], strict=True))
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


def _labelled(name: str, images: np.ndarray, labels: np.ndarray) -> Labelled:
    pixels = torch.from_numpy(np.ascontiguousarray(images).copy())
    return Labelled(name, pixels, torch.from_numpy(labels.astype(np.int64)))


def _find(folder: Path, name: str) -> Path:
    """A file by its official name, or as some unpack it, compressed or not."""
    names = [name, name.replace("-idx", ".idx")]
    for known in names:
        for suffix in ("", ".gz"):
            if (folder / f"{known}{suffix}").is_file():
                return folder / f"{known}{suffix}"
    raise FileNotFoundError(f"{folder}: there is no {name}, nor {name}.gz")


#: Name -> reader, names of the classes, official numbers for training and the test.
DATASETS: dict[
    str,
    tuple[Callable[[Path, Report], tuple[Labelled, Labelled]], Sequence[str], tuple[int, int]],
] = {
    "mnist": (read_mnist, DIGITS, (60_000, 10_000)),
    "fashion_mnist": (read_fashion_mnist, CLOTHES, (60_000, 10_000)),
    "cifar10": (read_cifar10, THINGS, (50_000, 10_000)),
}
