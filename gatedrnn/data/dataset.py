"""SpeechBrain datasets of prepared CSV files; reverberation and noise of distant speech.

Random numbers depend on the seed, the epoch and the name of an utterance, never on the order of
utterances, workers or ranks.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch
from scipy.fft import next_fast_len
from speechbrain.dataio import audio_io
from speechbrain.dataio.dataset import DynamicItemDataset
from torchaudio.functional import resample

from gatedrnn.data.audio import SUFFIXES
from gatedrnn.data.files import list_files
from gatedrnn.data.tables import Utterance, read_csv
from gatedrnn.lazy import MissingExtraError

logger = logging.getLogger(__name__)


#: (signal, name of the utterance, epoch) -> signal, such as
#: :class:`~gatedrnn.data.dataset.DistantSpeech`.
Effect = Callable[[torch.Tensor, str, int], torch.Tensor]
#: Name of the array of impulse responses in an ``.npz`` file.
_ARRAY = "rirs"
#: Its sample rate where the file has no array ``rate``.
_ARRAY_RATE = 16_000
#: Smallest and largest room, in metres.
_ROOM = ((3.5, 3.0, 2.4), (8.0, 6.0, 3.2))
#: Reverberation time, in seconds.
_RT60 = (0.2, 0.6)
#: From mouth to microphone, in metres.
_DISTANCE = (0.7, 3.0)
#: Distance from the walls, in metres.
_MARGIN = 0.4


class SpeechDataset(DynamicItemDataset):
    """Utterances with their signals and transcripts.

    An item has ``id``, ``sig`` (samples,), ``wrd``, ``words`` (a list), ``duration``, ``spk_id``.

    Arguments
    ---------
    utterances : list of Utterance
        The utterances, in the order of the dataset.
    rate : int
        Samples per second of ``sig``: recordings with another rate are resampled.
    effect : Callable or None
        Changes each signal, given its name and the epoch.

    Raises
    ------
    ValueError
        If there is no utterance, or one without a recording.

    Example
    -------
    >>> import soundfile
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> soundfile.write(path, [[0.1, 0.5]] * 8000, 8000)
    >>> utterance = Utterance("u1", 0.5, str(path), 2000, 6000, 1, "ann", "OH YES")
    >>> item = SpeechDataset([utterance], rate=16000)[0]
    >>> item["sig"].shape, item["words"], round(float(item["sig"][4000]), 2)
    (torch.Size([8000]), ['OH', 'YES'], 0.5)
    """

    def __init__(
        self,
        utterances: list[Utterance],
        rate: int,
        effect: Effect | None = None,
    ) -> None:
        if not utterances:
            raise ValueError("a dataset needs at least one utterance")
        silent = next((u.id for u in utterances if not u.wav), None)
        if silent is not None:
            raise ValueError(
                f"utterance {silent} has no recording: only its text was prepared; prepare again "
                "with audio"
            )
        self.rate = rate
        self.effect = effect
        #: Seconds of each utterance.
        self.durations = [utterance.duration for utterance in utterances]
        #: Transcript of each utterance.
        self.texts = [utterance.words for utterance in utterances]
        # Shared with the workers of a loader, also with those that outlive an epoch.
        self._epoch = torch.zeros((), dtype=torch.long).share_memory_()
        data = {
            utterance.id: {
                "duration": utterance.duration,
                "utterance": utterance,
                "spk_id": utterance.speaker,
                "wrd": utterance.words,
            }
            for utterance in utterances
        }
        super().__init__(data)
        self.add_dynamic_item(self.load, takes=("utterance",), provides="sig")
        self.add_dynamic_item(str.split, takes=("wrd",), provides="words")
        self.set_output_keys(["id", "sig", "wrd", "words", "duration", "spk_id"])

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch, on which effects depend."""
        self._epoch.fill_(epoch)

    def load(self, utterance: Utterance) -> torch.Tensor:
        """Reads the signal (samples,) of an utterance; an error if the recording has changed."""
        frames = utterance.stop - utterance.start
        audio, rate = audio_io.load(
            utterance.wav, frame_offset=utterance.start, num_frames=frames, dtype=torch.float32
        )
        if audio.shape[0] <= utterance.channel or audio.shape[1] != frames:
            raise ValueError(
                f"{utterance.wav}: samples {utterance.start} to {utterance.stop} of channel "
                f"{utterance.channel} of {utterance.id} cannot be read: it has {audio.shape[1]} "
                f"samples of {audio.shape[0]} channels; prepare again, the file has changed"
            )
        signal = audio[utterance.channel].contiguous()
        if rate != self.rate:
            signal = resample(signal, rate, self.rate)
        if self.effect is not None:
            signal = self.effect(signal, utterance.id, int(self._epoch))
        return signal


