#!/usr/bin/env python3
"""Trains and tests a recognizer of AMI or a similar corpus: see recipes/ASR/train.py."""

import runpy
from pathlib import Path

if __name__ == "__main__":
    runpy.run_path(str(Path(__file__).parents[2] / "ASR" / "train.py"), run_name="__main__")
