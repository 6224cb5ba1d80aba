"""Impulse responses and noises, from folders, from arrays, or made on the fly."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch
from speechbrain.dataio import audio_io
from torchaudio.functional import resample

from gatedrnn.data.audio import SUFFIXES
from gatedrnn.data.files import list_files

#: Name of the array of impulse responses in an ``.npz`` file.
_ARRAY = "rirs"
#: Its sample rate where the file has no array ``rate``.
_ARRAY_RATE = 16_000


class ImpulseResponses:
    """Impulse responses of rooms, at one sample rate, beginning with the direct sound.

    Arguments
    ---------
    responses : sequence of torch.Tensor or Path
        (samples,) tensors at ``rate``, or audio files, which are read when they are asked for.
    rate : int
        Samples per second.

    Raises
    ------
    ValueError
        If there are none.

    Example
    -------
    >>> responses = ImpulseResponses([torch.tensor([0.0, 0.0, 1.0, 0.5])], rate=16000)
    >>> responses[0]
    tensor([1.0000, 0.5000])
    """

    def __init__(self, responses: Sequence[torch.Tensor | Path], rate: int) -> None:
        if not responses:
            raise ValueError("no impulse responses")
        self.responses = list(responses)
        self.rate = rate

    @classmethod
    def load(cls, path: str | Path, rate: int, split: str | None = None) -> ImpulseResponses:
        """Finds impulse responses.

        Arguments
        ---------
        path : str or Path
            A folder of audio files, at any depth, or an ``.npz`` file with an array ``rirs``
            (responses, samples) and, if it is not 16 kHz, ``rate``. A JSON list beside an
            ``.npz`` file, whose name begins like it, may tell the ``split`` of each response.
        rate : int
            Samples per second wanted.
        split : str or None
            Only those of a split, such as ``"train"``.

        Returns
        -------
        ImpulseResponses

        Raises
        ------
        FileNotFoundError
            If there is nothing like that.
        ValueError
            If the file holds something else, or the split is unknown.
        """
        path = Path(path)
        if path.is_dir():
            if split is not None:
                raise ValueError(
                    f"{path}: a folder tells no splits; give a folder for each, and no split"
                )
            return cls(_audio_files(path, "impulse responses"), rate)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such folder or .npz file of impulse responses")
        if path.suffix != ".npz":
            raise ValueError(f"{path}: impulse responses must be a folder or an .npz file")
        return cls(_load_array(path, rate, split), rate)

    def __len__(self) -> int:
        return len(self.responses)

    def __getitem__(self, index: int) -> torch.Tensor:
        response = self.responses[index]
        if isinstance(response, Path):
            response = _read(response, self.rate)
        # What comes before the direct sound would only delay the speech.
        return response[int(response.abs().argmax()) :]


class Noises:
    """Recordings of noise, of which stretches are read as they are needed.

    Arguments
    ---------
    path : str or Path
        A folder of audio files, at any depth.
    rate : int
        Samples per second wanted.

    Raises
    ------
    FileNotFoundError
        If there are none.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> soundfile.write(folder / "hum.wav", 0.1 * np.sin(np.arange(8000)), 8000)
    >>> Noises(folder, rate=16000).stretch(4000, np.random.default_rng(1)).shape
    torch.Size([4000])
    """

    def __init__(self, path: str | Path, rate: int) -> None:
        self.files = [(file, soundfile.info(file)) for file in _audio_files(Path(path), "noise")]
        self.rate = rate

    def __len__(self) -> int:
        return len(self.files)

    def stretch(self, samples: int, generator: np.random.Generator) -> torch.Tensor:
        """Reads a stretch of noise from anywhere; short recordings are repeated.

        Arguments
        ---------
        samples : int
            Its length.
        generator : numpy.random.Generator
            Decides which.

        Returns
        -------
        torch.Tensor
            (samples,).
        """
        file, info = self.files[int(generator.integers(len(self.files)))]
        # A little more, since resampling rounds.
        wanted = min(info.frames, samples * info.samplerate // self.rate + 2)
        start = int(generator.integers(info.frames - wanted + 1))
        noise = _read(file, self.rate, start, wanted)
        repeats = -(-samples // len(noise))
        return noise.repeat(repeats)[:samples]


def _audio_files(folder: Path, what: str) -> list[Path]:
    """Audio files of a folder."""
    files = [path for path in list_files(folder) if path.suffix.lower() in SUFFIXES]
    if not files:
        raise FileNotFoundError(f"{folder}: no such folder, or no audio files of {what} in it")
    return files


def _read(path: Path, rate: int, start: int = 0, frames: int = -1) -> torch.Tensor:
    """Reads the first channel of a stretch of a file."""
    audio, found = audio_io.load(path, frame_offset=start, num_frames=frames)
    audio = audio[0].float()
    return audio if found == rate else resample(audio, found, rate)


def _load_array(path: Path, rate: int, split: str | None) -> list[torch.Tensor]:
    """Reads an array of impulse responses."""
    with np.load(path, allow_pickle=False) as arrays:
        if _ARRAY not in arrays or arrays[_ARRAY].ndim != 2:
            raise ValueError(
                f"{path}: holds {', '.join(arrays.files)}; must hold an array {_ARRAY} of "
                "(responses, samples)"
            )
        array = arrays[_ARRAY]
        found = int(arrays["rate"]) if "rate" in arrays else _ARRAY_RATE
    if np.issubdtype(array.dtype, np.integer):
        array = array / np.iinfo(array.dtype).max
    keep = range(len(array)) if split is None else _of_split(path, len(array), split)
    responses = [torch.from_numpy(array[i]).float() for i in keep]
    return responses if found == rate else [resample(x, found, rate) for x in responses]


def _of_split(path: Path, count: int, split: str) -> list[int]:
    """Which responses of an array belong to a split."""
    beside = [file for file in path.parent.glob("*.json") if path.stem.startswith(file.stem)]
    if len(beside) != 1:
        raise ValueError(
            f"{path}: split {split!r} wanted, but {len(beside)} JSON lists beside it begin like "
            "its name; must be one"
        )
    rows = json.loads(beside[0].read_text(encoding="utf-8"))
    if not isinstance(rows, list) or len(rows) != count:
        raise ValueError(f"{beside[0]}: must be a list of {count} objects, one per response")
    found = [i for i, row in enumerate(rows) if row.get("split") == split]
    if not found:
        known = sorted({str(row.get("split")) for row in rows})
        raise ValueError(f"{beside[0]}: no response of split {split!r}; has {', '.join(known)}")
    return found
