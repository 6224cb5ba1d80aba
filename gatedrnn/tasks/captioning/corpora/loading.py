"""From a file to a tensor: images of one size, recordings of one rate, features as regions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from speechbrain.dataio import audio_io
from torchaudio.functional import resample

from gatedrnn.data import audio
from gatedrnn.tasks.captioning.corpora.features import as_regions, load_features
from gatedrnn.tasks.captioning.corpora.item import KINDS
from gatedrnn.tasks.captioning.corpora.media import MediaError, need_pillow, read_image

#: How an image of other proportions comes to its size.
FITS = ("stretch", "crop", "pad")
#: What is added around an image that is padded.
_GREY = 128


@dataclass(frozen=True)
class MediaOptions:
    """What a captioner is given: plain data, which its bundle keeps.

    Arguments
    ---------
    kind : str
        ``"image"``, ``"audio"`` or ``"features"``.
    height, width : int
        Of images, in pixels.
    fit : str
        How an image of other proportions comes to that size: ``"stretch"``, ``"crop"`` its middle,
        or ``"pad"`` it with grey.
    sample_rate : int
        Of recordings: others are resampled. Channels are averaged.
    max_seconds : float
        Recordings are cut there; 0 for never.
    max_regions : int
        Most regions of features; 0 for all.

    Raises
    ------
    ValueError
        If a value is out of its range.

    Example
    -------
    >>> MediaOptions("image", 32, 32, "pad") == MediaOptions.from_dict(
    ...     MediaOptions("image", 32, 32, "pad").to_dict())
    True
    """

    kind: str = "image"
    height: int = 64
    width: int = 64
    fit: str = "stretch"
    sample_rate: int = 16000
    max_seconds: float = 30.0
    max_regions: int = 0

    def __post_init__(self) -> None:
        for name, allowed in (("kind", KINDS), ("fit", FITS)):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} of the media must be one of {', '.join(allowed)}, not "
                    f"{getattr(self, name)!r}"
                )
        for name, least, most in (
            ("height", 1, 16384), ("width", 1, 16384), ("sample_rate", 1000, 384_000),
            ("max_regions", 0, 1 << 20),
        ):  # fmt: skip
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ValueError(
                    f"{name} of the media must be a whole number from {least} to {most}, not "
                    f"{value!r}"
                )
        seconds = self.max_seconds
        if type(seconds) not in (int, float) or not 0 <= seconds < float("inf"):
            raise ValueError(f"max_seconds of the media must be at least 0, not {seconds!r}")

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain data.

        Returns
        -------
        dict
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> MediaOptions:
        """Reads what :meth:`to_dict` gave.

        Arguments
        ---------
        data : Any
            Plain data.

        Returns
        -------
        MediaOptions

        Raises
        ------
        ValueError
            If it is something else.
        """
        if not isinstance(data, Mapping):
            raise ValueError(f"media must be an object with named values, not {data!r}")
        unknown = sorted(set(data) - set(cls.__dataclass_fields__))
        if unknown:
            known = ", ".join(cls.__dataclass_fields__)
            raise ValueError(f"media has an unknown key {unknown[0]!r}; known are {known}")
        return cls(**data)


def load_media(path: str, options: MediaOptions) -> torch.Tensor:
    """Reads a file.

    Arguments
    ---------
    path : str
        The file; of features perhaps with ``#`` and the name of an array in it.
    options : MediaOptions
        What is wanted.

    Returns
    -------
    torch.Tensor
        Of an image (3, height, width), uint8; of a recording (samples,); of features (regions,
        size).

    Raises
    ------
    MediaError
        If the file is missing or broken; the message names it.
    ImportError
        If a package is not installed that such files need.

    Example
    -------
    >>> from gatedrnn.tasks.captioning.corpora.media import write_image
    >>> path = getfixture("tmp_path") / "a.png"
    >>> write_image(path, np.full((40, 60, 3), 200, dtype=np.uint8))
    >>> load_media(str(path), MediaOptions("image", 32, 32)).shape
    torch.Size([3, 32, 32])
    """
    return _LOADERS[options.kind](path, options)


def together(media: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """A batch of media, padded where they are of several lengths.

    Arguments
    ---------
    media : sequence of torch.Tensor
        Of :func:`load_media`.

    Returns
    -------
    media : torch.Tensor
        (batch, ...).
    lengths : torch.Tensor or None
        Relative lengths, (batch,); None of images.

    Raises
    ------
    ValueError
        If features are of several widths.

    Example
    -------
    >>> found, lengths = together([torch.ones(4), torch.ones(3)])
    >>> found.shape, lengths.tolist()
    (torch.Size([2, 4]), [1.0, 0.75])
    """
    if media[0].dtype == torch.uint8:
        return torch.stack(list(media)), None
    if len({one.shape[1:] for one in media}) > 1:
        widths = sorted({one.shape[1] for one in media})
        raise ValueError(f"features are of several widths: {', '.join(map(str, widths))}")
    counts = torch.tensor([float(len(one)) for one in media])
    return torch.nn.utils.rnn.pad_sequence(list(media), batch_first=True), counts / counts.max()


def _image(path: str, options: MediaOptions) -> torch.Tensor:
    pixels = read_image(path)
    if pixels.shape[:2] != (options.height, options.width):
        pixels = _fitted(pixels, options)
    # Copied, since Pillow's memory cannot be written.
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)).copy())


def _fitted(pixels: np.ndarray, options: MediaOptions) -> np.ndarray:
    """The image in its size."""
    pillow = need_pillow()
    height, width = pixels.shape[:2]
    wanted = (options.width, options.height)
    image = pillow.fromarray(pixels)
    if options.fit == "stretch":
        return np.asarray(image.resize(wanted, pillow.Resampling.BILINEAR))
    choose = max if options.fit == "crop" else min
    factor = choose(options.width / width, options.height / height)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    image = image.resize(size, pillow.Resampling.BILINEAR)
    canvas = pillow.new("RGB", wanted, (_GREY, _GREY, _GREY))
    canvas.paste(image, ((wanted[0] - size[0]) // 2, (wanted[1] - size[1]) // 2))
    return np.asarray(canvas)


def _recording(path: str, options: MediaOptions) -> torch.Tensor:
    try:
        header = audio.inspect(path)
    except audio.AudioError as error:
        raise MediaError(error.kind, error.detail) from error
    if header.truncated:
        detail = f"{path}: {header.frames} of {header.declared} samples are there"
        raise MediaError("audio-truncated", detail)
    frames = int(options.max_seconds * header.rate) or -1
    try:
        found, rate = audio_io.load(path, num_frames=frames, dtype=torch.float32)
    except RuntimeError as error:
        raise MediaError("audio-unreadable", f"{path}: {error}") from error
    signal = found.mean(0)
    return signal if rate == options.sample_rate else resample(signal, rate, options.sample_rate)


def _features(path: str, options: MediaOptions) -> torch.Tensor:
    try:
        regions = as_regions(load_features(path))
    except ValueError as error:
        raise MediaError("features-unreadable", str(error)) from error
    return torch.from_numpy(regions[: options.max_regions or None].copy())


_LOADERS: dict[str, Callable[[str, MediaOptions], torch.Tensor]] = {
    "image": _image,
    "audio": _recording,
    "features": _features,
}
