#!/usr/bin/env python3
"""Trains and tests a classifier of sentences with any recurrence.

To run it: ``python train.py hparams/trec.yaml --data_folder=sentences --device=cpu``; every
top-level key of ``hparams/sentences.yaml`` can be given on the command line, e.g.
``--network=ran --vectors=glove.6B.300d.txt``, or many at once by a set-up: ``--setup=beta``. The
same command resumes an interrupted training.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from gatedrnn.data.report import Report
from gatedrnn.simulation.small_sets import write_sentences
from gatedrnn.tasks.classification.corpora.sentences import read_sentences, sentence_set
from gatedrnn.tasks.classification.data import Splits
from gatedrnn.tasks.classification.train import train_classifier
from gatedrnn.training.launch import run_script


def read(hparams: Mapping[str, Any], report: Report) -> list[Splits]:
    """Reads the sentences.

    Arguments
    ---------
    hparams : Mapping
        ``dataset``, ``data_folder``, ``folds``, ``division_seed``, ``phrases``, ``simulate``.
    report : Report
        Takes the issues.

    Returns
    -------
    list of Splits
        One division, or one for each fold.
    """
    folder, simulated = hparams["data_folder"], hparams.get("simulate")
    if simulated:
        layout = sentence_set(hparams["dataset"])
        write_sentences(folder, layout.files, len(layout.classes), **simulated)
    return read_sentences(
        hparams["dataset"],
        folder,
        report,
        folds=int(hparams["folds"]),
        seed=int(hparams["division_seed"]),
        phrases=bool(hparams["phrases"]),
    )


if __name__ == "__main__":
    sys.exit(run_script(train_classifier, read))
