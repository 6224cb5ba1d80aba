"""Training of classifiers of sequences."""

from __future__ import annotations

import copy
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import speechbrain as sb
import torch
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.seed import seed_everything
from torch import nn

from gatedrnn.cells.registry import find
from gatedrnn.data.files import write_atomically
from gatedrnn.data.report import Report
from gatedrnn.modules.parameter_budget import parameters
from gatedrnn.tasks.classification.corpora.labelled import LabelledSet, Splits
from gatedrnn.tasks.classification.data import SequenceBatch, SequenceDataset, together
from gatedrnn.tasks.classification.decode import accuracy, confusion_matrix
from gatedrnn.tasks.classification.model import Classified
from gatedrnn.tasks.classification.words import embedding_of, make_tokens
from gatedrnn.tokens import Tokens
from gatedrnn.training.brain import GuardedBrain, Objective
from gatedrnn.training.fit import Training, on_main_first, size_within_budget, write_report
from gatedrnn.training.launch import run_recipe
from gatedrnn.training.log import Curve

Stage = sb.Stage

#: Distance of the seeds of two trainings, so that no fold of one is a fold of the other.
_SEEDS_OF_FOLDS = 1000


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
                dict(zip(("id", "label", "prediction", "probability"), row, strict=True))
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
        errors = sum(result["label"] != result["prediction"] for result in results)
        figures = {
            "accuracy": accuracy(results),
            "loss": loss,
            "errors": errors,
            "sequences": len(results),
        }
        if if_main_process():
            path = folder / f"confusion_{name}.tsv"
            write_atomically(path, confusion_matrix(results, self.classes))
            head = "id\tclass\tfound\tprobability\n"
            lines = [
                f"{r['id']}\t{self.classes[r['label']]}\t{self.classes[r['prediction']]}\t"
                f"{r['probability']:.4f}\n"
                for r in results
            ]
            write_atomically(folder / f"predictions_{name}.tsv", head + "".join(lines))
            print(
                f"{name}: accuracy {figures['accuracy']:.2f} %, {errors} errors in {len(results)} "
                f"({path})"
            )
        return figures


class ClassifierTraining(Training):
    """A training on :class:`~gatedrnn.tasks.classification.corpora.labelled.Splits`.

    Of the YAML it takes what :func:`make_model` takes, and for sentences what
    :mod:`~gatedrnn.tasks.classification.words` takes.
    """

    task = "classification"
    brain_class = ClassifierBrain
    curve = Curve("accuracy", "accuracy, %", (0, 105))

    def make_tokens(self) -> None:
        """Learns the tokens of sentences; sequences of frames have none."""
        if not isinstance(self.data.train.inputs, torch.Tensor):
            make_tokens(self.hparams, self.data, self.folder / "tokens.json")

    def prepare(self) -> None:
        """Makes the datasets, and for sentences the embedding."""
        self.tokens: Tokens | None = None
        if isinstance(self.data.train.inputs, torch.Tensor):
            self.inputs: int | nn.Module = self.data.train.inputs.shape[2]
        else:
            path = self.folder / "tokens.json"
            self.inputs, self.tokens = embedding_of(self.hparams, self.data, path)

    def make_model(self) -> nn.Module:
        """Makes the classifier."""
        model = make_model(self.hparams, len(self.data.classes), self.inputs)
        self.counts = _counts(model)
        if if_main_process():
            print(
                f"{model.rnn.layer(0).cell}: {self.counts['parameters']} parameters, "
                f"{self.counts['parameters of the recurrence']} of them of the recurrence"
            )
        return model

    def brain_options(self) -> dict[str, Any]:
        """Names of the classes."""
        return {"classes": self.data.classes}

    def valid_loader(self, brain: ClassifierBrain) -> Any:
        """Loader of the validation sequences."""
        return self._loader(self.data.valid, brain.evaluation_loader)

    def train_loader(self, brain: ClassifierBrain) -> Any:
        """Loader of the training sequences."""
        return self._loader(self.data.train, brain.training_loader)

    def _loader(self, part: LabelledSet, make: Callable[..., Any]) -> Any:
        inputs = part.inputs
        if self.tokens is not None:
            encode = self.tokens.encode
            inputs = [torch.tensor(encode(text), dtype=torch.int32) for text in inputs]
        dataset = SequenceDataset(part.name, inputs, part.labels)
        return make(dataset, dataset.sizes)

    def test(self, brain: ClassifierBrain, valid_loader: Any) -> dict[str, dict[str, Any]]:
        """Tests the validation and the test sequences."""
        tests = {part.name: part for part in self.data.tests}
        loaders = {name: self._loader(p, brain.evaluation_loader) for name, p in tests.items()}
        loaders = {self.data.valid.name: valid_loader, **loaders}
        return {name: brain.test(name, loader, self.folder) for name, loader in loaders.items()}

    def results(self) -> dict[str, Any]:
        """Sizes and kind of the recurrence, and the classes."""
        return {
            **self.counts,
            "hidden_size": self.model.rnn.hidden_size,
            "vocabulary": None if self.tokens is None else len(self.tokens),
            "model": str(self.model.rnn.layer(0).cell),
            "classes": list(self.data.classes),
        }


