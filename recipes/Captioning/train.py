#!/usr/bin/env python3
"""Trains and tests a captioner of images or sounds with any recurrence.

To run it: ``python train.py hparams/scenes.yaml --device=cpu`` needs no data; every top-level key
of ``hparams/captions.yaml`` can be given on the command line, e.g. ``--network=ran
--num_layers=3``, or many at once by a set-up: ``--setup=top_down``. The same command resumes
an interrupted training.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from gatedrnn.tasks.captioning.corpora.prepare import prepare_captions
from gatedrnn.tasks.captioning.data import SIMULATED, CaptionSets, simulate
from gatedrnn.tasks.captioning.train import train_captioner
from gatedrnn.training.launch import run_script


def read(hparams: Mapping[str, Any]) -> CaptionSets:
    """Prepares the items: those of a corpus, or simulated ones.

    Arguments
    ---------
    hparams : Mapping
        ``corpus``, ``data_folder``, ``images_folder``, ``features``, ``prepared_folder`` and
        ``corpus_options``.

    Returns
    -------
    CaptionSets
    """
    corpus, options = hparams["corpus"], dict(hparams.get("corpus_options") or {})
    if corpus in SIMULATED:
        return simulate(corpus, hparams["data_folder"], **options)
    if hparams["images_folder"] is not None:
        options["images"] = hparams["images_folder"]
    prepared = prepare_captions(
        corpus,
        hparams["data_folder"],
        hparams["prepared_folder"],
        features=hparams["features"],
        **options,
    )
    items = {split: prepared.items(split) for split in prepared.files}
    tests = {"test": items["test"]} if items.get("test") else {}
    return CaptionSets(items["train"], items["dev"], tests)


if __name__ == "__main__":
    sys.exit(run_script(train_captioner, read))
