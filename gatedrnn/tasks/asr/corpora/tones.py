"""A synthetic tone language: utterances are simulated, nothing is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatedrnn.simulation.small_sets import SAMPLE_RATE, make_utterance

#: Set -> its speakers: those of the test are in no other set.
SPEAKERS = {"train": range(30), "dev": range(30, 35), "test": range(35, 40)}


class Tones:
    """Utterances of speakers who take turns, simulated once and kept."""

    def __init__(self, name: str, count: int, speakers: range) -> None:
        utterances = [
            make_utterance(1_000_003 * speakers.start + i, speaker=speakers[i % len(speakers)])
            for i in range(count)
        ]
        self.items = [
            {"id": f"{name}-{i}", "sig": u.samples, "words": list(u.words)}
            for i, u in enumerate(utterances)
        ]
        self.durations = [len(u.samples) / SAMPLE_RATE for u in utterances]
        self.texts = [" ".join(u.words) for u in utterances]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.items[index]


def sets(hparams: Mapping[str, Any]) -> dict[str, Path]:
    """Name of the set -> a path that is not read."""
    return {name: Path(name) for name in SPEAKERS}


def dataset(path: Path, name: str, hparams: Mapping[str, Any]) -> Tones:
    """The utterances of a set; ``hparams`` has ``NAME_utterances``, their number."""
    return Tones(name, hparams[f"{name}_utterances"], SPEAKERS[name])
