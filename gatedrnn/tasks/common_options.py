"""What the subcommands with a language model, a captioner or a translator have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

_LM = "language model: a bundle, or the output folder of a training by recipes/LM"


def add_model(parser: argparse.ArgumentParser, name: str = "LM", help: str = _LM) -> None:
    """Adds the model and where it runs."""
    parser.add_argument("model", metavar=name, help=help)
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, ...")
    parser.add_argument("--threads", type=int, metavar="N", help="of the CPU; default: all cores")


def load(arguments: argparse.Namespace, read: Callable[[str], Any] | None = None) -> Any:
    """Loads the model.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of :func:`add_model`.
    read : callable or None
        Reads it; None for a language model.

    Returns
    -------
    gatedrnn.tasks.language_modeling.bundle.LanguageModel
        On its device; or what ``read`` reads, whose ``model`` is.
    """
    # Imported here, so that other subcommands do not wait for what training needs.
    import torch

    from gatedrnn.tasks.language_modeling.export import load_language_model

    if arguments.threads is not None:
        if arguments.threads < 1:
            raise ValueError(f"--threads must be at least 1, not {arguments.threads}")
        torch.set_num_threads(arguments.threads)
    found = (read or load_language_model)(arguments.model)
    try:
        found.model.to(arguments.device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"--device {arguments.device} cannot be used here: {reason}") from error
    return found
