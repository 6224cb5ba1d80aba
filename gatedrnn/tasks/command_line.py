"""What the subcommands of ``gatedrnn`` share: their declaration, common options, model loading.

Nothing heavy is imported here or at the top of a module that declares commands: ``gatedrnn --help``
must not wait for torch.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "Command",
    "add_flag",
    "add_model",
    "add_option",
    "add_value",
    "check_positive",
    "load_model",
    "say",
]


@dataclass(frozen=True)
class Command:
    """A subcommand of ``gatedrnn``.

    Arguments
    ---------
    name : str
        As it is typed.
    add_arguments : callable
        Adds the command's own arguments to an ``argparse.ArgumentParser``.
    run : callable
        Takes the parsed arguments (``argparse.Namespace``) and returns the exit status: 0, or 1 if
        a part of the input could not be processed. Wrong input is raised as ValueError, OSError or
        :class:`gatedrnn.lazy.MissingExtraError`. Its docstring is the help: the first line
        for the list of commands, the rest, with examples, for the end of ``--help``.
    takes_rest : bool
        Whether all that follows ``--`` is passed on unparsed, as ``arguments.rest``.

    Example
    -------
    >>> def run(arguments):
    ...     "Print a greeting."
    ...     print("hello")
    ...     return 0
    >>> parser = argparse.ArgumentParser()
    >>> Command("hello", lambda parser: None, run).add_to(parser.add_subparsers())
    >>> arguments = parser.parse_args(["hello", "--quiet"])
    >>> arguments.run(arguments)
    hello
    0
    """

    name: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    takes_rest: bool = False

    def add_to(self, subparsers: Any) -> None:
        """Adds the command to what ``ArgumentParser.add_subparsers`` returned."""
        summary, _, rest = (inspect.getdoc(self.run) or "").partition("\n")
        parser = subparsers.add_parser(
            self.name,
            help=f"{summary[:1].lower()}{summary[1:].rstrip('.')}",
            description=summary,
            epilog=rest.strip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.add_arguments(parser)
        add_option(parser, "quiet")
        add_option(parser, "debug")
        parser.set_defaults(run=self.run)


def add_value(
    parser: Any,
    flag: str,
    help: str,
    default: Any = None,
    kind: Callable[[str], Any] | None = None,
    **more: Any,
) -> None:
    """Adds an option with a value.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        The parser of a command, or a group of it.
    flag : str
        The option with ``--``.
    help : str
        Its description; "; default ..." is appended if there is a default.
    default : Any
        Its value if it is not given.
    kind : callable or None
        Converts the text, such as ``int``; None for the type of the default.
    **more : Any
        Further arguments of ``add_argument``. With ``choices`` and without a default the first one
        is the default.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_value(parser, "--top", "confusions to list", 10)
    >>> parser.parse_args(["--top", "3"]).top
    3
    """
    if default is None and "choices" in more and "action" not in more:
        default = more["choices"][0]
    kind = kind or type(default)
    if "choices" not in more:
        more.setdefault("metavar", {int: "N", float: "X", Path: "FILE"}.get(kind))
    if default is not None:
        help = f"{help}; default {default:g}" if kind is float else f"{help}; default {default}"
    parser.add_argument(flag, type=kind, default=default, help=help, **more)


def add_flag(parser: Any, flag: str, help: str) -> None:
    """Adds an option without a value."""
    parser.add_argument(flag, action="store_true", help=help)


#: Options that mean the same in every subcommand that has them: arguments of ``add_argument``.
_OPTIONS: dict[str, dict[str, Any]] = {
    "device": {"default": "cpu", "help": "device to compute on: cpu (default), cuda, cuda:1, ..."},
    "threads": {"type": int, "metavar": "N", "help": "CPU threads; default: all cores"},
    "beam-size": {
        "type": int,
        "metavar": "N",
        "help": "hypotheses kept in the beam search, 1 for greedy search; default: that of the "
        "training's test",
    },
    "nbest": {
        "type": int,
        "default": 1,
        "metavar": "N",
        "help": "hypotheses to output for each input, best first; default 1",
    },
    "format": {"help": "output format"},
    "output": {"type": Path, "metavar": "FILE", "help": "write the output to this file"},
    "quiet": {"action": "store_true", "help": "print no progress and no summaries"},
    "debug": {"action": "store_true", "help": "print a traceback with every error"},
}
#: Former spellings, which are accepted but not listed in ``--help``.
_FORMER_SPELLINGS = {"beam-size": "--beam", "nbest": "--n-best"}


def add_option(parser: argparse.ArgumentParser, name: str, note: str = "", **changes: Any) -> None:
    """Adds a shared option.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        The parser of a command.
    name : str
        The option without ``--``: device, threads, beam-size, nbest, format, output, quiet, debug.
    note : str
        What this command adds to the shared help.
    **changes : Any
        Arguments of ``add_argument`` that differ in this command. With ``choices`` the first one
        is the default, unless ``action`` is given.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_option(parser, "nbest")
    >>> parser.parse_args(["--n-best", "3"]).nbest
    3
    """
    settings = _OPTIONS[name] | changes
    if "choices" in changes and "action" not in changes:
        settings["default"] = changes["choices"][0]
        note = f"{note}; default {settings['default']}".removeprefix("; ")
    settings["help"] = "; ".join(filter(None, (settings["help"], note)))
    if name in _FORMER_SPELLINGS:
        parser.add_argument(
            _FORMER_SPELLINGS[name],
            dest=name.replace("-", "_"),
            type=settings["type"],
            default=argparse.SUPPRESS,
            help=argparse.SUPPRESS,
        )
    parser.add_argument(f"--{name}", **settings)


def add_model(parser: argparse.ArgumentParser, name: str, what: str, recipes: str) -> None:
    """Adds a trained model and where it runs.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        The parser of a command.
    name : str
        Of the argument in the usage line, such as "LM".
    what : str
        Kind of model, such as "language model".
    recipes : str
        Folder of the recipes that train it, such as "recipes/LM".
    """
    text = f"{what}: a bundle, or the output folder of a training by {recipes}"
    parser.add_argument("model", metavar=name, help=text)
    add_option(parser, "device")
    add_option(parser, "threads")


def load_model(arguments: argparse.Namespace, read: Callable[[str], Any]) -> Any:
    """Loads the model that :func:`add_model` declared; ``read`` returns it with ``.model``."""
    set_threads(arguments.threads)
    loaded = read(arguments.model)
    check_device(arguments.device)
    loaded.model.to(arguments.device)
    return loaded


def set_threads(threads: int | None) -> None:
    """Sets torch's CPU threads; ``None`` leaves them."""
    import torch

    if threads is not None:
        if threads < 1:
            raise ValueError(f"--threads must be at least 1, not {threads}")
        torch.set_num_threads(threads)


def check_device(device: str) -> None:
    """Raises ValueError if tensors cannot be allocated on the device."""
    import torch

    try:
        torch.empty(0, device=device)
    # torch raises AssertionError where it was built without CUDA, RuntimeError for other reasons.
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"--device {device} cannot be used here: {reason}") from error


def check_positive(arguments: argparse.Namespace, *names: str) -> None:
    """Raises ValueError if one of the integer options is below 1."""
    for name in names:
        value = getattr(arguments, name)
        if value < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, not {value}")


def say(arguments: argparse.Namespace, text: str) -> None:
    """Prints progress or a summary on standard error, unless ``--quiet`` is given."""
    if not arguments.quiet:
        print(text, file=sys.stderr, flush=True)
