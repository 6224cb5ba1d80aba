#!/usr/bin/env python3
"""Trains and tests an attention translator with any recurrence.

To run it: ``python train.py hparams/demo.yaml --device=cpu`` needs no data; every top-level key of
``hparams/translation.yaml`` can be given on the command line, e.g. ``--network=depth_gated
--num_layers=5``, or many at once by a set-up: ``--setup=deep``. The same command resumes an
interrupted training.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from gatedrnn.data.report import Report
from gatedrnn.simulation.small_sets import write_parallel
from gatedrnn.tasks.translation.corpora import ParallelCorpus, read_parallel
from gatedrnn.tasks.translation.train import train_translator
from gatedrnn.training.launch import run_script


def read(hparams: Mapping[str, Any], report: Report) -> ParallelCorpus:
    """Reads the pairs; simulated ones are written first.

    Arguments
    ---------
    hparams : Mapping
        ``corpus``, ``data_folder``, ``source``, ``target``, ``corpus_options`` and ``simulated``.
    report : Report
        Takes the issues.

    Returns
    -------
    ParallelCorpus
    """
    if hparams["simulated"]:
        write_parallel(hparams["data_folder"], **hparams["simulated"])
    options = {name: hparams[name] for name in ("source", "target")}
    options |= hparams["corpus_options"] or {}
    return read_parallel(hparams["corpus"], hparams["data_folder"], report, **options)


if __name__ == "__main__":
    sys.exit(run_script(train_translator, read))
