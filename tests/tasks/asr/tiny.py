"""A recogniser so small that it trains in seconds, in this process or in others."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch._dynamo
from speechbrain.augment.augmenter import Augmenter
from speechbrain.augment.freq_domain import SpectrogramDrop
from speechbrain.processing.features import InputNormalization
from speechbrain.utils.distributed import ddp_init_group
from speechbrain.utils.epoch_loop import EpochCounterWithStopper
from speechbrain.utils.seed import seed_everything

from gatedrnn.modules.features import LogMel
from gatedrnn.simulation.small_sets import SAMPLE_RATE, make_utterance
from gatedrnn.tasks.asr import train as run
from gatedrnn.tasks.asr.brain import RecogniserBrain
from gatedrnn.tasks.asr.heads.attention import AttentionModel
from gatedrnn.tasks.asr.heads.transducer import TransducerModel
from gatedrnn.tasks.asr.model import CTCModel
from gatedrnn.training import TrainingLog, WarmupDecay, fit
from gatedrnn.training.brain import Brain
from gatedrnn.training.checkpoints import SafeCheckpointer

#: Of the decoder or the prediction network.
TINY_HEAD = {"network": "highway", "hidden_size": 32, "proj_size": 32, "embedding_size": 12}


class Tones:
    """Some made-up utterances, in memory."""

    def __init__(
        self, name: str, count: int, start: int = 0, max_words: int = 2, repeat: int = 1
    ) -> None:
        made = [
            make_utterance(start + i, speaker=(start + i) % 3, max_words=max_words, snr=30.0)
            for i in range(count)
        ]
        self.items = [
            {"id": f"{name}-{i:02d}", "sig": u.samples, "words": list(u.words)}
            for i, u in enumerate(made * repeat)
        ]
        self.durations = [len(item["sig"]) / SAMPLE_RATE for item in self.items]
        self.texts = [" ".join(item["words"]) for item in self.items]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.items[index]


def hparams(folder: Path, **changes: Any) -> dict[str, Any]:
    """What a recipe's YAML would hold."""
    options = {
        "output_folder": str(folder), "seed": 7, "epochs": 2, "patience": 100, "lr": 0.01,
        "network": "lstmp", "num_layers": 1, "hidden_size": 16, "proj_size": 8,
        "bidirectional": False, "dropout": 0.0, "network_options": {}, "bptt_frames": 0,
        "factor": 3,
        "max_batch_seconds": 4.0, "max_batch_size": 4, "augment": True,
        "norm_type": "sentence", "beam_size": 1, "average_checkpoints": 2,
    } | changes  # fmt: skip
    seed_everything(options["seed"])
    drops = [SpectrogramDrop(2, 5, 1, 2, dim=1), SpectrogramDrop(2, 5, 1, 2, dim=2)]
    return options | {
        "compute_features": LogMel(n_mels=20),
        "hop_seconds": 0.01,
        "sample_rate": SAMPLE_RATE,
        "normalize": InputNormalization(norm_type=options["norm_type"]),
        "fea_augment": Augmenter(augmentations=drops) if options["augment"] else None,
        "schedule": WarmupDecay(warmup_steps=2),
        "opt_class": partial(torch.optim.Adam, lr=options["lr"]),
        "epoch_counter": EpochCounterWithStopper(
            options["epochs"], options["patience"], 0, direction="min"
        ),
        # The heads' blocks of a YAML.
        "attention": {"head": partial(AttentionModel, **TINY_HEAD, attention_size=16)},
        "transducer": {"head": partial(TransducerModel, **TINY_HEAD, joint_size=48)},
        "model": partial(
            CTCModel, input_size=20,
            **{k: options[k] for k in (
                "network", "num_layers", "hidden_size", "proj_size", "bidirectional", "dropout",
                "network_options", "bptt_frames", "factor",
            )},
        ),
    }  # fmt: skip


class Fatal(SafeCheckpointer):
    """Kills the process at a moment within a save: ``KILL_IN_SAVE=NUMBER.MOMENT``."""

    saves = 0

    def save_checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        Fatal.saves += 1
        saved = super().save_checkpoint(*args, **kwargs)
        self._moment("renamed")
        return saved

    def _write_recoverables(self, folder: Path) -> dict[str, Path]:
        for name in ("model", "random"):
            if self._is(name):
                (folder / f"{name}.ckpt").write_bytes(b"half of it")
                self._moment(name)
        written = super()._write_recoverables(folder)
        self._moment("written")
        return written

    def _moment(self, name: str) -> None:
        if self._is(name):
            os.kill(os.getpid(), signal.SIGKILL)

    def _is(self, name: str) -> bool:
        return os.environ.get("KILL_IN_SAVE") == f"{Fatal.saves}.{name}"


