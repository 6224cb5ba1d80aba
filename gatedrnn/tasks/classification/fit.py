"""From a command line to an accuracy: what the ``train.py`` of classification recipes calls."""

from __future__ import annotations

import copy
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from speechbrain.utils.distributed import if_main_process, run_on_main
from speechbrain.utils.logger import get_logger
from speechbrain.utils.seed import seed_everything
from torch import nn

from gatedrnn.cells.registry import find
from gatedrnn.data.report import Report
from gatedrnn.modules.parameter_budget import parameters, size_for
from gatedrnn.tasks.classification.corpora.labelled import Labelled, LabelledSets
from gatedrnn.tasks.classification.data import SequenceDataset
from gatedrnn.tasks.classification.train import ClassifierBrain
from gatedrnn.tasks.classification.words import embedding_of, make_tokens
from gatedrnn.tokens.text_tokens import TextTokens
from gatedrnn.training.checkpoints import SafeCheckpointer
from gatedrnn.training.launch import run_recipe
from gatedrnn.training.log import Curve, TrainingLog, replace_text

logger = get_logger(__name__)

CURVE = Curve("accuracy", "accuracy, %", (0, 105))
#: Distance of the seeds of two trainings, so that no fold of one is a fold of the other.
_FOLDS = 1000


def train_classifier(
    arguments: Sequence[str], read: Callable[[Mapping[str, Any], Report], Sequence[LabelledSets]]
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
        divisions = read(hparams, report)
        if if_main_process():
            report.log()
            report.write(Path(hparams["output_folder"]) / "report.json")
        if hparams.get("count_only"):
            return _count(hparams, divisions[0])
        if len(divisions) == 1:
            return fit_classifier(hparams, run_opts, divisions[0])
        return fit_folds(hparams, run_opts, divisions)

    return run_recipe(arguments, work)


def fit_folds(
    hparams: Mapping[str, Any], run_opts: Any, divisions: Sequence[LabelledSets]
) -> dict[str, Any]:
    """Trains a classifier for each fold, as a training of its own in ``fold-NUMBER``.

    Arguments
    ---------
    hparams : Mapping
        See :func:`fit_classifier`; a fold's seed is made of ``seed`` and its number.
    run_opts : Mapping or RunOptions
        SpeechBrain's options of the command line.
    divisions : sequence of LabelledSets
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
        seed = int(hparams["seed"]) * _FOLDS + number
        changes = {
            "output_folder": str(own),
            "seed": seed,
            "epoch_counter": copy.deepcopy(hparams["epoch_counter"]),
        }
        if if_main_process():
            print(f"fold {number} of {len(divisions)}")
        seed_everything(seed, False)
        fit_classifier({**hparams, **changes}, run_opts, sets)
        if if_main_process():
            results.append(json.loads((own / "results.json").read_text(encoding="utf-8")))
    if not if_main_process():
        return {}
    whole = _over_folds(results) | {"seed": hparams["seed"]}
    replace_text(folder / "results.json", json.dumps(whole, indent=2) + "\n")
    for name, figures in whole["sets"].items():
        print(
            f"{name}, {len(results)} folds: accuracy {figures['accuracy']:.2f} % +- "
            f"{figures['accuracy deviation']:.2f}"
        )
    return whole["sets"]


def fit_classifier(hparams: Mapping[str, Any], run_opts: Any, sets: LabelledSets) -> dict[str, Any]:
    """Trains a classifier, or goes on with its training, and tests the best of its checkpoints.

    Arguments
    ---------
    hparams : Mapping
        Of the YAML: ``output_folder``, ``seed``, what :func:`make_model` takes, for sentences what
        :mod:`~gatedrnn.tasks.classification.words` takes, ``opt_class``, ``epoch_counter``, and
        what :class:`~gatedrnn.tasks.classification.train.ClassifierBrain` takes.
    run_opts : Mapping or RunOptions
        SpeechBrain's options of the command line.
    sets : LabelledSets
        The sequences; those for validation are tested, too.

    Returns
    -------
    dict
        Figures of every set; also in ``results.json`` in the output folder.
    """
    folder = Path(hparams["output_folder"])
    folder.mkdir(parents=True, exist_ok=True)
    inputs, tokens = _inputs(hparams, sets, folder)
    model = make_model(hparams, len(sets.classes), inputs)
    counts = _counts(model)
    if if_main_process():
        print(
            f"{model.rnn.layer(0).cell}: {counts['parameters']} parameters, "
            f"{counts['parameters of the recurrence']} of them of the recurrence"
        )
    brain = ClassifierBrain(
        classes=sets.classes,
        hparams=hparams,
        modules={"model": model},
        opt_class=hparams["opt_class"],
        run_opts=run_opts,
        checkpointer=SafeCheckpointer(folder / "save", {"model": model}),
        log=TrainingLog(folder, CURVE),
    )
    data = {part.name: _dataset(part, tokens) for part in (sets.train, sets.valid, *sets.tests)}
    loaders = {
        part.name: brain.evaluation_loader(data[part.name], data[part.name].sizes)
        for part in (sets.valid, *sets.tests)
    }
    if not brain.test_only:
        train = data[sets.train.name]
        valid_loader = loaders[sets.valid.name]
        brain.fit(brain.counter, brain.training_loader(train, train.sizes), valid_loader)
        brain.log.write()
        brain.average_best(valid_loader)
    epochs = brain.counter.current
    figures = {name: brain.test(name, loader, folder) for name, loader in loaders.items()}
    if if_main_process():
        results = {
            "seed": hparams["seed"],
            **counts,
            "hidden_size": model.rnn.hidden_size,
            "vocabulary": None if tokens is None else len(tokens),
            "epochs": epochs or brain.counter.current,
            **brain.spent(),
            "model": str(model.rnn.layer(0).cell),
            "classes": list(sets.classes),
            "sets": figures,
        }
        replace_text(folder / "results.json", json.dumps(results, indent=2) + "\n")
    return figures


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
    make, budget = hparams["model"], hparams.get("parameters")
    if not budget:
        return make(classes, inputs)
    width = inputs.output_size if isinstance(inputs, nn.Module) else inputs
    size, count = size_for(lambda n: make(classes, width, hidden_size=n), int(budget))
    logger.info(f"hidden_size {size}: {count:,} of {int(budget):,} parameters")
    return make(classes, inputs, hidden_size=size)


def _inputs(
    hparams: Mapping[str, Any], sets: LabelledSets, folder: Path
) -> tuple[int | nn.Module, TextTokens | None]:
    """Width of a frame; or the embedding of words, and the words."""
    frames = sets.train.inputs
    if isinstance(frames, torch.Tensor):
        return frames.shape[2], None
    path = folder / "tokens.json"
    run_on_main(make_tokens, args=[hparams, sets, path])
    return embedding_of(hparams, sets, path)


def _dataset(part: Labelled, tokens: TextTokens | None) -> SequenceDataset:
    if tokens is None:
        return SequenceDataset(part.name, part.inputs, part.labels)
    encoded = [torch.tensor(tokens.encode(s), dtype=torch.int32) for s in part.inputs]
    return SequenceDataset(part.name, encoded, part.labels)


def _counts(model: nn.Module) -> dict[str, int]:
    whole, embedding = parameters(model), getattr(model, "embedding", None)
    return {
        "parameters": whole,
        "parameters without embedding": whole - (parameters(embedding) if embedding else 0),
        "parameters of the recurrence": parameters(model.rnn),
    }


def _count(hparams: Mapping[str, Any], sets: LabelledSets) -> dict[str, Any]:
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
