"""The ``gatedrnn`` command: its table of subcommands, and what becomes of their errors."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from gatedrnn import __version__
from gatedrnn.lazy import MissingExtraError
from gatedrnn.tasks.command_line import Command
from gatedrnn.tasks.registry import TASKS

#: Modules of the subcommands that belong to no task; each has a ``COMMAND``.
#: The tasks bring their own: ``COMMANDS`` in ``gatedrnn/tasks/<task>/cli.py``.
MODULES = ("listing", "doctor", "bench", "export", "score", "compare")

#: Exit status after an error of the user's, and after one of ours.
USER_ERROR, BUG = 2, 70


def commands() -> dict[str, Command]:
    """Name -> subcommand, in the order of ``--help``; imports neither torch nor SpeechBrain."""
    own = [importlib.import_module(f"gatedrnn.cli.{module}").COMMAND for module in MODULES]
    of_tasks = [command for task in TASKS for command in task.commands()]
    return {command.name: command for command in (*own, *of_tasks)}


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="gatedrnn",
        description="Gated recurrent networks for SpeechBrain.",
        epilog="gatedrnn COMMAND --help explains a command's options, with examples.",
    )
    parser.add_argument("--version", action="version", version=f"gatedrnn {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in commands().values():
        command.add_to(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    ValueError, OSError and MissingExtraError are errors of the user's input: one line on standard
    error. Any other exception is a bug in this package and is shown with its traceback.

    Arguments
    ---------
    argv : sequence of str or None
        Arguments; ``None`` for those of the process.

    Returns
    -------
    int
        Exit status: 0; 1 if a part of the input could not be processed; 2 after wrong input;
        70 after a bug; 130 after Ctrl-C.

    Example
    -------
    >>> main(["list", "ran", "--format", "json", "--hidden-size", "0"])
    2
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    end = len(argv)
    if "--" in argv:
        command = commands().get(argv[0])
        if command is not None and command.takes_rest:
            end = argv.index("--")
    arguments = build_parser().parse_args(argv[:end])
    arguments.rest = argv[end + 1 :]
    try:
        status = arguments.run(arguments)
        # Flushed here, so that a closed pipe is noticed before the interpreter exits.
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader, such as head, has closed the pipe; Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(f"gatedrnn {arguments.command}: interrupted", file=sys.stderr)
        return 130
    except (ValueError, OSError, MissingExtraError) as error:
        if arguments.debug:
            traceback.print_exc()
        print(f"gatedrnn {arguments.command}: error: {error}", file=sys.stderr)
        return USER_ERROR
    except Exception as error:
        traceback.print_exc()
        print(
            f"gatedrnn {arguments.command}: this is a bug in gatedrnn ({type(error).__name__}); "
            "please report it with the traceback above",
            file=sys.stderr,
        )
        return BUG


if __name__ == "__main__":
    sys.exit(main())
