"""The ``gatedrnn`` command: one module per subcommand."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from gatedrnn import __version__
from gatedrnn.cli import bench, compare, doctor, export, listing, score
from gatedrnn.tasks.asr import cli as transcribe
from gatedrnn.tasks.captioning import cli as caption
from gatedrnn.tasks.captioning import cli_score as score_captions
from gatedrnn.tasks.language_modeling import cli as perplexity
from gatedrnn.tasks.language_modeling import cli_generate as generate
from gatedrnn.tasks.language_modeling import cli_rescore as rescore
from gatedrnn.tasks.translation import cli as translate

#: Each module has ``NAME``, ``HELP``, ``add_arguments(parser)`` and ``run(arguments) -> int``.
#: One with ``HANDS_ON`` gets what stands after ``--`` as it is, in ``arguments.handed_on``.
COMMANDS = (
    listing,
    doctor,
    bench,
    export,
    transcribe,
    score,
    score_captions,
    rescore,
    perplexity,
    generate,
    compare,
    caption,
    translate,
)


def build_parser() -> argparse.ArgumentParser:
    """The command line of all subcommands.

    Returns
    -------
    argparse.ArgumentParser

    Example
    -------
    >>> build_parser().parse_args(["list", "--num-layers", "10"]).num_layers
    10
    """
    parser = argparse.ArgumentParser(
        prog="gatedrnn", description="Gated recurrent networks for SpeechBrain."
    )
    parser.add_argument("--version", action="version", version=f"gatedrnn {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        sub = commands.add_parser(module.NAME, help=module.HELP, description=module.HELP)
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Arguments
    ---------
    argv : sequence of str or None
        Arguments; ``None`` for the process's own.

    Returns
    -------
    int
        Exit status: 0, or 2 after bad input.

    Example
    -------
    >>> main(["list", "ran", "--format", "json", "--hidden-size", "0"])
    2
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    handing_on = {module.NAME for module in COMMANDS if getattr(module, "HANDS_ON", False)}
    end = argv.index("--") if "--" in argv and argv[0] in handing_on else len(argv)
    arguments = build_parser().parse_args(argv[:end])
    arguments.handed_on = argv[end + 1 :]
    try:
        status = arguments.run(arguments)
        # Here, where a closed pipe is known for what it is, and not at the end of the process.
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Who reads the output, such as head, has seen enough. Python would complain at exit, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, OSError) as error:
        print(f"gatedrnn {arguments.command}: error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
