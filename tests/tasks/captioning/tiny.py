"""A captioner so small that it trains in seconds, in this process or in others."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from speechbrain.utils.epoch_loop import EpochCounterWithStopper
from speechbrain.utils.seed import seed_everything

from gatedrnn.seq2seq.brain import ScheduledSampling
from gatedrnn.tasks.captioning.data import CaptionSets, simulate
from gatedrnn.tasks.captioning.train import CaptionBrain, CaptionTraining
from gatedrnn.training import fit
from gatedrnn.training.optimizers import make_optimiser
from tests.tasks.asr.tiny import Fatal, Watched

#: One kind of thing in a picture: the captions are short.
SCENES = {"size": 32, "two": 0.0}


class WatchedCaptionBrain(Watched, CaptionBrain):
    """Notes losses, and does on demand what must not happen."""


def scenes(
    folder: Path, train: int = 12, dev: int = 5, test: int = 4, corpus: str = "scenes"
) -> CaptionSets:
    """A few scenes, or sounds; the same in every folder."""
    options = SCENES if corpus == "scenes" else {"two": 0.0}
    return simulate(corpus, folder, train, dev, test, **options)


def hparams(folder: Path, **changes: Any) -> dict[str, Any]:
    """What a recipe's YAML would hold."""
    options = {
        "output_folder": str(folder), "seed": 7, "epochs": 2, "patience": 100, "lr": 0.01,
        "words": "plain", "more_than": 0, "max_length": 12, "media": {"height": 32, "width": 32},
        "cache_mb": 10, "encoder": "image",
        "encoder_options": {"channels": [8, 8, 8], "width": 16}, "parameter_budget": None,
        "network": "ran", "num_layers": 1, "attention": "soft", "dropout": 0.0,
        "network_options": {}, "tied": False,
        "captions_per_item": 2, "max_batch_seconds": float("inf"), "max_batch_size": 4,
        "bucket_spread": 1.0, "label_smoothing": 0.0, "sampling_most": 0.0,
        "self_critical_from": None, "self_critical_samples": 2,
        "self_critical_baseline": "others", "self_critical_rate": 0.1,
        "self_critical_dropout": False, "beam_size": 2, "search": {},
    } | changes  # fmt: skip
    seed_everything(options["seed"])
    decoder = {k: options[k] for k in ("network", "num_layers", "network_options", "tied")}
    return options | {
        "decoder": decoder
        | {"hidden_size": 24, "embedding_size": 16, "dropout": options["dropout"]}
        | {"attention": {"kind": options["attention"], "size": 16}},
        "opt_class": partial(make_optimiser, name="adam", lr=options["lr"]),
        "schedule": None,
        "scheduled_sampling": ScheduledSampling(step=0.25, every=1, most=options["sampling_most"]),
        "epoch_counter": EpochCounterWithStopper(
            options["epochs"], options["patience"], 0, direction="max"
        ),
    }


def train(folder: Path, run_opts: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Trains and tests; the figures."""
    CaptionTraining.brain_class, fit.SafeCheckpointer = WatchedCaptionBrain, Fatal
    counts = {k: changes.pop(k) for k in ("train", "dev", "test", "corpus") if k in changes}
    repeat = changes.pop("by_heart", 0)
    sets = scenes(changes.pop("data", folder / "data"), **counts)
    if repeat:
        # Epochs cost more than steps, by what is written after each.
        sets = replace(sets, train=list(sets.train) * repeat, dev=sets.train)
    options = {"device": "cpu", "noprogressbar": True, **(run_opts or {})}
    return CaptionTraining(hparams(folder, **changes), options, sets).run()
