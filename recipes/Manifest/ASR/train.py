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

from gatedrnn.tasks.asr.corpora import prepare, read
from gatedrnn.tasks.asr.train import train_asr
from gatedrnn.training.launch import run_script

if __name__ == "__main__":
    sys.exit(run_script(train_asr, prepare, read))
