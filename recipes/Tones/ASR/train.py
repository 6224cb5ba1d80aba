#!/usr/bin/env python3
"""Trains and tests a deep recogniser of a made-up tone language.

To run it: ``python train.py hparams/ctc.yaml --device=cpu``; every top-level key of the YAML can be
given on the command line, e.g. ``--network=highway --num_layers=3`` or ``--head=attention``. The
same command goes on with an interrupted training.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatedrnn.simulation.tones import SAMPLE_RATE, make_utterance
from gatedrnn.tasks.asr.train import train_asr

#: Set -> its speakers: those of the test are heard nowhere else.
SPEAKERS = {"train": range(30), "dev": range(30, 35), "test": range(35, 40)}


class Tones:
    """Utterances of some speakers, made once and kept.

    Arguments
    ---------
    name : str
        Name of the set.
    count : int
        Number of utterances.
    speakers : range
        The speakers, who take turns.
    """

    def __init__(self, name: str, count: int, speakers: range) -> None:
        made = [
            make_utterance(1_000_003 * speakers.start + i, speaker=speakers[i % len(speakers)])
            for i in range(count)
        ]
        self.items = [
            {"id": f"{name}-{i}", "sig": u.samples, "words": list(u.words)}
            for i, u in enumerate(made)
        ]
        self.durations = [len(u.samples) / SAMPLE_RATE for u in made]
        self.texts = [" ".join(u.words) for u in made]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.items[index]


def prepare(hparams: Mapping[str, Any]) -> dict[str, Path]:
    """Names the sets: there is nothing to prepare.

    Arguments
    ---------
    hparams : Mapping
        Of the YAML.

    Returns
    -------
    dict
        Name of the set -> a path that is not read.
    """
    return {name: Path(name) for name in SPEAKERS}


def read(path: Path, name: str, hparams: Mapping[str, Any]) -> Tones:
    """Makes the utterances of a set.

    Arguments
    ---------
    path : Path
        Of :func:`prepare`.
    name : str
        Name of the set.
    hparams : Mapping
        ``train_utterances``, ``dev_utterances``, ``test_utterances``.

    Returns
    -------
    Tones
    """
    return Tones(name, hparams[f"{name}_utterances"], SPEAKERS[name])


if __name__ == "__main__":
    train_asr(sys.argv[1:], prepare, read)