def speech_dataset(
    path: str | Path,
    rate: int,
    effect: Effect | None = None,
    min_seconds: float = 0.0,
    max_seconds: float = float("inf"),
) -> SpeechDataset:
    """The dataset of a prepared CSV file.

    Arguments
    ---------
    path : str or Path
        The CSV file.
    rate : int
        Samples per second of the signals.
    effect : Callable or None
        Changes each signal, such as :class:`~gatedrnn.data.dataset.DistantSpeech`.
    min_seconds : float
        Leave shorter utterances out (training only: a test set is tested whole).
    max_seconds : float
        Leave longer utterances out.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is not there, is no such file, or no utterance is left.

    Example
    -------
    >>> from gatedrnn.data.tables import write_csv
    >>> path = getfixture("tmp_path") / "train.csv"
    >>> write_csv(path, [Utterance("u1", 0.5, "a.wav", 0, 8000, 0, "ann", "YES")])
    >>> speech_dataset(path, rate=16000).durations
    [0.5]
    """
    every = read_csv(path)
    kept = [u for u in every if min_seconds <= u.duration <= max_seconds]
    if not kept:
        raise ValueError(
            f"{path}: none of its {len(every)} utterances lasts {min_seconds} to {max_seconds} s"
        )
    if len(kept) < len(every):
        logger.info(
            "%s: %d of %d utterances left out: shorter than %g s or longer than %g s",
            path,
            len(every) - len(kept),
            len(every),
            min_seconds,
            max_seconds,
        )
    return SpeechDataset(kept, rate, effect)


