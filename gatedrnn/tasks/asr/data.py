"""From prepared lists to the datasets of a training, as a recipe's YAML says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gatedrnn.data.dataset import (
    DistantSpeech,
    ImpulseResponses,
    Noises,
    SpeechDataset,
    simulate_rooms,
    speech_dataset,
)

#: Sets whose name ends like this are made distant.
DISTANT = "-distant"


def read_speech(path: Path, name: str, hparams: Mapping[str, Any]) -> SpeechDataset:
    """Makes the dataset of a prepared CSV file.

    Arguments
    ---------
    path : Path
        The file.
    name : str
        Name of the set: ``"train"`` gets ``distant_train`` and the bounds on durations, sets
        whose name ends in ``"-distant"`` get ``distant_test``.
    hparams : Mapping
        ``sample_rate``; optionally ``min_seconds``, ``max_seconds``, ``distant_train`` and
        ``distant_test`` (functions of :func:`distant_speech`'s kind, or null).

    Returns
    -------
    SpeechDataset
    """
    rate = hparams["sample_rate"]
    if name == "train":
        return speech_dataset(
            path,
            rate,
            effect=hparams.get("distant_train"),
            min_seconds=float(hparams.get("min_seconds") or 0.0),
            max_seconds=float(hparams.get("max_seconds") or "inf"),
        )
    if name.endswith(DISTANT):
        if hparams.get("distant_test") is None:
            raise ValueError(f"set {name} needs impulse_responses or noises to be made distant")
        return speech_dataset(path, rate, effect=hparams["distant_test"])
    return speech_dataset(path, rate)


def distant_speech(
    impulse_responses: str | None,
    noises: str | None,
    rate: int,
    split: str | None = None,
    share: float = 1.0,
    snr: Sequence[float] = (5.0, 25.0),
    seed: int = 1,
) -> DistantSpeech | None:
    """Makes the effect that turns close speech into distant speech, for YAML.

    Arguments
    ---------
    impulse_responses : str or None
        A folder, an ``.npz`` file, or ``"simulated"`` for rooms made by pyroomacoustics.
    noises : str or None
        A folder of noise recordings.
    rate : int
        Samples per second.
    split : str or None
        Take the responses of this split only: of an ``.npz`` file that tells splits; simulated
        ones are of other rooms in each split.
    share : float
        Part of the utterances that are changed.
    snr : sequence of float
        Lowest and highest ratio of speech to noise, in dB.
    seed : int
        Decides all.

    Returns
    -------
    DistantSpeech or None
        ``None`` if ``share`` is 0, or neither responses nor noises are given.

    Example
    -------
    >>> distant_speech(None, None, rate=16000) is None
    True
    """
    if share == 0 or (impulse_responses is None and noises is None):
        return None
    responses = None
    if impulse_responses == "simulated":
        # Each split has other rooms.
        offset = sum(map(ord, split or ""))
        responses = simulate_rooms(64, rate, seed=seed * 10_007 + offset)
    elif impulse_responses is not None:
        folder = Path(impulse_responses).is_dir()
        responses = ImpulseResponses.load(impulse_responses, rate, None if folder else split)
    noise = None if noises is None else Noises(noises, rate)
    return DistantSpeech(responses, noise, (float(snr[0]), float(snr[1])), share, seed)
