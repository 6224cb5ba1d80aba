#!/usr/bin/env python3
"""Trains and tests a recogniser on recordings of your own.

A manifest (CSV, TSV or JSON lines) has a row per utterance: ``audio`` (a path), ``text``,
``speaker``, and if you like ``start`` and ``stop`` in seconds.

To run it: ``python train.py hparams/ctc.yaml --train_manifest=MINE.csv``; every top-level key of
the YAML can be given on the command line, e.g. ``--network=highway --num_layers=3``. The same
command goes on with an interrupted training.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatedrnn.data.entries import Policy
from gatedrnn.data.manifest import prepare_manifest
from gatedrnn.tasks.asr.data import DISTANT, read_speech
from gatedrnn.tasks.asr.train import train_asr


def prepare(hparams: Mapping[str, Any]) -> dict[str, Path]:
    """Checks the manifests, and writes lists of the utterances that can be used.

    Arguments
    ---------
    hparams : Mapping
        ``train_manifest``, ``dev_manifest``, ``test_manifest``, ``characters``,
        ``prepared_folder``, ``sample_rate``.

    Returns
    -------
    dict
        Name of the set -> CSV file.
    """
    prepared = prepare_manifest(
        hparams["train_manifest"],
        hparams["prepared_folder"],
        dev=hparams["dev_manifest"],
        test=hparams["test_manifest"],
        policy=Policy(rate=hparams["sample_rate"], characters=hparams["characters"]),
    )
    sets = dict(prepared.csv)
    if hparams["distant_test"] is not None:
        sets |= {name + DISTANT: path for name, path in prepared.csv.items() if name != "train"}
    return sets


if __name__ == "__main__":
    train_asr(sys.argv[1:], prepare, read_speech)
