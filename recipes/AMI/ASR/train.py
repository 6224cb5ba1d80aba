#!/usr/bin/env python3
"""Trains and tests a recogniser of AMI, or of any corpus prepared in the same way.

To run it, after ``recipes/AMI/ami_prepare.py ... --out DIR``:
``python train.py hparams/ctc.yaml --prepared_folder=DIR``; every top-level key of the YAML can be
given on the command line, e.g. ``--network=highway --num_layers=3``. The same command goes on with
an interrupted training.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatedrnn.tasks.asr.data import read_speech
from gatedrnn.tasks.asr.train import train_asr


def prepare(hparams: Mapping[str, Any]) -> dict[str, Path]:
    """Finds the prepared lists of utterances.

    Arguments
    ---------
    hparams : Mapping
        ``prepared_folder``, and optionally ``more_tests``: name -> another prepared folder.

    Returns
    -------
    dict
        Name of the set -> CSV file: train, dev, eval, and eval-NAME of each further folder.

    Raises
    ------
    FileNotFoundError
        If one of them is missing.
    """
    folder = Path(hparams["prepared_folder"])
    sets = {name: folder / f"{name}.csv" for name in ("train", "dev", "eval")}
    for name, other in (hparams.get("more_tests") or {}).items():
        sets[f"eval-{name}"] = Path(other) / "eval.csv"
    for path in sets.values():
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; run recipes/AMI/ami_prepare.py first")
    return sets


if __name__ == "__main__":
    train_asr(sys.argv[1:], prepare, read_speech)
