#!/usr/bin/env python3
"""Trains and tests a model of polyphonic music with any recurrence.

To run it: ``python train.py hparams/demo.yaml --device=cpu`` needs no data; ``python train.py
hparams/jsb.yaml --data_folder=MUSIC --setup=beta_5g --device=cpu`` does. Every top-level key of
``hparams/music.yaml`` can be given on the command line, e.g. ``--network=ran --num_layers=3``. The
same command resumes an interrupted training.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from gatedrnn.data.report import Report
from gatedrnn.simulation.small_sets import write_music
from gatedrnn.tasks.music.corpora import MusicCorpus, read_music
from gatedrnn.tasks.music.train import train_music
from gatedrnn.training.launch import run_script


def read(hparams: Mapping[str, Any], report: Report) -> MusicCorpus:
    """Reads the pieces; simulated ones are written first.

    Arguments
    ---------
    hparams : Mapping
        ``corpus``, ``data_folder``, ``corpus_options`` and ``simulated``.
    report : Report
        Takes the issues.

    Returns
    -------
    MusicCorpus
    """
    if hparams["simulated"]:
        write_music(hparams["data_folder"], **hparams["simulated"])
    options = hparams.get("corpus_options") or {}
    return read_music(hparams["corpus"], hparams["data_folder"], report, **options)


if __name__ == "__main__":
    sys.exit(run_script(train_music, read))
