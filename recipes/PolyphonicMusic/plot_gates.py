#!/usr/bin/env python3
"""Plots statistics of the gates of trained models of music.

To run it: ``python plot_gates.py RESULTS/lstm RESULTS/beta_5g --output gates``, given the output
folders of trainings by ``train.py``, best with ``--keep_epochs='[1, 3, 10, 30, 100]'``: there are
plots for the initial values, for these epochs, the best and the last one.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from gatedrnn.tasks.music.gates import plot_gates

if __name__ == "__main__":
    train = runpy.run_path(str(Path(__file__).with_name("train.py")))
    sys.exit(plot_gates(sys.argv[1:], train["read"]))
