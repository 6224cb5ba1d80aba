"""``gatedrnn generate``: text that a language model makes up."""

from __future__ import annotations

import argparse

from gatedrnn.tasks import common_options as modelling

NAME = "generate"
HELP = "have a language model make up text, or go on with yours"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn generate``."""
    modelling.add_model(parser)
    parser.add_argument("--prompt", default="", metavar="TEXT", help="what the text begins with")
    parser.add_argument(
        "--tokens", type=int, default=50, metavar="N", help="most tokens of a text; default 50"
    )
    parser.add_argument(
        "--lines", type=int, default=1, metavar="N",
        help="lines after which a text ends, 0 for as many as its length allows; default 1",
    )  # fmt: skip
    parser.add_argument("--count", type=int, default=1, metavar="N", help="of texts; default 1")
    parser.add_argument(
        "--temperature", type=float, default=1.0, metavar="X",
        help="below 1 the probable becomes more probable; 0: always the most probable; default 1",
    )  # fmt: skip
    parser.add_argument(
        "--top-k", type=int, default=0, metavar="N",
        help="choose among so many most probable tokens; default 0, all",
    )  # fmt: skip
    parser.add_argument(
        "--top-p", type=float, default=1.0, metavar="X",
        help="choose among the most probable tokens that have so much of the probability "
        "together; default 1",
    )  # fmt: skip
    parser.add_argument(
        "--unknown", action="store_true", help="<unk> may be chosen, which stands for other words"
    )
    parser.add_argument("--seed", type=int, default=0, help="decides all choices; default 0")


def run(arguments: argparse.Namespace) -> int:
    """Makes texts up, and prints each.

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
    from gatedrnn.tasks.language_modeling.decode import Generation, generate

    options = Generation(
        arguments.count,
        arguments.tokens,
        arguments.lines,
        arguments.temperature,
        arguments.top_k,
        arguments.top_p,
        arguments.unknown,
        arguments.seed,
    )
    found = modelling.load(arguments)
    for text in generate(found.model, found.tokens, options, arguments.prompt):
        print(text)
    return 0
