"""Audio files: what they contain, and resampling block by block."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch
from torch import nn
from torchaudio.transforms import Resample

#: Endings of the files that preparation looks for in folders.
SUFFIXES = (".wav", ".flac", ".ogg", ".sph", ".mp3")
#: Endings of the files that commands take from folders. Those of the second line cannot be decoded
#: here: each is reported as unreadable instead of left out.
INPUT_SUFFIXES = (
    *(*SUFFIXES, ".opus", ".oga", ".aif", ".aiff", ".au", ".caf", ".w64", ".rf64"),
    *(".m4a", ".aac", ".wma", ".amr"),
)
#: Bytes per sample of headerless files.
_RAW_WIDTH = 2
#: torchaudio's: zero crossings of the filter on each side, and where it cuts, of the lower rate.
_WIDTH, _ROLLOFF = 6, 0.99
#: Rates of which hardly any multiple is common to both make torchaudio's matrix huge.
_MAX_ENTRIES = 2**24


class AudioError(ValueError):
    """An audio file that cannot be used; ``kind`` is a key of ``gatedrnn.data.report.ISSUES``."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


@dataclass(frozen=True)
class AudioFile:
    """The header of an audio file that can be read.

    ``rate`` is in samples per second, ``frames`` the samples per channel that are there, and
    ``declared`` those of the header: more if the file was cut off.

    Example
    -------
    >>> AudioFile(Path("a.wav"), rate=16000, frames=8000, channels=1, declared=16000).truncated
    True
    """

    path: Path
    rate: int
    frames: int
    channels: int
    declared: int

    @property
    def truncated(self) -> bool:
        """Whether samples are missing that the header speaks of."""
        return self.frames < self.declared

    @property
    def seconds(self) -> float:
        """Duration of the samples that are there."""
        return self.frames / self.rate


def inspect(path: str | Path) -> AudioFile:
    """Reads the header of an audio file, and looks whether the file holds what it says."""
    path = Path(path)
    if not path.is_file():
        raise AudioError("audio-missing", f"{path}: no such file")
    if path.stat().st_size == 0:
        raise AudioError("audio-empty", f"{path}: 0 bytes")
    try:
        with soundfile.SoundFile(path) as stream:
            rate, frames, channels = stream.samplerate, stream.frames, stream.channels
            kind = stream.format
            # The end of a file that was cut off cannot be reached.
            end_is_there = frames == 0 or (stream.seek(frames - 1), len(stream.read(1)))[1] == 1
    except soundfile.LibsndfileError as error:
        if _is_compressed_and_opens(path):
            raise AudioError(
                "audio-truncated", f"{path}: the end is missing or broken ({error})"
            ) from error
        raise AudioError("audio-unreadable", f"{path}: {error}") from error
    if not end_is_there:
        raise AudioError("audio-truncated", f"{path}: its last samples cannot be read")
    if kind in ("WAV", "WAVEX", "RF64"):
        declared = _declared_by_wav(path)
    elif kind == "NIST":
        declared = _declared_by_sphere(path)
    else:
        declared = frames
    if frames == 0 and not declared:
        raise AudioError("audio-empty", f"{path}: a header, but no samples")
    return AudioFile(path, rate, frames, channels, max(frames, declared))


