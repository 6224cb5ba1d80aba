"""A model of music so small that it trains in seconds, in this process or in others."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from speechbrain.utils.epoch_loop import EpochCounterWithStopper
from speechbrain.utils.seed import seed_everything

from gatedrnn.data.report import Report
from gatedrnn.simulation.small_sets import make_pieces
from gatedrnn.tasks.music.corpora import MusicCorpus, read_music
from gatedrnn.tasks.music.model import SequenceModel
from gatedrnn.tasks.music.train import MusicTraining, SequenceModelBrain
from gatedrnn.training import fit
from gatedrnn.training.optimizers import make_decay, make_optimiser
from tests.tasks.asr.tiny import Fatal, Watched


class WatchedSequenceBrain(Watched, SequenceModelBrain):
    """Notes losses, and does on demand what must not happen."""


def write_corpus(folder: Path, counts: tuple[int, int, int] = (12, 5, 4)) -> Path:
    """Synthetic chords in the JSON form; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "music.json").write_text(json.dumps(make_pieces(counts, chords=4)))
    return folder


def corpus(folder: Path) -> MusicCorpus:
    """The same, read."""
    return read_music("folder", write_corpus(folder / "data"), Report("chords"))


def hparams(folder: Path, **changes: Any) -> dict[str, Any]:
    """What a recipe's YAML would hold."""
    options = {
        "output_folder": str(folder), "seed": 7, "epochs": 2, "patience": 100, "lr": 0.01,
        "network": "lstmp", "num_layers": 2, "hidden_size": 8, "network_options": {},
        "dropout": 0.1, "parameter_budget": None, "first_frame": False, "batch_size": 3,
        "max_batch_frames": 1000, "loss_per": "piece", "keep_epochs": [],
        "max_grad_norm": float("inf"),
    } | changes  # fmt: skip
    seed_everything(options["seed"])
    names = ("network", "num_layers", "hidden_size", "network_options", "dropout")
    return options | {
        "opt_class": partial(make_optimiser, name="adam", lr=options["lr"]),
        "schedule": None,
        "rate_decay": make_decay("worse", 0.5, 1, 3),
        "epoch_counter": EpochCounterWithStopper(
            options["epochs"], options["patience"], 0, direction="min"
        ),
        "model": partial(SequenceModel, **{name: options[name] for name in names}),
    }


def train(folder: Path, run_opts: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Trains and tests; the metrics."""
    MusicTraining.brain_class, fit.SafeCheckpointer = WatchedSequenceBrain, Fatal
    options = {"device": "cpu", "noprogressbar": True, **(run_opts or {})}
    return MusicTraining(hparams(folder, **changes), options, corpus(folder)).run()
