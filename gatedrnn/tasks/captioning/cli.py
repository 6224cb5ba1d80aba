"""``gatedrnn caption``: images and recordings to captions, by a bundle."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from gatedrnn.data.files import write_atomically
from gatedrnn.tasks import common_options as modelling

NAME = "caption"
HELP = "describe images, recordings or features by a bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn caption``."""
    modelling.add_model(
        parser, "CAPTIONER", "captioner: a bundle, or the output folder of a training by "
        "recipes/Captioning",
    )  # fmt: skip
    parser.add_argument(
        "inputs", nargs="+", metavar="FILE_OR_FOLDER",
        help="images, recordings or features, as the captioner was trained on; folders of them; "
        "manifests (.csv, .tsv, .jsonl), whose ids are kept",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=("txt", "json"), default="txt",
        help="a line per file, or results as COCO has them, which gatedrnn score-captions reads; "
        "default txt",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="FILE", help="write there, do not print")
    parser.add_argument(
        "--beam", type=int, metavar="N",
        help="1 for the greedy search; default: that of the training's test",
    )  # fmt: skip
    parser.add_argument(
        "--nbest", type=int, default=1, metavar="N", help="captions of each file; default 1"
    )
    parser.add_argument(
        "--diverse", type=int, default=1, metavar="GROUPS",
        help="so many groups of beams, each kept away from the words of the others; default 1",
    )  # fmt: skip
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER",
        help="draw there where the captioner looked for each word; needs the extra plots",
    )  # fmt: skip
    parser.add_argument(
        "--batch", type=int, default=16, metavar="N", help="files at a time; default 16"
    )


def run(arguments: argparse.Namespace) -> int:
    """Describes files.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of the command line.

    Returns
    -------
    int
        0, or 1 if a file could not be described.
    """
    # Imported here, so that other subcommands do not wait for what training needs.
    from gatedrnn.seq2seq.search import SearchOptions
    from gatedrnn.tasks.captioning.apply import Refused, describe, draw_attention, find_sources
    from gatedrnn.tasks.captioning.export import load_captioner

    if arguments.nbest < 1:
        raise ValueError(f"--nbest must be at least 1, not {arguments.nbest}")
    try:
        bundle = modelling.load(arguments, load_captioner)
        beam = arguments.beam
        if beam is None:
            beam = max(bundle.config.beam_size, arguments.nbest, arguments.diverse)
            beam += -beam % arguments.diverse if arguments.diverse > 0 else 0
        if arguments.nbest > beam:
            raise ValueError(f"--nbest {arguments.nbest} needs a --beam of as many at least")
        options = SearchOptions(
            beam_size=beam, groups=arguments.diverse, max_length=bundle.vocabulary.max_length
        )
        sources = find_sources(arguments.inputs, bundle.config.media.kind)
        refused, rows = 0, []
        for one in describe(bundle, sources, options, arguments.batch, arguments.device):
            if isinstance(one, Refused):
                refused += 1
                print(f"gatedrnn caption: {one.reason}", file=sys.stderr)
                continue
            rows.append(_row(one, arguments.nbest))
            if arguments.format == "txt" and arguments.output is None:
                print(_lines(rows[-1]), end="", flush=True)
            if arguments.pictures is not None:
                draw_attention(bundle, one, arguments.pictures)
    except ImportError as error:
        raise ValueError(str(error)) from error
    text = "".join(map(_lines, rows))
    if arguments.format == "json":
        text = json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
    if arguments.output is not None:
        write_atomically(arguments.output, text)
    elif arguments.format == "json":
        print(text, end="")
    return 1 if refused else 0


def _row(one: Any, count: int) -> dict[str, Any]:
    """A result as COCO has it; with several captions all of them."""
    row: dict[str, Any] = {"image_id": one.source.name, "caption": one.captions[0]}
    if count > 1:
        pairs = zip(one.captions[:count], one.hypotheses, strict=False)
        row["captions"] = [{"caption": text, "score": found.score} for text, found in pairs]
    return row


def _lines(row: dict[str, Any]) -> str:
    if "captions" not in row:
        return f"{row['image_id']}\t{row['caption']}\n"
    return "".join(
        f"{row['image_id']}\t{one['score']:.4f}\t{one['caption']}\n" for one in row["captions"]
    )