def make_model(hparams: Mapping[str, Any], classes: int, inputs: int | nn.Module) -> nn.Module:
    """Makes the classifier that a YAML describes, with the size that meets its budget.

    Arguments
    ---------
    hparams : Mapping
        ``model`` makes it given the number of classes and what it reads, and takes
        ``hidden_size``; optionally ``parameters``: the most that it may have in place of
        ``hidden_size``, those of the embedding, which all networks have alike, not counted.
    classes : int
        Number of classes.
    inputs : int or torch.nn.Module
        Width of a frame, or the embedding.

    Returns
    -------
    torch.nn.Module

    Example
    -------
    >>> from functools import partial
    >>> from gatedrnn.tasks.classification.model import SequenceClassifier
    >>> make = partial(SequenceClassifier, network="slim")
    >>> model = make_model({"model": make, "parameters": 52_610}, 10, 28)
    >>> model.rnn.hidden_size
    100
    """
    make = hparams["model"]
    width = inputs.output_size if isinstance(inputs, nn.Module) else inputs
    size = size_within_budget(hparams, lambda n: make(classes, width, hidden_size=n))
    return make(classes, inputs, **size)


def _counts(model: nn.Module) -> dict[str, int]:
    whole, embedding = parameters(model), getattr(model, "embedding", None)
    return {
        "parameters": whole,
        "parameters without embedding": whole - (parameters(embedding) if embedding else 0),
        "parameters of the recurrence": parameters(model.rnn),
    }


def train_classifier(
    arguments: Sequence[str], read: Callable[[Mapping[str, Any], Report], Sequence[Splits]]
) -> dict[str, Any]:
    """Trains and tests a classifier; of a corpus in folds one for each.

    Arguments
    ---------
    arguments : sequence of str
        Of the command line: a YAML file, and what to override in it.
    read : callable
        Reads the corpus, given the YAML's values and a report for its faults: one division, or one
        for each fold.

    Returns
    -------
    dict
        Figures of every set.
    """

    def work(hparams: dict[str, Any], run_opts: Any) -> dict[str, Any]:
        report = Report(str(hparams.get("dataset", "sequences")))
        divisions = on_main_first(read, hparams, report)
        if if_main_process():
            write_report(report, Path(hparams["output_folder"]))
        if hparams.get("count_only"):
            return _count(hparams, divisions[0])
        if len(divisions) == 1:
            return ClassifierTraining(hparams, run_opts, divisions[0]).run()
        return fit_folds(hparams, run_opts, divisions)

    return run_recipe(arguments, work)


