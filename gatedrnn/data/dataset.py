"""SpeechBrain datasets of prepared CSV files."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from speechbrain.dataio import audio_io
from speechbrain.dataio.dataset import DynamicItemDataset
from torchaudio.functional import resample

from gatedrnn.data.utterance import Utterance, read_csv

logger = logging.getLogger(__name__)


#: (signal, name of the utterance, epoch) -> signal, such as
#: :class:`~gatedrnn.data.distant_speech.DistantSpeech`.
Effect = Callable[[torch.Tensor, str, int], torch.Tensor]


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
        """Sets the epoch, on which effects depend.

        Arguments
        ---------
        epoch : int
            Its number.
        """
        self._epoch.fill_(epoch)

    def load(self, utterance: Utterance) -> torch.Tensor:
        """Reads the signal of an utterance.

        Arguments
        ---------
        utterance : Utterance
            The utterance.

        Returns
        -------
        torch.Tensor
            (samples,).

        Raises
        ------
        ValueError
            If the recording is shorter than when it was prepared, or has too few channels.
        """
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
        Changes each signal, such as :class:`~gatedrnn.data.distant_speech.DistantSpeech`.
    min_seconds : float
        Leave shorter utterances out (training only: a test set is tested whole).
    max_seconds : float
        Leave longer utterances out.

    Returns
    -------
    SpeechDataset

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is not there, is no such file, or no utterance is left.

    Example
    -------
    >>> from gatedrnn.data.utterance import write_csv
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
