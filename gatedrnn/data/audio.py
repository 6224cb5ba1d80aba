"""What an audio file holds, and whether it holds what its header says."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import soundfile

#: Endings of the files that preparation looks for in folders.
SUFFIXES = (".wav", ".flac", ".ogg", ".sph", ".mp3")
#: Bytes per sample of headerless files.
_RAW_WIDTH = 2


class AudioError(ValueError):
    """An audio file that cannot be used.

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


@dataclass(frozen=True)
class AudioFile:
    """An audio file that can be read.

    Arguments
    ---------
    path : Path
        The file.
    rate : int
        Samples per second.
    frames : int
        Samples per channel that are there.
    channels : int
        Number of channels.
    declared : int
        Samples per channel of which the header speaks: more than ``frames`` if it was cut off.

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
        """Duration of what is there."""
        return self.frames / self.rate


def inspect(path: str | Path) -> AudioFile:
    """Reads the header of an audio file, and looks whether the file holds what it says.

    Arguments
    ---------
    path : str or Path
        The file: anything libsndfile reads.

    Returns
    -------
    AudioFile

    Raises
    ------
    AudioError
        If the file is missing, has no samples, or cannot be decoded.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> soundfile.write(path, [0.0] * 1000, 16000)
    >>> inspect(path).frames
    1000
    >>> _ = path.write_bytes(path.read_bytes()[:1044])
    >>> inspect(path).frames, inspect(path).declared
    (500, 1000)
    """
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
    """Looks at a headerless file of 16-bit mono samples.

    Arguments
    ---------
    path : str or Path
        The file.
    rate : int
        Its sample rate, which the file does not tell.

    Returns
    -------
    AudioFile

    Raises
    ------
    AudioError
        If it is missing or empty, or holds half a sample.
    """
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
