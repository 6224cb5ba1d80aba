"""From a command line to a likelihood of music: what ``recipes/PolyphonicMusic/train.py`` calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from speechbrain.utils.distributed import if_main_process

from gatedrnn.data.report import Report
from gatedrnn.modules.parameter_budget import parameters
from gatedrnn.tasks.language_modeling.fit import make_model
from gatedrnn.tasks.music.corpora.rolls import KEYS, MusicCorpus
from gatedrnn.tasks.music.train import SequenceModelBrain
from gatedrnn.training.checkpoints import SafeCheckpointer
from gatedrnn.training.launch import run_recipe
from gatedrnn.training.log import Curve, TrainingLog, replace_text

CURVE = Curve("NLL", "nats per frame", None)

Read = Callable[[Mapping[str, Any], Report], MusicCorpus]


def train_music(arguments: Sequence[str], read: Read) -> dict[str, Any]:
    """Trains and tests a model of polyphonic music.

    Arguments
    ---------
    arguments : sequence of str
        Of the command line: a YAML file, and what to override in it.
    read : callable
        Reads the corpus, given the YAML's values and a report for its faults.

    Returns
    -------
    dict
        Figures of validation and test.
    """

    def work(hparams: dict[str, Any], run_opts: Any) -> dict[str, Any]:
        report = Report(str(hparams.get("corpus", "music")))
        corpus = read(hparams, report)
        if if_main_process():
            report.log()
            report.write(Path(hparams["output_folder"]) / "report.json")
        return fit_sequence_model(hparams, run_opts, corpus)

    return run_recipe(arguments, work)


def fit_sequence_model(
    hparams: Mapping[str, Any], run_opts: Any, corpus: MusicCorpus
) -> dict[str, Any]:
    """Trains a model, or goes on with its training, and tests the best of its checkpoints.

    Arguments
    ---------
    hparams : Mapping
        Of the YAML: ``output_folder``, ``seed``, ``model`` (and ``parameters``: see
        ``make_model``), ``opt_class``, ``epoch_counter``, and what
        :class:`~gatedrnn.tasks.music.train.SequenceModelBrain` takes.
    run_opts : Mapping or RunOptions
        SpeechBrain's options of the command line.
    corpus : MusicCorpus
        The pieces.

    Returns
    -------
    dict
        Figures of validation and test; also in ``results.json`` in the output folder.
    """
    folder = Path(hparams["output_folder"])
    folder.mkdir(parents=True, exist_ok=True)
    brain = make_brain(hparams, run_opts)
    valid_loader = brain.evaluation_music(corpus.valid)
    if not brain.test_only:
        brain.fit(brain.counter, brain.training_music(corpus.train), valid_loader)
        brain.log.write()
        brain.average_best(valid_loader)
    epochs = brain.counter.current
    figures = {music.name: brain.test(music, folder) for music in (corpus.valid, corpus.test)}
    if if_main_process():
        model = brain.checkpointer.recoverables["model"]
        results = {
            "seed": hparams["seed"],
            "parameters": parameters(model),
            "parameters of the recurrence": parameters(model.rnn),
            "hidden_size": model.rnn.hidden_size,
            "first_frame": bool(hparams["first_frame"]),
            "epochs": epochs or brain.counter.current,
            **brain.spent(),
            "model": str(model.rnn.layer(0).cell),
            "sets": figures,
        }
        replace_text(folder / "results.json", json.dumps(results, indent=2) + "\n")
    return figures


def make_brain(hparams: Mapping[str, Any], run_opts: Any) -> SequenceModelBrain:
    """Makes the Brain of a YAML, with a model that is not trained.

    Arguments
    ---------
    hparams : Mapping
        As for :func:`fit_sequence_model`.
    run_opts : Mapping or RunOptions
        SpeechBrain's options of the command line.

    Returns
    -------
    SequenceModelBrain
    """
    folder = Path(hparams["output_folder"])
    model, _ = make_model(hparams, KEYS)
    return SequenceModelBrain(
        hparams=hparams,
        modules={"model": model},
        opt_class=hparams["opt_class"],
        run_opts=run_opts,
        checkpointer=SafeCheckpointer(folder / "save", {"model": model}),
        log=TrainingLog(folder, CURVE),
    )
