"""The gates of trained models of music: what ``recipes/PolyphonicMusic/plot_gates.py`` calls."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hyperpyyaml import load_hyperpyyaml

from gatedrnn.data.report import Report
from gatedrnn.tasks.music.gate_plots import write_gates
from gatedrnn.tasks.music.gate_statistics import GateSettings, measure_training
from gatedrnn.tasks.music.train import MusicTraining, Read

#: What SpeechBrain calls a training's YAML file, all overrides in it.
_HPARAMS = "hyperparams.yaml"


def plot_gates(arguments: Sequence[str], read: Read) -> int:
    """Measures the gates of trainings, and writes figures and pictures.

    Arguments
    ---------
    arguments : sequence of str
        Of the command line.
    read : callable
        Reads a training's corpus, given its YAML's values and a report for faults.

    Returns
    -------
    int
        Exit status: 0, or 2 after bad input.
    """
    parser = argparse.ArgumentParser(prog="plot_gates.py", description=plot_gates.__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="output folder of a training")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="where all is written")
    parser.add_argument(
        "--names", nargs="+", metavar="NAME", help="of the runs; default: their folders' names"
    )
    parser.add_argument("--data_folder", help="of the corpus; default: that of the training")
    parser.add_argument(
        "--batches", type=int, default=1, metavar="N", help="of validation pieces; default 1"
    )
    options = parser.parse_args(arguments)
    try:
        names = options.names or [Path(run).resolve().name for run in options.runs]
        if len(set(names)) != len(options.runs):
            raise ValueError(
                f"{len(options.runs)} runs need as many different --names, not {', '.join(names)}"
            )
        if options.batches < 1:
            raise ValueError(f"--batches must be at least 1, not {options.batches}")
        settings = GateSettings(batches=options.batches)
        found = {
            name: measure_run(Path(run), read, settings, options.data_folder)
            for name, run in zip(names, options.runs, strict=True)
        }
        output = Path(options.output)
        print("\n".join(str(output / file) for file in write_gates(found, output)))
    except (ValueError, OSError) as error:
        print(f"plot_gates.py: error: {error}", file=sys.stderr)
        return 2
    return 0


def measure_run(
    folder: Path, read: Read, settings: GateSettings, data_folder: str | None = None
) -> list[dict[str, Any]]:
    """Measures the gates of a training.

    Arguments
    ---------
    folder : Path
        Its output folder; nothing in it is changed.
    read : callable
        Reads its corpus.
    settings : GateSettings
        What is measured.
    data_folder : str or None
        Where the corpus is, if no longer where it was.

    Returns
    -------
    list of dict
        See :func:`~gatedrnn.tasks.music.gate_statistics.measure_training`.

    Raises
    ------
    FileNotFoundError
        If there is no training.
    """
    path = folder / _HPARAMS
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: {folder} is no output folder of train.py")
    changes = {"output_folder": str(folder)}
    if data_folder is not None:
        changes["data_folder"] = data_folder
    with open(path, encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, changes)
    corpus = read(hparams, Report(str(hparams["corpus"])))
    options = {"device": "cpu", "noprogressbar": True}
    brain = MusicTraining(hparams, options, corpus).make_brain()
    return measure_training(brain, brain.evaluation_music(corpus.valid), settings)
