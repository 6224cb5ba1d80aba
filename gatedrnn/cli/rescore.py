"""``gatedrnn rescore``: a language model has its say on lists of readings."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gatedrnn.cli import modelling
from gatedrnn.dataio.files import write_atomically

NAME = "rescore"
HELP = "rescore n-best lists by a language model, whose weight is tuned on the first of them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn rescore``."""
    modelling.add_model(parser)
    parser.add_argument(
        "dev", type=Path, metavar="NBEST_DEV",
        help="lists on which weight and insertion are chosen: nbest_SET.jsonl of a training, or "
        "a folder of Kaldi's with words_text, acwt, lmwt.nolm, and text (the references)",
    )  # fmt: skip
    parser.add_argument(
        "tests", type=Path, nargs="*", metavar="NBEST_TEST",
        help="lists that are rescored with what was chosen",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER",
        help="write the lists in their new order there, as JSON lines that gatedrnn score reads",
    )  # fmt: skip
    parser.add_argument(
        "--weights", type=float, nargs="+", metavar="X",
        help="of the language model, to try; one is taken as it is; default 0 to 3",
    )  # fmt: skip
    parser.add_argument(
        "--insertions", type=float, nargs="+", metavar="X",
        help="what each word adds to the score, to try; default -2 to 4",
    )  # fmt: skip
    parser.add_argument(
        "--acoustic-scale", type=float, default=1.0, metavar="X",
        help="of Kaldi's acoustic costs; default 1, as of chain models",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Rescores.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of the command line.

    Returns
    -------
    int
        0.
    """
    # Imported here, so that other subcommands do not wait for what training needs.
    from gatedrnn.decoding import rescoring
    from gatedrnn.decoding.nbest import read_nbest

    paths = [arguments.dev, *arguments.tests]
    files = _output_files(paths, arguments.output)
    # All are read before the work begins: a bad file is found at once.
    lists = [read_nbest(path, arguments.acoustic_scale) for path in paths]
    found = modelling.load(arguments)
    if not found.config.model.line_ends:
        raise ValueError(
            f"{arguments.model} was trained on text without ends of lines: it cannot tell how "
            "probable it is that a sentence ends"
        )
    weights = arguments.weights or rescoring.WEIGHTS
    insertions = arguments.insertions or rescoring.INSERTIONS
    scored = [rescoring.score_lists(one, found.model, found.tokens) for one in lists]
    if len(weights) == len(insertions) == 1:
        setting = rescoring.Setting(weights[0], insertions[0])
        print(f"language model weight {setting.weight:g}, insertion {setting.insertion:g}, given")
    else:
        tuning = rescoring.tune(scored[0], weights, insertions)
        setting = tuning.setting
        print(
            f"language model weight {setting.weight:g}, insertion {setting.insertion:g}, chosen on "
            f"{arguments.dev} among {tuning.tried}"
        )
        for edge in tuning.edges:
            print(f"  the best {edge} is at the end of what was tried: there may be a better one")
    for path, one in zip(paths, scored, strict=True):
        print(f"{path}: {_line(one, setting)}")
    for path, one in zip(files, scored, strict=False):
        records = one.records(setting)
        text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        write_atomically(path, text)
    return 0


def _output_files(paths: Sequence[Path], folder: Path | None) -> list[Path]:
    """Where rescored lists go; nothing that was read is overwritten."""
    if folder is None:
        return []
    files = [folder / (path.resolve().name.removesuffix(".jsonl") + ".jsonl") for path in paths]
    for path, file in zip(paths, files, strict=True):
        if files.count(file) > 1:
            raise ValueError(f"--output: two of the lists are called {file.name}")
        if file.resolve() == path.resolve():
            raise ValueError(f"--output: {file} is what is read: name another folder")
    return files


def _line(scored: Any, setting: Any) -> str:
    """What is said about a set."""
    cost = scored.cost
    parts = []
    if scored.errors is None:
        parts.append("word errors not counted, as not all references are known")
    else:
        before, after, oracle = scored.outcome(), scored.outcome(setting), scored.oracle()
        parts.append(
            f"WER {before.rate:.2f} % -> {after.rate:.2f} % (oracle {oracle.rate:.2f} %), "
            f"{before.errors} -> {after.errors} errors in {before.words} words"
        )
    readings = sum(len(nbest.candidates) for nbest in scored.lists)
    parts.append(
        f"{len(scored.lists)} utterances, {readings} readings, {cost.unknown} unknown; "
        f"{cost.seconds:.2f} s of language model for {cost.tokens} tokens, {cost.read} of them read"
    )
    return "; ".join(parts)
