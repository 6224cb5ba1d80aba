"""``gatedrnn caption`` and ``score-captions``: captions of images and recordings."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from gatedrnn.data.files import write_atomically
from gatedrnn.data.result_table import render
from gatedrnn.tasks.command_line import (
    Command,
    add_model,
    add_option,
    add_value,
    check_positive,
    load_model,
)

# ---- caption ------------------------------------------------------------------------------------


def add_caption_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn caption``."""
    add_model(parser, "CAPTIONER", "captioner", "recipes/Captioning")
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="FILE_OR_FOLDER",
        help="images, recordings or features, as the captioner was trained on; folders of them; "
        "manifests (.csv, .tsv, .jsonl), whose ids are kept",
    )
    text = "txt: a line per file; json: COCO results, which gatedrnn score-captions reads"
    add_option(parser, "format", text, choices=("txt", "json"))
    add_option(parser, "output")
    add_option(parser, "beam-size")
    add_option(parser, "nbest")
    text = "groups of diverse beam search: each avoids the words of the others"
    add_value(parser, "--diverse", text, 1)
    text = "plot the attention weights of each word to this folder; needs the extra plots"
    add_value(parser, "--pictures", text, kind=Path, metavar="FOLDER")
    add_value(parser, "--batch", "batch size", 16)


def run_caption(arguments: argparse.Namespace) -> int:
    """Describe images, recordings or features with a trained captioner.

    examples:
      gatedrnn caption bundle pictures/
      gatedrnn caption bundle a.jpg --nbest 3 --diverse 3 --pictures attention
    """
    from gatedrnn.tasks.captioning.apply import Refused, describe, draw_attention, find_sources
    from gatedrnn.tasks.captioning.bundle import load_captioner

    check_positive(arguments, "nbest")
    bundle = load_model(arguments, load_captioner)
    beam = arguments.beam_size
    if beam is None:
        beam = max(bundle.config.search.beam_size, arguments.nbest, arguments.diverse)
        beam += -beam % arguments.diverse if arguments.diverse > 0 else 0
    if arguments.nbest > beam:
        raise ValueError(f"--nbest {arguments.nbest} needs a --beam-size of at least as many")
    options = replace(bundle.config.search, beam_size=beam, groups=arguments.diverse)
    sources = find_sources(arguments.inputs, bundle.config.media.kind)
    refused, rows = 0, []
    for result in describe(bundle, sources, options, arguments.batch, arguments.device):
        if isinstance(result, Refused):
            refused += 1
            print(f"gatedrnn caption: {result.reason}", file=sys.stderr)
            continue
        rows.append(_row(result, arguments.nbest))
        if arguments.format == "txt" and arguments.output is None:
            print(_lines(rows[-1]), end="", flush=True)
        if arguments.pictures is not None:
            draw_attention(bundle, result, arguments.pictures)
    text = "".join(map(_lines, rows))
    if arguments.format == "json":
        text = json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
    if arguments.output is not None:
        write_atomically(arguments.output, text)
    elif arguments.format == "json":
        print(text, end="")
    return 1 if refused else 0


def _row(result: Any, count: int) -> dict[str, Any]:
    """A COCO result; with ``count`` above 1 also the n-best captions."""
    row: dict[str, Any] = {"image_id": result.source.name, "caption": result.captions[0]}
    if count > 1:
        pairs = zip(result.captions[:count], result.hypotheses, strict=False)
        row["captions"] = [{"caption": text, "score": h.score} for text, h in pairs]
    return row


def _lines(row: dict[str, Any]) -> str:
    if "captions" not in row:
        return f"{row['image_id']}\t{row['caption']}\n"
    return "".join(
        f"{row['image_id']}\t{nbest['score']:.4f}\t{nbest['caption']}\n"
        for nbest in row["captions"]
    )


# ---- score-captions -----------------------------------------------------------------------------


def add_score_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn score-captions``."""
    parser.add_argument("reference", type=Path, metavar="REF", help="reference captions")
    text = "captions of one system or several"
    parser.add_argument("hypothesis", type=Path, nargs="+", metavar="HYP", help=text)
    add_option(parser, "format", choices=("text", "json", "markdown"))
    add_option(parser, "output", "it is printed as well")
    text = "ptb: that of pycocoevalcap, without Java; none: captions are tokenised"
    add_value(parser, "--tokenizer", text, choices=("ptb", "none"))
    text = "references for the document frequencies of CIDEr, such as a validation set; default REF"
    add_value(parser, "--weigh-by", text, kind=Path)
    text = "items without a caption: stop, score an empty caption, or leave out"
    add_value(parser, "--missing", text, choices=("error", "empty", "ignore"))
    text = "captions without references: stop, or leave out"
    add_value(parser, "--extra", text, choices=("error", "ignore"))
    text = "METEOR and SPICE: where they can be computed, never, or stop where not"
    add_value(parser, "--java", text, choices=("auto", "never", "always"))
    add_value(parser, "--resamples", "bootstrap resamples", 1000)
    add_value(parser, "--seed", "seed of the resamples", 0)


def run_score(arguments: argparse.Namespace) -> int:
    """Score captions: BLEU, ROUGE-L, CIDEr-D, and with Java METEOR, SPICE, SPIDEr.

    formats, which are detected:
      COCO: {"annotations": [{"image_id", "caption"}, ...]}, or that list by itself
      JSON lines: {"id", "references": [...]} for references, {"id", "text"} for captions

    examples:
      gatedrnn score-captions references.json captions.json
      gatedrnn score-captions references.json old.json new.json --format markdown
    """
    from gatedrnn.tasks.captioning.metrics import (
        CaptionScoreOptions,
        read_captions,
        report_sections,
        score_captions,
        score_to_dict,
    )

    options = CaptionScoreOptions(
        arguments.tokenizer,
        arguments.missing,
        arguments.extra,
        arguments.java,
        arguments.resamples,
        arguments.seed,
    )
    reference = read_captions(arguments.reference, references=True)
    weighing = read_captions(arguments.weigh_by, references=True) if arguments.weigh_by else None
    systems = [read_captions(path, references=False) for path in arguments.hypothesis]
    scores = [score_captions(reference, system, options, weighing) for system in systems]
    if arguments.format == "json":
        data = {"systems": [score_to_dict(system) for system in scores]}
        text = json.dumps(data, indent=2, ensure_ascii=False)
    else:
        text = render(report_sections(scores), arguments.format == "markdown")
    print(text)
    if arguments.output:
        write_atomically(arguments.output, text + "\n")
    return 0


COMMANDS = (
    Command("caption", add_caption_arguments, run_caption),
    Command("score-captions", add_score_arguments, run_score),
)
