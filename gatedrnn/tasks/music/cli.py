"""``gatedrnn evaluate-music`` and ``gatedrnn continue-music``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from gatedrnn.data.files import write_atomically
from gatedrnn.tasks.command_line import (
    Command,
    add_model,
    add_option,
    add_value,
    check_positive,
    load_model,
    say,
)

_FILE = "corpus (.mat; .json with train, valid and test), or JSON of one piece: a list of frames, "
_FILE += "each a list of MIDI notes"


def _add_model_and_file(parser: argparse.ArgumentParser) -> None:
    add_model(parser, "MODEL", "music model", "recipes/PolyphonicMusic")
    parser.add_argument("file", type=Path, metavar="FILE", help=_FILE)


def add_evaluation_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn evaluate-music``."""
    _add_model_and_file(parser)
    text = "txt: a table; json: an object of the same numbers"
    add_option(parser, "format", text, choices=("txt", "json"))
    add_option(parser, "output")


def run_evaluation(arguments: argparse.Namespace) -> int:
    """Print the negative log-likelihood of pieces of music under a trained model.

    examples:
      gatedrnn evaluate-music bundle jsb-chorales-16th.json
      gatedrnn evaluate-music results/jsb/1 piece.json --format json
    """
    from gatedrnn.data.report import Report
    from gatedrnn.tasks.music.apply import evaluate, read_pieces
    from gatedrnn.tasks.music.bundle import load_music_model

    bundle = load_model(arguments, load_music_model)
    report = Report(str(arguments.file))
    parts = read_pieces(arguments.file, report)
    report.log()
    results = {part: evaluate(bundle, pieces) for part, pieces in parts.items() if pieces}
    if not results:
        raise ValueError(f"{arguments.file}: holds no piece; must hold at least one")
    if arguments.format == "json":
        text = json.dumps(results, indent=1) + "\n"
    else:
        text = "part\tNLL per frame\tframes\tpieces\n" + "".join(
            f"{part}\t{m['NLL']:.4f}\t{m['frames']}\t{m['pieces']}\n" for part, m in results.items()
        )
    if arguments.output is None:
        print(text, end="")
    else:
        write_atomically(arguments.output, text)
    return 0


def add_continuation_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn continue-music``."""
    _add_model_and_file(parser)
    text = "piece of a corpus, such as test-000; default: the first"
    parser.add_argument("--piece", metavar="NAME", help=text)
    add_value(parser, "--start", "frames of the piece to keep; default: all", kind=int)
    add_value(parser, "--frames", "frames to sample", 64)
    add_value(parser, "--temperature", "below 1: more probable frames; 0: no sampling", 1.0)
    add_value(parser, "--seed", "seed of the samples", 0)
    add_option(parser, "output", "JSON: a list of frames, each a list of MIDI notes")


def run_continuation(arguments: argparse.Namespace) -> int:
    """Continue a piece of music, frame by frame, with a trained model.

    examples:
      gatedrnn continue-music bundle JSB_Chorales.mat --piece test-003 --output continued.json
      gatedrnn continue-music bundle piece.json --start 32 --frames 128 --temperature 0.8
    """
    from gatedrnn.data.report import Report
    from gatedrnn.tasks.music.apply import continuation, notes_of, read_pieces
    from gatedrnn.tasks.music.bundle import load_music_model

    check_positive(arguments, "frames")
    bundle = load_model(arguments, load_music_model)
    parts = read_pieces(arguments.file, Report(str(arguments.file)))
    pieces = {name: roll for part in parts.values() for name, roll in part.items()}
    if not pieces:
        raise ValueError(f"{arguments.file}: holds no piece; must hold at least one")
    name = arguments.piece or next(iter(pieces))
    if name not in pieces:
        raise ValueError(
            f"--piece {name}: not in {arguments.file}; its pieces are "
            f"{', '.join(list(pieces)[:5])}{', ...' if len(pieces) > 5 else ''}"
        )
    roll = pieces[name]
    kept = len(roll) if arguments.start is None else arguments.start
    if not 1 <= kept <= len(roll):
        raise ValueError(f"--start must be from 1 to {len(roll)}, the frames of {name}, not {kept}")
    say(arguments, f"{name}: {kept} frames, and {arguments.frames} sampled ones")
    whole = continuation(
        bundle, roll[:kept], arguments.frames, arguments.temperature, arguments.seed
    )
    text = json.dumps(notes_of(whole)) + "\n"
    if arguments.output is None:
        print(text, end="")
    else:
        write_atomically(arguments.output, text)
    return 0


COMMANDS = (
    Command("evaluate-music", add_evaluation_arguments, run_evaluation),
    Command("continue-music", add_continuation_arguments, run_continuation),
)
