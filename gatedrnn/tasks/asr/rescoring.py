"""Rescoring of the n-best lists of a training's tests by a language model."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from speechbrain.utils.distributed import run_on_main

from gatedrnn.data.files import write_atomically
from gatedrnn.scoring.alignment import error_metrics, word_errors
from gatedrnn.tasks.language_modeling.bundle import load_language_model
from gatedrnn.tasks.language_modeling.nbest import read_nbest
from gatedrnn.tasks.language_modeling.rescoring import (
    LM_WEIGHTS_FILE,
    Rescored,
    check_line_ends,
    describe,
    rescore_sets,
    write_lists,
    write_lm_weights,
)

#: Subfolder of the output folder for the files of rescored tests.
FOLDER = "rescored"


def check_language_model(hparams: Mapping[str, Any]) -> None:
    """Checks before a training that its tests can be rescored.

    Of the YAML it takes ``beam_size`` and ``language_model``: a bundle, or the output folder of a
    training by ``recipes/LM``; ``None`` for none.
    """
    name = hparams.get("language_model")
    if name is None:
        return
    if int(hparams.get("beam_size", 1)) < 2:
        raise ValueError(
            "language_model: there are no n-best lists to rescore; beam_size must be above 1"
        )
    # Making a model uses random numbers; those of the training must not change.
    with torch.random.fork_rng(devices=[]):
        run_on_main(_load, args=[name])


def rescore_tests(
    folder: Path, name: str, tests: Mapping[str, Mapping[str, Any]], device: Any = "cpu"
) -> dict[str, Any]:
    """Rescores the tests of a training; weights are chosen on ``dev`` and reported on all.

    What ``gatedrnn rescore LM nbest_dev.jsonl nbest_*.jsonl`` does, with the alignments of the
    words, and with what it cost.
    """
    language_model = _load(name)
    language_model.model.to(device)
    names = ["dev", *(test for test in tests if test != "dev")]
    lists = [read_nbest(folder / f"nbest_{test}.jsonl") for test in names]
    rescored = rescore_sets(lists, language_model)
    write_lm_weights(folder / FOLDER / LM_WEIGHTS_FILE, rescored.weights)
    print(f"rescored by {name}: {rescored.choice('dev')}")
    sets = {}
    for test, scored in zip(names, rescored.sets, strict=True):
        seconds = tests[test]["search seconds"]
        write_lists(folder / FOLDER / f"nbest_{test}.jsonl", scored, rescored.weights)
        errors = word_errors(
            (r["id"], r["hyps"][0]["text"].split(), r["ref"].split())
            for r in scored.records(rescored.weights)
        )
        path = folder / FOLDER / f"wer_{test}.txt"
        alignments = io.StringIO()
        errors.write_stats(alignments)
        write_atomically(path, alignments.getvalue())
        sets[test] = {
            **error_metrics(errors),
            "oracle WER": scored.oracle().rate,
            "readings": scored.hypotheses,
            "unknown": scored.cost.unknown,
            "language model seconds": scored.cost.seconds,
            "search seconds": seconds,
            "language model to search": scored.cost.seconds / seconds,
        }
        print(f"{test}, rescored: {describe(scored, rescored.weights, seconds)} ({path})")
    return {"language model": str(name), **_choice(rescored), "sets": sets}


def notes(rescored: Mapping[str, Any]) -> str:
    """Weights and cost of the rescored rows of a table.

    Example
    -------
    >>> cost = {"language model seconds": 0.5, "search seconds": 2.0, "readings": 80}
    >>> sets = {"dev": {"oracle WER": 7.0, **cost}}
    >>> choice = {"weight": 0.5, "insertion": 1.0, "internal": 0.0, "tried": 260, "edges": []}
    >>> print(notes({"language model": "lm", **choice, "sets": sets}))
    rescored: language model weight 0.5, insertion 1, chosen on dev among 260
    dev: oracle WER 7.00 %, 80 hypotheses, 0.5 s of language model, 2.0 s of search (0.25)
    """
    chosen = f"language model weight {rescored['weight']:g}, insertion {rescored['insertion']:g}"
    if rescored["internal"]:
        chosen += f", internal {rescored['internal']:g}"
    lines = [f"rescored: {chosen}, chosen on dev among {rescored['tried']}"]
    if rescored["edges"]:
        lines.append(
            f"at the end of what was tried, so that there may be a better one: "
            f"{', '.join(rescored['edges'])}"
        )
    for name, f in rescored["sets"].items():
        spent, search = f["language model seconds"], f["search seconds"]
        lines.append(
            f"{name}: oracle WER {f['oracle WER']:.2f} %, {f['readings']} hypotheses, "
            f"{spent:.1f} s of language model, {search:.1f} s of search ({spent / search:.2f})"
        )
    return "\n".join(lines)


def _choice(rescored: Rescored) -> dict[str, Any]:
    weights, tuning = rescored.weights, rescored.tuning
    edges: Sequence[str] = () if tuning is None else tuning.edges
    return {
        "weight": weights.weight,
        "insertion": weights.insertion,
        "internal": weights.internal,
        "tried": 1 if tuning is None else tuning.tried,
        "edges": list(edges),
    }


def _load(name: str | Path) -> Any:
    language_model = load_language_model(name)
    check_line_ends(language_model, name)
    return language_model