class Watched:
    """Notes losses of a Brain, and does on demand what must not happen."""

    instance: Brain

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        Watched.instance = self
        self.losses: list[float] = []
        self.batch_ids: list[list[str]] = []

    def fit_batch(self, batch: Any) -> torch.Tensor:
        if os.environ.get("KILL_AT") == f"{self.epoch}.{self.step}":
            os.kill(os.getpid(), signal.SIGKILL)
        loss = super().fit_batch(batch)
        self.losses.append(float(loss))
        self.batch_ids.append(list(batch.id))
        return loss

    def compute_objectives(self, predictions: Any, batch: Any, stage: Any) -> Any:
        objective = super().compute_objectives(predictions, batch, stage)
        bad = os.environ.get("NAN_AT", "").split(",")  # epoch.step.rank
        if stage.name == "TRAIN" and f"{self.epoch}.{self.step}.{self.ranks[0]}" in bad:
            return replace(objective, total=objective.total * float("nan"))
        return objective


class WatchedRecogniserBrain(Watched, RecogniserBrain):
    """Records losses, and fails on demand."""


def train(folder: Path, run_opts: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Trains and tests; the figures."""
    learned, tested = changes.pop("valid_is_train", False), changes.pop("test_is_train", False)
    repeat = changes.pop("repeat", 1)
    counts = {"train": 10, "valid": 5, "test": 3}
    counts |= {k: changes.pop(k) for k in list(changes) if k in counts}
    run.RecogniserTraining.brain_class = WatchedRecogniserBrain
    fit.SafeCheckpointer = Fatal
    made = hparams(folder, **changes)
    return run.RecogniserTraining(
        made,
        {"device": "cpu", "noprogressbar": True, **(run_opts or {})},
        {
            "train": Tones("train", counts["train"], repeat=repeat),
            "dev": Tones("valid", counts["valid"], 0 if learned else 100),
            "test": Tones("test", counts["test"], 0 if tested else 200),
        },
    ).run()


#: Processes are forked off one that has imported everything and run nothing.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.conftest", "tests.tasks.asr.tiny"])


@dataclass(frozen=True)
class Outcome:
    """What one process left.

    ``code`` is its exit status, ``said`` what it printed; the others are there if it got through.
    """

    code: int
    said: str
    weights: dict[str, torch.Tensor] | None
    losses: list[float]
    batches: list[list[str]]
    figures: dict[str, Any]


def launch(
    folder: Path,
    *,
    task: Callable[..., dict[str, Any]] = train,
    world: int = 1,
    environment: dict[str, str] | None = None,
    run_opts: dict[str, Any] | None = None,
    **changes: Any,
) -> list[Outcome]:
    """Trains in one process, or in several that are data-parallel; one outcome each."""
    outcomes = []
    found = _run_all(_train, folder, world, environment or {}, (task, run_opts, changes))
    for rank, (code, said) in enumerate(found):
        left = folder / f"left-{rank}.pt"
        rest = torch.load(left) if left.exists() else (None, [], [], {})
        left.unlink(missing_ok=True)
        outcomes.append(Outcome(code, said, *rest))
    return outcomes


def run_script(folder: Path, *command: str, world: int = 2) -> list[tuple[int, str]]:
    """Runs a script in processes with the variables that torchrun sets; what became of each.

    Starting interpreters, as torchrun does, takes longer than a small training.
    """
    return _run_all(_script, folder, world, {}, (command,))


def _run_all(
    work: Callable[..., None],
    folder: Path,
    world: int,
    environment: dict[str, str],
    arguments: tuple[Any, ...],
) -> list[tuple[int, str]]:
    """Exit status of each process, and what it printed."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    workers = []
    for rank in range(world):
        variables = {"GATEDRNN_RUNNER": "reference"} | environment
        if world > 1:
            variables |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world}
            variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        variables = {k: str(v) for k, v in variables.items()}
        given = (work, folder, rank, variables, *arguments)
        workers.append(PROCESSES.Process(target=_work, args=given))
        workers[-1].start()
    outcomes = []
    for rank, worker in enumerate(workers):
        worker.join(timeout=120)
        if worker.exitcode is None:
            worker.kill()
            worker.join()
        outcomes.append((worker.exitcode, (folder / f"said-{rank}.txt").read_text()))
    return outcomes


def _work(
    work: Callable[..., None], folder: Path, rank: int, variables: dict[str, str], *arguments: Any
) -> None:
    said = os.open(folder / f"said-{rank}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.environ.update(variables)
    torch.set_num_threads(1)
    TrainingLog._draw = lambda self: None  # takes longer than all the rest
    work(folder, rank, *arguments)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _script(folder: Path, rank: int, command: tuple[str, ...]) -> None:
    sys.argv = list(command)
    runpy.run_path(command[0], run_name="__main__")


def _train(
    folder: Path,
    rank: int,
    task: Callable[..., dict[str, Any]],
    run_opts: dict[str, Any] | None,
    changes: dict[str, Any],
) -> None:
    run_opts = {"distributed_backend": "gloo"} | (run_opts or {})
    ddp_init_group(run_opts)
    figures = task(folder, run_opts, **changes)
    brain = Watched.instance
    weights = brain.checkpointer.recoverables["model"].state_dict()
    torch.save((weights, brain.losses, brain.batch_ids, figures), folder / f"left-{rank}.pt")