def inspect_raw(path: str | Path, rate: int) -> AudioFile:
    """Looks at a headerless file of 16-bit mono samples."""
    path = Path(path)
    if not path.is_file():
        raise AudioError("audio-missing", f"{path}: no such file")
    size = path.stat().st_size
    if size == 0:
        raise AudioError("audio-empty", f"{path}: 0 bytes")
    if size % _RAW_WIDTH:
        raise AudioError("audio-truncated", f"{path}: an odd number of bytes, for 16-bit samples")
    return AudioFile(path, rate, size // _RAW_WIDTH, 1, size // _RAW_WIDTH)


def _is_compressed_and_opens(path: Path) -> bool:
    """Whether at least the header can be read: then what failed was reaching the end."""
    try:
        soundfile.info(path)
    except soundfile.LibsndfileError:
        return False
    return True


def _declared_by_wav(path: Path) -> int:
    """Frames of which the header of a WAV file speaks; libsndfile tells those that are there.

    Recorders that were killed leave sizes of 0 or of all ones, which say nothing.
    """
    with open(path, "rb") as stream:
        stream.seek(12)
        frame_bytes = 0
        while len(header := stream.read(8)) == 8:
            name, size = header[:4], struct.unpack("<I", header[4:])[0]
            if name == b"fmt ":
                frame_bytes = struct.unpack("<H", stream.read(size + size % 2)[12:14])[0]
            elif name == b"data":
                unknown = size == 0xFFFFFFFF or not frame_bytes
                return 0 if unknown else size // frame_bytes
            else:
                stream.seek(size + size % 2, 1)
    return 0


def _declared_by_sphere(path: Path) -> int:
    """Frames of which the header of a NIST SPHERE file speaks."""
    with open(path, "rb") as stream:
        lines = stream.read(1024).decode("ascii", errors="replace").splitlines()
    for line in lines:
        fields = line.split()
        if len(fields) == 3 and fields[0] == "sample_count" and fields[2].isdigit():
            return int(fields[2])
    return 0


class BlockResampler:
    """Resamples a signal that comes in blocks.

    It gives what ``torchaudio.functional.resample`` gives for the whole signal, which is how
    training resamples: blocks overlap by the width of the filter.

    Arguments
    ---------
    source, target : int
        Samples per second of the signal and of the result.

    Example
    -------
    >>> from torchaudio.functional import resample
    >>> signal = torch.randn(10_000)
    >>> resampler = BlockResampler(44_100, 16_000)
    >>> parts = [resampler.push(block) for block in signal.split(3_000)]
    >>> whole = torch.cat([*parts, resampler.flush()])
    >>> torch.allclose(whole, resample(signal, 44_100, 16_000), atol=1e-6)
    True
    """

    def __init__(self, source: int, target: int) -> None:
        if source <= 0 or target <= 0:
            raise ValueError(f"cannot resample from {source} to {target} samples per second")
        common = math.gcd(source, target)
        #: So many samples of the source give so many of the target, exactly.
        self.unit, self.factor = source // common, target // common
        width = math.ceil(_WIDTH * self.unit / (min(self.unit, self.factor) * _ROLLOFF))
        # A whole number of units, so that what follows them falls on the same grid.
        self._context = math.ceil(width / self.unit) * self.unit
        self._apply = _filter(self.unit, self.factor, width)
        self._held = torch.zeros(0)
        # Of what is held, so much was resampled and is only kept as context.
        self._done = 0

    def push(self, samples: torch.Tensor) -> torch.Tensor:
        """Takes a block (samples,); returns the samples that are final by now, (samples,)."""
        if self.unit == self.factor:
            return samples
        self._held = torch.cat([self._held, samples])
        ready = (len(self._held) - self._context - self._done) // self.unit * self.unit
        if ready <= 0:
            return samples[:0]
        end = self._done + ready
        samples = self._apply(self._held[: end + self._context])
        samples = samples[self._output(self._done) : self._output(end)]
        kept = max(0, end - self._context)
        self._held, self._done = self._held[kept:].clone(), end - kept
        return samples

    def flush(self, samples: torch.Tensor | None = None) -> torch.Tensor:
        """Ends the signal and returns its last samples, (samples,); another one may follow.

        ``samples``: the last block, if it has not been pushed. A signal that is a single block is
        resampled by a single call of torchaudio's, as in training.
        """
        held, done = self._held, self._done
        if samples is not None:
            held = torch.cat([held, samples])
        self._held, self._done = torch.zeros(0), 0
        if self.unit == self.factor or len(held) == done:
            return held[done:]
        total = -(-len(held) * self.factor // self.unit)
        return self._apply(held)[self._output(done) : total]

    def _output(self, samples: int) -> int:
        return samples // self.unit * self.factor


def _filter(unit: int, factor: int, width: int) -> nn.Module:
    """The module that resamples a whole signal."""
    if unit == factor:
        return nn.Identity()
    if factor * (unit + 2 * width) > _MAX_ENTRIES:
        return _Sparse(unit, factor, width)
    # Single precision also for the filter, as in torchaudio.functional.
    return Resample(unit, factor, dtype=torch.float32)


class _Sparse(nn.Module):
    """torchaudio's resampling without the zeros of its matrix.

    Where two rates have hardly a common divisor (11127 and 16000 Hz), nearly all of that matrix is
    zeros, and it takes gigabytes.
    """

    def __init__(self, unit: int, factor: int, width: int) -> None:
        super().__init__()
        self.unit, self.factor, self.width = unit, factor, width
        phase = torch.arange(factor)
        first = phase * unit // factor - width
        taps = first[:, None] + torch.arange(2 * width + 2)
        # In the order of torchaudio's own steps: in single precision, order matters.
        base = min(unit, factor) * _ROLLOFF
        time = torch.arange(0, -factor, -1, dtype=torch.float32)[:, None] / factor + taps / unit
        time = (time * base).clamp_(-_WIDTH, _WIDTH)
        window = torch.cos(time * math.pi / _WIDTH / 2) ** 2
        time *= math.pi
        kernel = torch.where(time == 0, 1.0, time.sin() / time)
        self.kernel = kernel * (window * (base / unit))
        self.first = first

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        """Resamples (samples,)."""
        total = -(-len(signal) * self.factor // self.unit)
        padded = nn.functional.pad(signal, (self.width, self.width + self.unit + 2))
        windows = padded.unfold(0, self.kernel.shape[1], 1)
        parts = []
        # So many at a time that the windows fit into a few megabytes.
        for places in torch.arange(total).split(2**22 // self.kernel.shape[1] + 1):
            phase = places % self.factor
            start = places // self.factor * self.unit + self.first[phase] + self.width
            parts.append((windows[start] * self.kernel[phase]).sum(1))
        return torch.cat([signal[:0], *parts])
