"""Files with captions: images are read and written, and every file is looked at before its use."""

from __future__ import annotations

import io
import os
from pathlib import Path
from types import ModuleType

import numpy as np

from gatedrnn.data import audio
from gatedrnn.data.errors import MissingExtraError
from gatedrnn.tasks.captioning.corpora.features import load_features
from gatedrnn.tasks.captioning.corpora.item import CaptionItem

#: How PNG, JPEG and GIF files begin.
_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8")


class MediaError(ValueError):
    """A file that cannot be used.

    Arguments
    ---------
    kind : str
        The kind of fault: a key of ``gatedrnn.data.faults.FAULTS``.
    detail : str
        What is wrong.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


def need_pillow() -> ModuleType:
    """Imports Pillow.

    Returns
    -------
    ModuleType
        ``PIL.Image``.

    Raises
    ------
    ImportError
        If it is not installed; the message says what to install.
    """
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingExtraError('images need Pillow: pip install "gatedrnn[captions]"') from error
    return Image


def read_image(path: str | Path) -> np.ndarray:
    """Reads an image.

    Arguments
    ---------
    path : str or Path
        A PNG or JPEG file, or anything else that Pillow reads.

    Returns
    -------
    np.ndarray
        Red, green and blue from 0 to 255, (height, width, 3), uint8.

    Raises
    ------
    MediaError
        If the file is missing, cut off, or no image.
    ImportError
        If Pillow is not installed.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.png"
    >>> write_image(path, np.full((4, 6, 3), 200, dtype=np.uint8))
    >>> read_image(path).shape
    (4, 6, 3)
    """
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


def write_image(path: str | Path, pixels: np.ndarray) -> None:
    """Writes an image whole or not at all, as PNG.

    Arguments
    ---------
    path : str or Path
        The file; its folder is made where missing.
    pixels : np.ndarray
        (height, width, 3), uint8.

    Raises
    ------
    ValueError
        If the array is something else.
    ImportError
        If Pillow is not installed.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(
            f"an image must be (height, width, 3) of uint8, not {pixels.shape} of {pixels.dtype}"
        )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = io.BytesIO()
    need_pillow().fromarray(pixels).save(encoded, format="PNG")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(encoded.getvalue())
    os.replace(draft, path)


def check(item: CaptionItem, decode: bool = True) -> None:
    """Looks whether the file of an item can be used.

    Arguments
    ---------
    item : CaptionItem
        The item.
    decode : bool
        Decode images, read features and go to the end of recordings: only so files that are cut
        off are found. False to look only whether the file is there.

    Raises
    ------
    MediaError
        If it cannot.
    ImportError
        If a package is not installed that such files need.
    """
    if not item.file.is_file():
        raise MediaError(f"{item.kind}-missing", f"{item.file}: no such file")
    if not decode:
        return
    if item.kind == "image":
        read_image(item.path)
    elif item.kind == "audio":
        try:
            header = audio.inspect(item.path)
        except audio.AudioError as error:
            raise MediaError(error.kind, error.detail) from error
        if header.truncated:
            detail = f"{item.path}: {header.frames} of {header.declared} samples are there"
            raise MediaError("audio-truncated", detail)
    else:
        try:
            load_features(item.path)
        except ValueError as error:
            raise MediaError("features-unreadable", str(error)) from error
