"""``gatedrnn rescore``: a language model has its say on lists of readings."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from gatedrnn.tasks import common_options as modelling

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
        help="write the lists in their new order there, as JSON lines that gatedrnn score reads, "
        "and setting.json with what was chosen, for --lm-setting of gatedrnn export and transcribe",
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
        "--internal", type=float, nargs="+", metavar="X",
        help="of the recogniser's internal language model, to be subtracted, to try; for lists of "
        "a test with --internal_lm=True; default 0 to 0.6 if all have it",
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
    from gatedrnn.tasks.language_modeling import rescoring_sets as rescored
    from gatedrnn.tasks.language_modeling.lm_weights import SETTING, write_setting
    from gatedrnn.tasks.language_modeling.nbest import read_nbest

    paths = [arguments.dev, *arguments.tests]
    files = _output_files(paths, arguments.output)
    # All are read before the work begins: a bad file is found at once.
    lists = [read_nbest(path, arguments.acoustic_scale) for path in paths]
    found = modelling.load(arguments)
    rescored.check_line_ends(found, arguments.model)
    tried = {
        "weights": arguments.weights,
        "insertions": arguments.insertions,
        "internals": arguments.internal,
    }
    grid = rescored.Grid(**{name: values for name, values in tried.items() if values})
    result = rescored.rescore_sets(lists, found, grid)
    print(result.choice(arguments.dev))
    for path, one in zip(paths, result.sets, strict=True):
        print(f"{path}: {rescored.describe(one, result.setting)}")
    for path, one in zip(files, result.sets, strict=False):
        rescored.write_lists(path, one, result.setting)
    if arguments.output is not None:
        write_setting(arguments.output / SETTING, result.setting)
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
