#!/usr/bin/env python3
"""Trains and tests a classifier of images, read row by row or pixel by pixel.

To run it: ``python train.py hparams/mnist.yaml --data_folder=MNIST --device=cpu``; every top-level
key of ``hparams/images.yaml`` can be given on the command line, e.g. ``--order=pixels``, or many at
once by a set-up: ``--setup=slim``. The same command resumes an interrupted training.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from gatedrnn.data.report import Report
from gatedrnn.simulation.small_sets import write_digits
from gatedrnn.tasks.classification.corpora.images import read_images, sets_as_sequences
from gatedrnn.tasks.classification.data import Splits
from gatedrnn.tasks.classification.train import train_classifier
from gatedrnn.training.launch import run_script


def read(hparams: Mapping[str, Any], report: Report) -> list[Splits]:
    """Reads the images as sequences.

    Arguments
    ---------
    hparams : Mapping
        ``dataset``, ``data_folder``, ``valid_count``, ``order``, ``permutation``, ``simulate``.
    report : Report
        Takes the issues.

    Returns
    -------
    list of Splits
        One division.
    """
    folder, simulated = hparams["data_folder"], hparams.get("simulate")
    if simulated:
        write_digits(folder, **{"dataset": hparams["dataset"], **simulated})
    sets = read_images(hparams["dataset"], folder, report, int(hparams["valid_count"]))
    return [sets_as_sequences(sets, hparams["order"], hparams["permutation"])]


if __name__ == "__main__":
    sys.exit(run_script(train_classifier, read))