def fit_folds(
    hparams: Mapping[str, Any], run_opts: Any, divisions: Sequence[Splits]
) -> dict[str, Any]:
    """Trains a classifier for each fold, as a training of its own in ``fold-NUMBER``.

    Arguments
    ---------
    hparams : Mapping
        See :class:`ClassifierTraining`; a fold's seed is made of ``seed`` and its number.
    run_opts : Mapping or RunOptions
        SpeechBrain's options of the command line.
    divisions : sequence of Splits
        One for each fold.

    Returns
    -------
    dict
        Means and standard deviations over the folds; also in ``results.json``.
    """
    folder = Path(hparams["output_folder"])
    results = []
    for number, sets in enumerate(divisions, start=1):
        own = folder / f"fold-{number}"
        seed = int(hparams["seed"]) * _SEEDS_OF_FOLDS + number
        changes = {
            "output_folder": str(own),
            "seed": seed,
            "epoch_counter": copy.deepcopy(hparams["epoch_counter"]),
        }
        if if_main_process():
            print(f"fold {number} of {len(divisions)}")
        seed_everything(seed, False)
        ClassifierTraining({**hparams, **changes}, run_opts, sets).run()
        if if_main_process():
            results.append(json.loads((own / "results.json").read_text(encoding="utf-8")))
    if not if_main_process():
        return {}
    whole = _over_folds(results) | {"seed": hparams["seed"]}
    write_atomically(folder / "results.json", json.dumps(whole, indent=2) + "\n")
    for name, figures in whole["sets"].items():
        print(
            f"{name}, {len(results)} folds: accuracy {figures['accuracy']:.2f} % +- "
            f"{figures['accuracy deviation']:.2f}"
        )
    return whole["sets"]


def _over_folds(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over the folds; of costs the sums."""
    sets = {}
    for name in results[0]["sets"]:
        found = [result["sets"][name] for result in results]
        values = [one["accuracy"] for one in found]
        sets[name] = {
            "accuracy": statistics.fmean(values),
            "accuracy deviation": statistics.stdev(values),
            "loss": statistics.fmean(one["loss"] for one in found),
            "errors": sum(one["errors"] for one in found),
            "sequences": sum(one["sequences"] for one in found),
        }
    whole: dict[str, Any] = {
        key: round(statistics.fmean(result[key] for result in results))
        for key in results[0]
        if key.startswith("parameters") or key in ("hidden_size", "epochs")
    }
    for key in ("train seconds", "train cpu seconds", "steps"):
        values = [result[key] for result in results]
        whole[key] = None if None in values else round(sum(values), 3)
    steps = whole["steps"]
    whole["seconds per step"] = round(whole["train seconds"] / steps, 6) if steps else None
    whole["folds"] = [
        {"seed": r["seed"], **{name: s["accuracy"] for name, s in r["sets"].items()}}
        for r in results
    ]
    return {**whole, "model": results[0]["model"], "classes": results[0]["classes"], "sets": sets}


def _count(hparams: Mapping[str, Any], sets: Splits) -> dict[str, Any]:
    """Prints what every variant of the recurrence would have at this size; trains nothing."""
    frames = sets.train.inputs
    width = frames.shape[2] if isinstance(frames, torch.Tensor) else hparams["embedding_size"]
    found = {}
    for options in find(hparams["network"]).variants or ({},):
        with torch.device("meta"):
            model = hparams["model"](len(sets.classes), width, network_options=options, start=None)
        name = " ".join((hparams["network"], *(f"{k}={v}" for k, v in options.items())))
        found[name] = {k: v for k, v in _counts(model).items() if k != "parameters"}
    if if_main_process():
        print(f"{width} -> {model.rnn.hidden_size} -> {len(sets.classes)}, whole, recurrence:")
        for name, counts in found.items():
            print(f"{name:32}" + "".join(f"{count:12}" for count in counts.values()))
    return found
