"""The Brain of all classifiers of sequences: cross-entropy, and the best accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import speechbrain as sb
import torch
from speechbrain.utils.distributed import if_main_process

from gatedrnn.tasks.classification.data import SequenceBatch, together
from gatedrnn.tasks.classification.model import Classified
from gatedrnn.training.brain import GuardedBrain, Objective
from gatedrnn.training.log import replace_text

Stage = sb.Stage


class ClassifierBrain(GuardedBrain):
    """Trains a :class:`~gatedrnn.tasks.classification.model.SequenceClassifier`.

    Arguments
    ---------
    classes : sequence of str
        Names of the classes.
    modules : Mapping
        ``model``.
    hparams : Mapping
        Besides those of :class:`~gatedrnn.training.brain.GuardedBrain`:

        - ``batch_size``: most sequences in one process's share of a batch;
        - optionally ``max_batch_frames``: longest sequence times their number;
        - ``label_smoothing``: part of the probability that is spread over all classes.
    **kwargs : Any
        The other arguments of :class:`~gatedrnn.training.brain.GuardedBrain`.

    Raises
    ------
    ValueError
        If ``label_smoothing`` is not in [0, 1).
    """

    criterion = "accuracy"
    unit = " %"
    higher_is_better = True
    collate = staticmethod(together)

    def __init__(self, classes: Sequence[str], hparams: Mapping[str, Any], **kwargs: Any) -> None:
        # What bounds a batch of utterances bounds one of sequences.
        bounds = {
            "max_batch_seconds": float(hparams.get("max_batch_frames") or "inf"),
            "max_batch_size": int(hparams["batch_size"]),
        }
        super().__init__(hparams={**hparams, **bounds}, **kwargs)
        self.classes = tuple(classes)
        self.smoothing = float(getattr(self.hparams, "label_smoothing", 0.0))
        if not 0.0 <= self.smoothing < 1.0:
            raise ValueError(f"label_smoothing must be in [0, 1), not {self.smoothing}")

    # ---- one batch --------------------------------------------------------------------------

    def compute_forward(self, batch: SequenceBatch, stage: Stage) -> Classified:
        """Scores the classes.

        Arguments
        ---------
        batch : SequenceBatch
            The sequences.
        stage : Stage
            Training, validation or test.

        Returns
        -------
        Classified
        """
        batch = batch.to(self.device)
        return self.network("model", stage)(batch.inputs, batch.lengths)

    def compute_objectives(
        self, predictions: Classified, batch: SequenceBatch, stage: Stage
    ) -> Objective:
        """The loss; outside training also the classes found.

        Arguments
        ---------
        predictions : Classified
            Of :meth:`compute_forward`.
        batch : SequenceBatch
            The sequences.
        stage : Stage
            Training, validation or test.

        Returns
        -------
        Objective
            Sum over the sequences, and their number.
        """
        training = stage == Stage.TRAIN
        scores = predictions.scores.float()
        total = torch.nn.functional.cross_entropy(
            scores,
            batch.labels,
            reduction="sum",
            label_smoothing=self.smoothing if training else 0.0,
        )
        if predictions.auxiliary is not None:
            total = total + predictions.auxiliary
        if not training:
            best = scores.softmax(dim=1).max(dim=1)
            rows = (batch.id, batch.labels.tolist(), best.indices.tolist(), best.values.tolist())
            self.results += [
                dict(zip(("id", "label", "found", "probability"), row, strict=True))
                for row in zip(*rows, strict=True)
            ]
        return Objective(total, float(len(batch)))

    # ---- a stage ----------------------------------------------------------------------------

    def validation_figures(self) -> dict[str, float]:
        """Loss per sequence, and accuracy in per cent.

        Returns
        -------
        dict
        """
        loss, results = self.gathered()
        return {"loss": loss, self.criterion: accuracy(results)}

    def test(self, name: str, loader: Any, folder: Path) -> dict[str, float]:
        """Tests the best checkpoint.

        Arguments
        ---------
        name : str
            Name of the set, for the files.
        loader : DataLoader
            From :meth:`~gatedrnn.training.brain.GuardedBrain.evaluation_loader`.
        folder : Path
            Where ``confusion_NAME.tsv``, whose rows are the true classes, and
            ``predictions_NAME.tsv`` go.

        Returns
        -------
        dict
            Figures.

        Raises
        ------
        FileNotFoundError
            If nothing has been trained.
        """
        self.find_best()
        self.evaluate(loader, **self.best_key)
        loss, results = self.gathered()
        errors = sum(result["label"] != result["found"] for result in results)
        figures = {
            "accuracy": accuracy(results),
            "loss": loss,
            "errors": errors,
            "sequences": len(results),
        }
        if if_main_process():
            path = folder / f"confusion_{name}.tsv"
            replace_text(path, confusion(results, self.classes))
            head = "id\tclass\tfound\tprobability\n"
            lines = [
                f"{r['id']}\t{self.classes[r['label']]}\t{self.classes[r['found']]}\t"
                f"{r['probability']:.4f}\n"
                for r in results
            ]
            replace_text(folder / f"predictions_{name}.tsv", head + "".join(lines))
            print(
                f"{name}: accuracy {figures['accuracy']:.2f} %, {errors} errors in {len(results)} "
                f"({path})"
            )
        return figures


def accuracy(results: Sequence[Mapping[str, Any]]) -> float:
    """Per cent of the sequences whose class was found.

    Arguments
    ---------
    results : sequence of Mapping
        With ``label`` and ``found``.

    Returns
    -------
    float

    Example
    -------
    >>> accuracy([{"label": 1, "found": 1}, {"label": 0, "found": 1}])
    50.0
    """
    right = sum(result["label"] == result["found"] for result in results)
    return 100.0 * right / max(1, len(results))


def confusion(results: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> str:
    """How often which class was taken for which, as a table.

    Arguments
    ---------
    results : sequence of Mapping
        With ``label`` and ``found``.
    classes : sequence of str
        Their names.

    Returns
    -------
    str
        Lines of values with tabs between them: a row for each true class, a column for each found.

    Example
    -------
    >>> print(confusion([{"label": 1, "found": 0}], ["no", "yes"]).expandtabs(6))
    class no    yes
    no    0     0
    yes   1     0
    <BLANKLINE>
    """
    counts = [[0] * len(classes) for _ in classes]
    for result in results:
        counts[result["label"]][result["found"]] += 1
    rows = [["class", *classes]]
    rows += [[name, *map(str, row)] for name, row in zip(classes, counts, strict=True)]
    return "".join("\t".join(row) + "\n" for row in rows)
