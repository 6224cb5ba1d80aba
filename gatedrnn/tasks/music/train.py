"""Training of models of sequences of binary vectors, such as polyphonic music."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import speechbrain as sb
from speechbrain.utils.distributed import if_main_process
from torch import nn

from gatedrnn.bundle.kind import arguments_of
from gatedrnn.data.files import write_atomically
from gatedrnn.data.report import Report
from gatedrnn.modules.network_options import parameters
from gatedrnn.tasks.music.bundle import TRAINING_ONLY, MusicConfig, MusicSpec
from gatedrnn.tasks.music.corpora import KEYS, Music, MusicCorpus
from gatedrnn.tasks.music.data import PieceDataset, collate
from gatedrnn.tasks.music.model import FrameLoss, SequenceModel
from gatedrnn.training.batching import Batch
from gatedrnn.training.brain import Brain, Objective
from gatedrnn.training.fit import Training, size_within_budget, train
from gatedrnn.training.log import Curve

Read = Callable[[Mapping[str, Any], Report], MusicCorpus]

Stage = sb.Stage

#: Divisors of the sum of a batch's losses.
LOSS_PER = ("piece", "frame")
#: The probability from which on a key is counted as predicted.
_SOUNDS = 0.5


class SequenceModelBrain(Brain):
    """Trains a :class:`~gatedrnn.tasks.music.model.SequenceModel`.

    A piece is read from its first frame to its last but one, and each frame after the first is
    predicted from those before it. The metric is the negative log-likelihood per frame, in nats:
    the sum over the 88 keys of the binary cross-entropy, averaged over all predicted frames of all
    pieces. The first frame of a piece is not predicted and does not count, as in the code of Song
    et al. 2019 and of Bai et al. 2018; with ``first_frame`` it is predicted from silence and
    counts, as in Boulanger-Lewandowski et al. 2012. Padding never counts.
    """

    valid_metric = "NLL"
    collate = staticmethod(collate)

    def __init__(self, hparams: Mapping[str, Any], **kwargs: Any) -> None:
        # What bounds a batch of utterances bounds one of pieces.
        bounds = {
            "max_batch_seconds": hparams["max_batch_frames"],
            "max_batch_size": hparams["batch_size"],
        }
        super().__init__(hparams={**hparams, **bounds}, **kwargs)
        if self.hparams.loss_per not in LOSS_PER:
            raise ValueError(
                f"loss_per must be {' or '.join(LOSS_PER)}, not {self.hparams.loss_per!r}"
            )

    # ---- one batch --------------------------------------------------------------------------

    def compute_forward(self, batch: Batch, stage: Stage) -> FrameLoss:
        """Losses of the frames of pieces."""
        batch = batch.to(self.device)
        return self.network("model", stage)(batch.inputs, None, batch.targets, batch.lengths)

    def compute_objectives(self, predictions: FrameLoss, batch: Batch, stage: Stage) -> Objective:
        """The loss, and the number that it is divided by."""
        total = predictions.losses.sum()
        if predictions.auxiliary is not None:
            total = total + predictions.auxiliary
        if stage != Stage.TRAIN:
            self._collect(predictions, batch)
        rows = float(len(batch.id))
        return Objective(
            total, float(batch.counts.sum()), rows if self.hparams.loss_per == "piece" else None
        )

    def _collect(self, predictions: FrameLoss, batch: Batch) -> None:
        """Collects the metrics of each piece."""
        losses = predictions.losses.detach().double().cpu()
        scores = predictions.scores.detach().float().cpu()
        is_predicted = scores > math.log(_SOUNDS / (1.0 - _SOUNDS))
        targets = batch.targets.cpu() > 0
        for row, (name, count) in enumerate(zip(batch.id, batch.counts.tolist(), strict=True)):
            predicted, correct = is_predicted[row, :count], targets[row, :count]
            result = {"id": name, "frames": count, "loss": float(losses[row].sum())}
            result["both"] = int((predicted & correct).sum())
            result["either"] = int((predicted | correct).sum())
            self.results.append(result)

    # ---- a stage ----------------------------------------------------------------------------

    def validation_metrics(self) -> dict[str, float]:
        """Metrics of the pieces that have just been evaluated."""
        return metrics_of(self.gathered()[1])

    def test(self, name: str, loader: Any, folder: Path) -> dict[str, float]:
        """Tests the best checkpoint; writes ``pieces_NAME.tsv``, the NLL of every piece."""
        _, pieces = self.evaluate_best(loader)
        metrics = metrics_of(pieces)
        if if_main_process():
            rows = [f"{p['id']}\t{p['frames']}\t{p['loss'] / p['frames']:.6f}\n" for p in pieces]
            path = folder / f"pieces_{name}.tsv"
            write_atomically(path, "piece\tframes\tNLL\n" + "".join(rows))
            print(
                f"{name}: NLL {metrics['NLL']:.4f} per frame, accuracy "
                f"{metrics['accuracy']:.2f} %, {metrics['frames']} frames predicted of "
                f"{metrics['pieces']} pieces ({path})"
            )
        return metrics


def metrics_of(pieces: list[dict[str, Any]]) -> dict[str, float]:
    """Metrics of pieces."""
    frames = sum(p["frames"] for p in pieces)
    mean = math.fsum(p["loss"] for p in pieces) / max(frames, 1)
    either = sum(p["either"] for p in pieces)
    return {
        "loss": mean,
        "NLL": mean,
        "NLL of pieces": math.fsum(p["loss"] / p["frames"] for p in pieces) / max(len(pieces), 1),
        "accuracy": 100.0 * sum(p["both"] for p in pieces) / max(either, 1),
        "frames": frames,
        "pieces": len(pieces),
    }


class MusicTraining(Training):
    """A training on a :class:`~gatedrnn.tasks.music.corpora.MusicCorpus`.

    Of the YAML it takes ``model``, and optionally ``parameter_budget``: the maximum number of
    parameters, in place of ``hidden_size``.
    """

    task = "music"
    brain_class = SequenceModelBrain
    curve = Curve("NLL", "nats per frame", None)

    def make_model(self) -> nn.Module:
        """Makes the model, of the size that meets the budget."""
        make = self.hparams["model"]
        return make(
            KEYS, **size_within_budget(self.hparams, lambda size: make(KEYS, hidden_size=size))
        )

    def describe(self) -> dict[str, Any]:
        """The model's arguments."""
        options = arguments_of(self.hparams["model"], SequenceModel, "model")
        options["hidden_size"] = self.model.rnn.hidden_size
        options = {name: v for name, v in options.items() if name not in TRAINING_ONLY}
        spec = MusicSpec(KEYS, options, bool(self.hparams["first_frame"]))
        return MusicConfig(spec).description()

    def valid_loader(self, brain: SequenceModelBrain) -> Any:
        """Loader of the validation pieces."""
        return self.loader(self.data.valid, brain.evaluation_loader)

    def train_loader(self, brain: SequenceModelBrain) -> Any:
        """Loader of the training pieces."""
        return self.loader(self.data.train, brain.training_loader)

    def loader(self, music: Music, make: Callable[..., Any]) -> Any:
        """Loader of a set, made by a method of the Brain."""
        dataset = PieceDataset(music, bool(self.hparams["first_frame"]))
        return make(dataset, dataset.sizes)

    def test(self, brain: SequenceModelBrain, valid_loader: Any) -> dict[str, dict[str, Any]]:
        """Tests the validation and the test pieces."""
        test_loader = self.loader(self.data.test, brain.evaluation_loader)
        loaders = {self.data.valid.name: valid_loader, self.data.test.name: test_loader}
        return {name: brain.test(name, loader, self.folder) for name, loader in loaders.items()}

    def results(self) -> dict[str, Any]:
        """Sizes and kind of the recurrence."""
        return {
            "parameters of the recurrence": parameters(self.model.rnn),
            "hidden_size": self.model.rnn.hidden_size,
            "first_frame": bool(self.hparams["first_frame"]),
            "model": str(self.model.rnn.layer(0).cell),
        }


def train_music(arguments: Sequence[str], read: Read) -> dict[str, Any]:
    """Trains and tests a model of polyphonic music.

    Arguments
    ---------
    arguments : sequence of str
        Command line: a YAML file, and values that override it.
    read : callable
        Reads the :class:`~gatedrnn.tasks.music.corpora.MusicCorpus`, given the YAML's values and a
        report for issues.

    Returns
    -------
    dict
        Metrics of validation and test.
    """
    return train(arguments, MusicTraining, read)
