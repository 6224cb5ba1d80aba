"""A classifier so small that it trains in seconds, in this process or in others."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from speechbrain.utils.epoch_loop import EpochCounterWithStopper
from speechbrain.utils.seed import seed_everything

from gatedrnn.tasks.classification.data import LabelledSet, Splits
from gatedrnn.tasks.classification.model import SequenceClassifier, WordEmbedding
from gatedrnn.tasks.classification.train import ClassifierBrain, ClassifierTraining
from gatedrnn.training import fit
from gatedrnn.training.optimizers import make_optimiser
from tests.tasks.asr.tiny import Fatal, Watched

CLASSES = ("low", "high")


class WatchedClassifierBrain(Watched, ClassifierBrain):
    """Notes losses, and does on demand what must not happen."""


def frames(name: str, count: int, seed: int) -> LabelledSet:
    """Sequences whose class is where they are brighter: at the start, or at the end."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (count,), generator=draw)
    inputs = torch.randint(0, 120, (count, 6, 3), generator=draw)
    inputs[:, :3] += 100 * (1 - labels)[:, None, None]
    inputs[:, 3:] += 100 * labels[:, None, None]
    return LabelledSet(name, inputs.to(torch.uint8), labels)


def sentences(name: str, count: int, seed: int) -> LabelledSet:
    """Sentences of different length, one of whose words tells the class."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (count,), generator=draw)
    lines = []
    for label in labels.tolist():
        size = int(torch.randint(1, 7, (), generator=draw))
        words = [f"w{int(i)}" for i in torch.randint(9, (size,), generator=draw)]
        place = int(torch.randint(size + 1, (), generator=draw))
        lines.append(" ".join([*words[:place], ("bad", "good")[label], *words[place:]]))
    return LabelledSet(name, lines, labels)


def sets(kind: str) -> Splits:
    """What a training needs."""
    make = {"frames": frames, "sentences": sentences}[kind]
    return Splits(CLASSES, make("train", 40, 1), make("valid", 13, 2), (make("test", 9, 3),))


def hparams(folder: Path, **changes: Any) -> dict[str, Any]:
    """What a recipe's YAML would hold."""
    options = {
        "output_folder": str(folder), "seed": 7, "epochs": 2, "patience": 100, "lr": 0.02,
        "network": "lstmp", "num_layers": 1, "hidden_size": 8, "network_options": {},
        "bidirectional": False, "pooling": "last", "dropout": 0.0, "batch_size": 5,
        "max_batch_frames": None, "tokens": "words", "min_count": 1, "vectors": None,
        "embedding_size": 6, "word_dropout": 0.0, "trainable": True, "parameter_budget": None,
    } | changes  # fmt: skip
    seed_everything(options["seed"])
    names = (
        "network", "num_layers", "hidden_size", "network_options", "bidirectional", "pooling",
        "dropout",
    )  # fmt: skip
    return options | {
        "opt_class": partial(make_optimiser, name="adam", lr=options["lr"]),
        "epoch_counter": EpochCounterWithStopper(
            options["epochs"], options["patience"], 0, direction="max"
        ),
        "model": partial(SequenceClassifier, **{name: options[name] for name in names}),
        "embedding": partial(
            WordEmbedding, size=options["embedding_size"], trainable=options["trainable"],
            word_dropout=options["word_dropout"],
        ),
    }  # fmt: skip


def train(folder: Path, run_opts: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Trains and tests; the metrics."""
    ClassifierTraining.brain_class, fit.SafeCheckpointer = WatchedClassifierBrain, Fatal
    data = sets(changes.pop("kind", "frames"))
    options = {"device": "cpu", "noprogressbar": True, **(run_opts or {})}
    return ClassifierTraining(hparams(folder, **changes), options, data).run()
