#!/usr/bin/env python3
"""Trains and tests a language model with any recurrence.

To run it: ``python train.py hparams/ptb.yaml --data_folder=PTB --device=cpu``; every top-level key
of ``hparams/text.yaml`` can be given on the command line, e.g. ``--network=ran --num_layers=3``, or
many at once by a set-up: ``--setup=ran_medium``. The same command resumes an interrupted
training.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from gatedrnn.data.report import Report
from gatedrnn.tasks.language_modeling.data import Corpus, read_corpus
from gatedrnn.tasks.language_modeling.train import train_lm
from gatedrnn.training.launch import run_script


def read(hparams: Mapping[str, Any], report: Report) -> Corpus:
    """Reads the texts.

    Arguments
    ---------
    hparams : Mapping
        ``corpus``, ``data_folder`` and ``corpus_options``.
    report : Report
        Takes the issues.

    Returns
    -------
    Corpus
    """
    options = hparams.get("corpus_options") or {}
    return read_corpus(hparams["corpus"], hparams["data_folder"], report, **options)


if __name__ == "__main__":
    sys.exit(run_script(train_lm, read))
