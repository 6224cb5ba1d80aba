"""``gatedrnn perplexity``: how well a language model predicts texts."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from gatedrnn.tasks import common_options as modelling

NAME = "perplexity"
HELP = "perplexity of texts by a language model, and the log-probability of every word"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn perplexity``."""
    modelling.add_model(parser)
    parser.add_argument(
        "text", nargs="+", type=Path, metavar="FILE", help="text, a sentence per line; or .gz"
    )
    parser.add_argument(
        "--word-scores", type=Path, metavar="OUT",
        help="write the log-probability of every word of one FILE there",
    )  # fmt: skip
    reading = parser.add_mutually_exclusive_group()
    reading.add_argument(
        "--carried", action="store_true", default=None,
        help="carry the state on from line to line; default: as in training",
    )  # fmt: skip
    reading.add_argument(
        "--lines", action="store_false", dest="carried", help="read each line by itself"
    )
    parser.add_argument(
        "--dynamic-lr", type=float, default=0.0, metavar="X",
        help="dynamic evaluation: learn with this step size from what has been predicted; default "
        "0, not at all",
    )  # fmt: skip
    parser.add_argument(
        "--dynamic-decay", type=float, default=0.0, metavar="X",
        help="part of the way back to the trained weights after each step; default 0",
    )  # fmt: skip
    parser.add_argument(
        "--dynamic-window", type=int, default=20, metavar="N",
        help="tokens between two steps; default 20",
    )  # fmt: skip
    parser.add_argument("--format", choices=("text", "json"), default="text")


def run(arguments: argparse.Namespace) -> int:
    """Reads the texts.

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
    from gatedrnn.data.report import Report
    from gatedrnn.data.text import Text, read_text
    from gatedrnn.tasks.language_modeling.dynamic_evaluation import Adapted, Dynamic
    from gatedrnn.tasks.language_modeling.perplexity import Reading, log_probabilities, score
    from gatedrnn.tasks.language_modeling.word_scores import write_word_scores

    if arguments.word_scores and len(arguments.text) > 1:
        raise ValueError("--word-scores is of one FILE, not of several")
    found = modelling.load(arguments)
    spec = found.config.model
    carried = spec.carry_state if arguments.carried is None else arguments.carried
    results = {}
    for path in arguments.text:
        report = Report("text")
        text = read_text(path, path.name, report)
        if not spec.line_ends:
            text = Text(text.name, [" ".join(text.lines)], ends=False)
        encoded = found.tokens.encode_text(text)
        learner = None
        if arguments.dynamic_lr:
            options = Dynamic(
                arguments.dynamic_lr, arguments.dynamic_decay, arguments.dynamic_window
            )
            learner = Adapted(found.model.requires_grad_(True), options)
        values = log_probabilities(found.model, encoded, Reading(carried), learner)
        figures = results[str(path)] = score(encoded, values).figures()
        report.log()
        if arguments.word_scores:
            write_word_scores(arguments.word_scores, encoded, found.tokens, values)
        if arguments.format == "text":
            print(
                f"{path}: perplexity {figures['perplexity']:.2f} per word, "
                f"{figures['open perplexity']:.2f} with unknown words spelled out, "
                f"{figures['bits per character']:.3f} bits per character, {figures['tokens']} "
                f"tokens predicted, {figures['words']} words, {figures['unknown']} unknown"
            )
    if arguments.format == "json":
        print(json.dumps(results, indent=2, ensure_ascii=False))
    return 0
