"""A language model so small that it trains in seconds, in this process or in others."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import Any

import torch
from speechbrain.utils.epoch_loop import EpochCounterWithStopper
from speechbrain.utils.seed import seed_everything

from gatedrnn.data.tables import Text
from gatedrnn.tasks.language_modeling.data import Corpus
from gatedrnn.tasks.language_modeling.model import TextModel
from gatedrnn.tasks.language_modeling.train import LanguageModelBrain, LanguageModelTraining
from gatedrnn.training import fit
from gatedrnn.training.optimizers import make_decay, make_optimiser
from tests.tasks.asr.tiny import Fatal, Watched

#: A grammar that is easy to learn.
SUBJECTS, VERBS = ("the cat", "a dog", "my uncle"), ("sees", "likes", "hears")


def lines(count: int, seed: int) -> list[str]:
    """Some sentences."""
    draw = random.Random(seed)
    return [
        f"{draw.choice(SUBJECTS)} {draw.choice(VERBS)} {draw.choice(SUBJECTS)}"
        + draw.choice(("", " today", " and sings"))
        for _ in range(count)
    ]


def corpus(train: int = 60, valid: int = 13, test: int = 9) -> Corpus:
    """A corpus of such sentences."""
    return Corpus(
        Text("train", lines(train, 1)),
        Text("valid", lines(valid, 2)),
        (Text("test", lines(test, 3)),),
    )


class WatchedModelBrain(Watched, LanguageModelBrain):
    """Notes losses, and does on demand what must not happen."""


def hparams(folder: Path, **changes: Any) -> dict[str, Any]:
    """What a recipe's YAML would hold."""
    options = {
        "output_folder": str(folder), "seed": 7, "epochs": 2, "patience": 100, "lr": 0.5,
        "optimiser": "sgd", "rate_falls": "plateau", "rate_after": 0, "tokens": "words",
        "min_count": 1,
        "network": "lstmp", "num_layers": 1, "hidden_size": 12, "network_options": {},
        "dropout": 0.0, "tied": False, "cutoffs": None, "parameter_budget": None,
        "carry_state": True, "batch_size": 3, "bptt": 7, "max_batch_tokens": 40,
        "loss_per": "stream", "valid_streams": 2, "eval_window": 11,
    } | changes  # fmt: skip
    seed_everything(options["seed"])
    model = {
        k: options[k]
        for k in (
            "network", "num_layers", "hidden_size", "network_options", "dropout", "tied", "cutoffs",
        )
    }  # fmt: skip
    return options | {
        "opt_class": partial(make_optimiser, name=options["optimiser"], lr=options["lr"]),
        "schedule": None,
        "rate_decay": make_decay(options["rate_falls"], 0.5, options["rate_after"]),
        "epoch_counter": EpochCounterWithStopper(
            options["epochs"], options["patience"], 0, direction="min"
        ),
        "model": partial(TextModel, **model),
    }


def train(folder: Path, run_opts: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Trains and tests; the figures."""
    LanguageModelTraining.brain_class, fit.SafeCheckpointer = WatchedModelBrain, Fatal
    texts = corpus(**{k: changes.pop(k) for k in ("train", "valid", "test") if k in changes})
    options = {"device": "cpu", "noprogressbar": True, **(run_opts or {})}
    return LanguageModelTraining(hparams(folder, **changes), options, texts).run()


def doubled(model: torch.nn.Module, seed: int = 0, spread: float = 0.6) -> torch.nn.Module:
    """A model in double precision whose weights are large enough for its state to matter."""
    torch.manual_seed(seed)
    model = model.double().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.uniform_(-spread, spread)
    return model