class ImpulseResponses:
    """Impulse responses of rooms, at one sample rate, from the direct sound on.

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
    """Recordings of noise, of which segments are read on demand.

    Arguments
    ---------
    path : str or Path
        A folder of audio files, at any depth.
    rate : int
        Samples per second of the segments.

    Raises
    ------
    FileNotFoundError
        If there are none.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> soundfile.write(folder / "hum.wav", 0.1 * np.sin(np.arange(8000)), 8000)
    >>> Noises(folder, rate=16000).segment(4000, np.random.default_rng(1)).shape
    torch.Size([4000])
    """

    def __init__(self, path: str | Path, rate: int) -> None:
        self.files = [(file, soundfile.info(file)) for file in _audio_files(Path(path), "noise")]
        self.rate = rate

    def __len__(self) -> int:
        return len(self.files)

    def segment(self, samples: int, generator: np.random.Generator) -> torch.Tensor:
        """Reads a random segment (samples,) of noise; short recordings are repeated."""
        file, info = self.files[int(generator.integers(len(self.files)))]
        # A little more, since resampling rounds.
        frames = min(info.frames, samples * info.samplerate // self.rate + 2)
        start = int(generator.integers(info.frames - frames + 1))
        noise = _read(file, self.rate, start, frames)
        repeats = -(-samples // len(noise))
        return noise.repeat(repeats)[:samples]


class DistantSpeech:
    """Turns close speech into distant speech.

    Arguments
    ---------
    responses : ImpulseResponses or None
        One is sampled for each utterance; None for no reverberation.
    noises : Noises or None
        A segment is sampled for each utterance; None for no noise.
    snr : tuple of float
        Range of the ratio of reverberant speech to noise, in dB.
    share : float
        Fraction of the utterances that are changed, from 0 to 1.
    seed : int
        Decides responses, noises and ratios.

    Raises
    ------
    ValueError
        If a value is out of its range, or there is nothing to do.

    Example
    -------
    >>> responses = ImpulseResponses([torch.tensor([1.0, 0.0, 0.5])], rate=16000)
    >>> distant = DistantSpeech(responses)
    >>> signal = torch.randn(100)
    >>> near, far = distant(signal, "u1"), distant(signal, "u1")
    >>> near.shape, torch.equal(near, far), torch.equal(near, signal)
    (torch.Size([100]), True, False)
    """

    def __init__(
        self,
        responses: ImpulseResponses | None = None,
        noises: Noises | None = None,
        snr: tuple[float, float] = (5.0, 25.0),
        share: float = 1.0,
        seed: int = 1,
    ) -> None:
        if responses is None and noises is None:
            raise ValueError("distant speech needs impulse responses, noises, or both")
        if responses is not None and noises is not None and responses.rate != noises.rate:
            raise ValueError(
                f"impulse responses are at {responses.rate} Hz, noises at {noises.rate} Hz: must "
                "be the same"
            )
        if len(snr) != 2 or snr[0] > snr[1]:
            raise ValueError(f"snr {snr}: must be the lowest and the highest ratio, in dB")
        if not 0 <= share <= 1:
            raise ValueError(f"share {share}: must lie between 0 and 1")
        self.responses = responses
        self.noises = noises
        self.snr = (float(snr[0]), float(snr[1]))
        self.share = share
        self.seed = seed

    @property
    def rate(self) -> int:
        """Samples per second of what it works on."""
        return (self.responses or self.noises).rate

    def __call__(self, signal: torch.Tensor, name: str, epoch: int = 0) -> torch.Tensor:
        """Makes an utterance (samples,) distant; its level and length are kept.

        Room and noise depend on ``name``, the utterance's, and on the epoch.
        """
        generator = self._generator(name, epoch)
        if generator.random() >= self.share:
            return signal
        distant = signal
        if self.responses is not None:
            response = self.responses[int(generator.integers(len(self.responses)))]
            distant = _convolve(signal, response.to(signal))
        if self.noises is not None:
            noise = self.noises.segment(len(signal), generator).to(signal)
            snr = generator.uniform(*self.snr)
            distant = distant + noise * (_level(distant) / _level(noise) * 10 ** (-snr / 20))
        return distant * (_level(signal) / _level(distant))

    def _generator(self, name: str, epoch: int) -> np.random.Generator:
        """Random numbers of an utterance in an epoch."""
        digest = hashlib.sha256(f"{self.seed}\0{epoch}\0{name}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def simulate_rooms(
    count: int, rate: int, seed: int = 1, per_room: int = 4, max_seconds: float = 0.8
) -> ImpulseResponses:
    """Simulates impulse responses of box-shaped rooms by the image method.

    Arguments
    ---------
    count : int
        Number of impulse responses.
    rate : int
        Samples per second.
    seed : int
        Seed of rooms and places.
    per_room : int
        Places of the speaker in each room.
    max_seconds : float
        Where responses are cut off.

    Raises
    ------
    ImportError
        If pyroomacoustics is not installed.
    ValueError
        If ``count`` is not positive.
    """
    try:
        import pyroomacoustics
    except ImportError as error:
        raise MissingExtraError(
            "making impulse responses on the fly needs pyroomacoustics: pip install "
            "pyroomacoustics (or give a folder of impulse responses)"
        ) from error
    generator = np.random.default_rng(seed)
    responses: list[torch.Tensor] = []
    while len(responses) < count:
        size = generator.uniform(*_ROOM)
        microphone = generator.uniform(_MARGIN, size - _MARGIN)
        rt60 = generator.uniform(*_RT60)
        absorption, order = pyroomacoustics.inverse_sabine(rt60, size)
        room = pyroomacoustics.ShoeBox(
            size,
            fs=rate,
            materials=pyroomacoustics.Material(absorption),
            # The late reverberation is quiet: bounds the time that this takes.
            max_order=min(order, 30),
        )
        room.add_microphone(microphone)
        for _ in range(min(per_room, count - len(responses))):
            room.add_source(_speaker(size, microphone, generator))
        room.compute_rir()
        rirs = [torch.tensor(np.asarray(x), dtype=torch.float32) for x in room.rir[0]]
        responses += [x[: round(max_seconds * rate)] for x in rirs]
    return ImpulseResponses(responses, rate)


def _speaker(
    size: np.ndarray, microphone: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """A place in the room at a distance of the microphone."""
    while True:
        direction = generator.normal(size=3) * (1, 1, 0.2)
        distance = generator.uniform(*_DISTANCE)
        place = microphone + distance * direction / np.linalg.norm(direction)
        if (place > _MARGIN).all() and (place < size - _MARGIN).all():
            return place


def _audio_files(folder: Path, what: str) -> list[Path]:
    """Audio files of a folder."""
    files = [path for path in list_files(folder) if path.suffix.lower() in SUFFIXES]
    if not files:
        raise FileNotFoundError(f"{folder}: no such folder, or no audio files of {what} in it")
    return files


def _read(path: Path, rate: int, start: int = 0, frames: int = -1) -> torch.Tensor:
    """Reads the first channel of a segment of a file."""
    audio, source_rate = audio_io.load(path, frame_offset=start, num_frames=frames)
    audio = audio[0].float()
    return audio if source_rate == rate else resample(audio, source_rate, rate)


def _load_array(path: Path, rate: int, split: str | None) -> list[torch.Tensor]:
    """Reads an array of impulse responses."""
    with np.load(path, allow_pickle=False) as arrays:
        if _ARRAY not in arrays or arrays[_ARRAY].ndim != 2:
            raise ValueError(
                f"{path}: has {', '.join(arrays.files)}; must hold an array {_ARRAY} of "
                "(responses, samples)"
            )
        array = arrays[_ARRAY]
        source_rate = int(arrays["rate"]) if "rate" in arrays else _ARRAY_RATE
    if np.issubdtype(array.dtype, np.integer):
        array = array / np.iinfo(array.dtype).max
    keep = range(len(array)) if split is None else _of_split(path, len(array), split)
    responses = [torch.from_numpy(array[i]).float() for i in keep]
    if source_rate == rate:
        return responses
    return [resample(response, source_rate, rate) for response in responses]


def _of_split(path: Path, count: int, split: str) -> list[int]:
    """Which responses of an array belong to a split."""
    beside = [file for file in path.parent.glob("*.json") if path.stem.startswith(file.stem)]
    if len(beside) != 1:
        raise ValueError(
            f"{path}: {len(beside)} JSON lists beside it begin like its name; must be one, which "
            f"tells the responses of split {split!r}"
        )
    rows = json.loads(beside[0].read_text(encoding="utf-8"))
    if not isinstance(rows, list) or len(rows) != count:
        raise ValueError(f"{beside[0]}: must be a list of {count} objects, one per response")
    indices = [i for i, row in enumerate(rows) if row.get("split") == split]
    if not indices:
        known = sorted({str(row.get("split")) for row in rows})
        raise ValueError(f"{beside[0]}: no response of split {split!r}; has {', '.join(known)}")
    return indices


def _convolve(signal: torch.Tensor, response: torch.Tensor) -> torch.Tensor:
    """Causal convolution, as long as the signal."""
    # A length with a large prime factor, as lengths of utterances have, would be 5 times as slow.
    length = next_fast_len(len(signal) + len(response) - 1, real=True)
    spectrum = torch.fft.rfft(signal, length) * torch.fft.rfft(response, length)
    return torch.fft.irfft(spectrum, length)[: len(signal)]


def _level(signal: torch.Tensor) -> torch.Tensor:
    """Root mean square; never zero, so that silence stays silent."""
    return signal.square().mean().sqrt().clamp_min(1e-8)
