#!/usr/bin/env python3
"""Trains and tests a recogniser of AN4, close or distant.

To run it: ``python train.py hparams/ctc.yaml --data_folder=AN4 --device=cpu``; every top-level key
of the YAML can be given on the command line, e.g. ``--network=highway --num_layers=3``. The same
command goes on with an interrupted training.
"""

from __future__ import annotations

import sys

from gatedrnn.tasks.asr.corpora import prepare, read
from gatedrnn.tasks.asr.train import train_asr
from gatedrnn.training.launch import run_script

if __name__ == "__main__":
    sys.exit(run_script(train_asr, prepare, read))
