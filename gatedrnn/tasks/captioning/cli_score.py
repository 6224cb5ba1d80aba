"""``gatedrnn score-captions``: the measures of captioning, and what could not be computed."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from gatedrnn.data.files import write_atomically
from gatedrnn.scoring.report import render
from gatedrnn.tasks.captioning.metrics import report
from gatedrnn.tasks.captioning.metrics.files import FORMATS, read
from gatedrnn.tasks.captioning.metrics.measures import (
    EXTRA,
    JAVA,
    MISSING,
    TOKENIZERS,
    Options,
    score,
)

NAME = "score-captions"
HELP = "score captions: BLEU, ROUGE-L, CIDEr-D, and with Java METEOR, SPICE, SPIDEr"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn score-captions``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "formats, which are found out:\n" + "\n".join(
        f"  {name:<6} {what}" for name, what in FORMATS.items()
    )
    usual = Options()
    parser.add_argument("reference", type=Path, metavar="REF", help="what people wrote")
    parser.add_argument(
        "hypothesis", type=Path, nargs="+", metavar="HYP", help="a caption per item; or several"
    )
    parser.add_argument("--format", choices=("text", "json", "markdown"), default="text")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the report there too")
    parser.add_argument(
        "--tokenizer", choices=TOKENIZERS, default=usual.tokenizer,
        help="like pycocoevalcap's, without Java (default), or none for texts that are tokenised",
    )  # fmt: skip
    parser.add_argument(
        "--weigh-by", type=Path, metavar="FILE",
        help="references by which CIDEr weighs n-grams, such as those of the whole validation set "
        "(default REF)",
    )  # fmt: skip
    parser.add_argument(
        "--missing", choices=MISSING, default=usual.missing,
        help="items without caption: stop (default), score an empty one, or leave them out",
    )  # fmt: skip
    parser.add_argument(
        "--extra", choices=EXTRA, default=usual.extra,
        help="captions without references: stop (default), or leave them out",
    )  # fmt: skip
    parser.add_argument(
        "--java", choices=JAVA, default=usual.java,
        help="METEOR and SPICE: where they can be computed (default), never, or stop where not",
    )  # fmt: skip
    parser.add_argument(
        "--resamples", type=int, default=usual.resamples, help=f"default {usual.resamples}"
    )
    parser.add_argument("--seed", type=int, default=usual.seed, help="of the resamples, default 0")


def run(arguments: argparse.Namespace) -> int:
    """Runs ``gatedrnn score-captions``."""
    options = Options(
        arguments.tokenizer,
        arguments.missing,
        arguments.extra,
        arguments.java,
        arguments.resamples,
        arguments.seed,
    )
    reference = read(arguments.reference, references=True)
    weighing = read(arguments.weigh_by, references=True) if arguments.weigh_by else None
    systems = [read(path, references=False) for path in arguments.hypothesis]
    scores = [score(reference, system, options, weighing) for system in systems]
    if arguments.format == "json":
        data = {"systems": [report.plain(found) for found in scores]}
        text = json.dumps(data, indent=2, ensure_ascii=False)
    else:
        text = render(report.of_scores(scores), arguments.format == "markdown")
    print(text)
    if arguments.output:
        write_atomically(arguments.output, text + "\n")
    return 0
