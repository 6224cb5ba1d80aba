"""The language model beside a recogniser, on the command line."""

from __future__ import annotations

import argparse
from typing import Any

#: Those of gatedrnn.tasks.asr.lm_integration, which would have to be imported to show a help text.
MODES = ("fusion", "rescoring")
_OPTIONS = ("lm_weight", "lm_insertion", "lm_setting", "lm_mode")


def add_arguments(parser: argparse.ArgumentParser, purpose: str) -> None:
    """Adds the arguments of a language model.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        The parser.
    purpose : str
        What it is for, and what it may be, up to the output folder of a training.
    """
    parser.add_argument(
        "--lm", metavar="FOLDER", help=f"{purpose}output folder of a training by recipes/LM"
    )
    parser.add_argument(
        "--lm-weight", type=float, metavar="W", help="how much its log-probabilities count"
    )
    parser.add_argument(
        "--lm-insertion",
        type=float,
        metavar="I",
        help="what each word adds to the score; default 0",
    )
    parser.add_argument(
        "--lm-setting", metavar="FILE",
        help="take both from what gatedrnn rescore --output has written: setting.json, or its "
        "folder",
    )  # fmt: skip
    parser.add_argument(
        "--lm-mode", choices=MODES,
        help="fusion: in the search, for head ctc; rescoring: on what the search has found; "
        "default fusion for head ctc, rescoring for others",
    )  # fmt: skip


def setting(arguments: argparse.Namespace, before: Any = None) -> Any:
    """How much the language model counts.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of :func:`add_arguments`.
    before : Setting or None
        That of a language model that is there already: options that are not given leave it.

    Returns
    -------
    Setting or None
        None if there is no language model.

    Raises
    ------
    ValueError
        If there is no language model for the options, or no weight for it.
    """
    from dataclasses import replace

    from gatedrnn.tasks.language_modeling.lm_weights import read_setting
    from gatedrnn.tasks.language_modeling.rescoring import Setting

    given = [name for name in _OPTIONS if getattr(arguments, name) is not None]
    if arguments.lm is None and before is None:
        if given:
            raise ValueError(
                f"--{given[0].replace('_', '-')} is for a language model: name it by --lm"
            )
        return None
    if arguments.lm_setting is not None:
        if arguments.lm_weight is not None or arguments.lm_insertion is not None:
            raise ValueError("--lm-setting gives weight and insertion: leave out the other options")
        return read_setting(arguments.lm_setting)
    if arguments.lm is not None:
        if arguments.lm_weight is None:
            raise ValueError(
                "--lm needs --lm-weight (and --lm-insertion), or --lm-setting: gatedrnn rescore "
                "finds good ones on development data"
            )
        before = Setting()
    changes = {"weight": arguments.lm_weight, "insertion": arguments.lm_insertion}
    return replace(before, **{name: value for name, value in changes.items() if value is not None})
