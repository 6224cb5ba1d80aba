#!/usr/bin/env python3
"""Trains and tests a recogniser of AN4, close or distant.

To run it: ``python train.py hparams/ctc.yaml --data_folder=AN4 --device=cpu``; every top-level key
of the YAML can be given on the command line, e.g. ``--network=highway --num_layers=3``. The same
command goes on with an interrupted training.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatedrnn.tasks.asr.corpora.an4 import prepare_an4
from gatedrnn.tasks.asr.data import DISTANT, read_speech
from gatedrnn.tasks.asr.train import train_asr


def prepare(hparams: Mapping[str, Any]) -> dict[str, Path]:
    """Prepares the lists of utterances; those of the test sets a second time, to be made distant.

    Arguments
    ---------
    hparams : Mapping
        ``data_folder``, ``prepared_folder``, ``impulse_responses`` and ``noises``.

    Returns
    -------
    dict
        Name of the set -> CSV file.
    """
    prepared = prepare_an4(hparams["data_folder"], hparams["prepared_folder"])
    sets = dict(prepared.csv)
    if hparams["distant_test"] is not None:
        sets |= {name + DISTANT: path for name, path in prepared.csv.items() if name != "train"}
    return sets


if __name__ == "__main__":
    train_asr(sys.argv[1:], prepare, read_speech)
