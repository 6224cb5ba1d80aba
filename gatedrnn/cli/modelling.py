"""What the subcommands with a language model have in common."""

from __future__ import annotations

import argparse
from typing import Any


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds the language model and where it runs."""
    parser.add_argument(
        "model", metavar="LM",
        help="language model: a bundle, or the output folder of a training by recipes/LM",
    )  # fmt: skip
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, ...")
    parser.add_argument("--threads", type=int, metavar="N", help="of the CPU; default: all cores")


def load(arguments: argparse.Namespace) -> Any:
    """Loads the language model.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of :func:`add_model`.

    Returns
    -------
    gatedrnn.inference.language_model.LanguageModel
        On its device.
    """
    # Imported here, so that other subcommands do not wait for what training needs.
    import torch

    from gatedrnn.inference.language_export import load_language_model

    if arguments.threads is not None:
        if arguments.threads < 1:
            raise ValueError(f"--threads must be at least 1, not {arguments.threads}")
        torch.set_num_threads(arguments.threads)
    found = load_language_model(arguments.model)
    try:
        found.model.to(arguments.device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"--device {arguments.device} cannot be used here: {reason}") from error
    return found
