"""A translator so small that it trains in seconds, in this process or in others."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from speechbrain.utils.epoch_loop import EpochCounterWithStopper
from speechbrain.utils.seed import seed_everything

from gatedrnn.data.report import Report
from gatedrnn.simulation.small_sets import write_parallel
from gatedrnn.tasks.translation.corpora import read_parallel
from gatedrnn.tasks.translation.train import TranslationBrain, TranslationTraining
from gatedrnn.training import fit
from gatedrnn.training.optimizers import make_optimiser
from tests.tasks.asr.tiny import Fatal, Watched


class WatchedTranslationBrain(Watched, TranslationBrain):
    """Notes losses, and does on demand what must not happen."""


def hparams(folder: Path, **changes: Any) -> dict[str, Any]:
    """What a recipe's YAML would hold."""
    options = {
        "output_folder": str(folder), "seed": 7, "epochs": 2, "patience": 100, "lr": 0.01,
        "network": "gru", "num_layers": 2, "hidden_size": 16, "dropout": 0.0,
        "attention": "late", "parameter_budget": None,
        "source_tokens": {"kind": "words"}, "target_tokens": {"kind": "words"},
        "lowercase": False, "max_length": 20, "max_ratio": 9.0, "max_pairs": None,
        "max_batch_seconds": 400, "max_batch_size": 8, "bleu_tokenize": "13a",
        "label_smoothing": 0.1, "beam_size": 2, "search": {"length_penalty": 1.0},
    } | changes  # fmt: skip
    seed_everything(options["seed"])
    side = {k: options[k] for k in ("network", "num_layers", "hidden_size", "dropout")}
    side |= {"embedding_size": 12}
    return options | {
        "encoder": side,
        "decoder": side | {"attention": {"kind": options["attention"], "size": 12}},
        "opt_class": partial(make_optimiser, name="adam", lr=options["lr"]),
        "schedule": None,
        "epoch_counter": EpochCounterWithStopper(
            options["epochs"], options["patience"], 0, direction="max"
        ),
    }


def train(folder: Path, run_opts: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Trains and tests; the figures."""
    TranslationTraining.brain_class, fit.SafeCheckpointer = WatchedTranslationBrain, Fatal
    counts = {name: changes.pop(name, n) for name, n in (("train", 40), ("valid", 8), ("test", 8))}
    data = changes.pop("data", folder.parent / "data")
    write_parallel(data, **counts)
    report = Report("files")
    corpus = read_parallel("files", data, report, source="en", target="xx")
    options = {"device": "cpu", "noprogressbar": True, **(run_opts or {})}
    return TranslationTraining(hparams(folder, **changes), options, corpus, report).run()
