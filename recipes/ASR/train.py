#!/usr/bin/env python3
"""Trains and tests a speech recognizer.

    python recipes/ASR/train.py YAML [--KEY=VALUE ...]

The YAML file of a corpus, such as recipes/AN4/ASR/hparams/ctc.yaml, names the corpus (its reader is
in gatedrnn.tasks.asr.corpora) and what differs from hparams/asr.yaml, all of whose top-level keys
can be given on the command line: --network=highway --num_layers=3. The same command resumes an
interrupted training.
"""

from __future__ import annotations

import sys

from gatedrnn.tasks.asr.corpora import prepare, read
from gatedrnn.tasks.asr.train import train_asr
from gatedrnn.training.launch import run_script

if __name__ == "__main__":
    sys.exit(run_script(train_asr, prepare, read))
