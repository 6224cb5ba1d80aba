"""``gatedrnn translate``: sentences into another language, by a bundle."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gatedrnn.data.files import write_atomically
from gatedrnn.tasks import common_options as modelling

STANDARD_INPUT = Path("-")
NAME = "translate"
HELP = "translate sentences by a bundle, and score the translations"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn translate``."""
    modelling.add_model(
        parser, "TRANSLATOR", "translator: a bundle, or the output folder of a training by "
        "recipes/MT",
    )  # fmt: skip
    parser.add_argument(
        "text", nargs="+", type=Path, metavar="FILE",
        help="text, a sentence per line; or .gz; - for what is typed or piped in",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=("txt", "jsonl"), default="txt",
        help="a line per sentence, or a JSON object with source, translation and score; default "
        "txt",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="FILE", help="write there, do not print")
    parser.add_argument(
        "--beam", type=int, metavar="N",
        help="1 for the greedy search; default: that of the training's test, or --nbest if that "
        "is more",
    )  # fmt: skip
    parser.add_argument(
        "--nbest", type=int, default=1, metavar="N",
        help="translations of each sentence, each after its line's number and its score; default 1",
    )  # fmt: skip
    parser.add_argument(
        "--length-penalty", type=float, metavar="X",
        help="scores are divided by the length to this power; default: that of the training's test",
    )  # fmt: skip
    parser.add_argument(
        "--references", nargs="+", type=Path, metavar="FILE",
        help="right translations, line by line (an empty line: no further one); says BLEU and "
        "chrF, for which the extra mt is needed",
    )  # fmt: skip
    parser.add_argument(
        "--bleu-tokenize", metavar="NAME",
        help="of sacreBLEU: 13a, intl, zh, char, none; default: that of the training",
    )  # fmt: skip
    parser.add_argument(
        "--batch", type=int, default=32, metavar="N",
        help="sentences at a time; default 32; 1: what is piped in is translated line by line as "
        "it comes",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Translates sentences.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of the command line.

    Returns
    -------
    int
        0.
    """
    # Imported here, so that other subcommands do not wait for what training needs.
    from gatedrnn.tasks.translation.apply import translate
    from gatedrnn.tasks.translation.export import load_translator
    from gatedrnn.tasks.translation.metrics import TOKENIZERS, make_measures

    for option in ("nbest", "batch"):
        if getattr(arguments, option) < 1:
            raise ValueError(f"--{option} must be at least 1, not {getattr(arguments, option)}")
    if arguments.bleu_tokenize not in (None, *TOKENIZERS):
        known = ", ".join(TOKENIZERS)
        raise ValueError(f"--bleu-tokenize must be one of {known}, not {arguments.bleu_tokenize!r}")
    bundle = modelling.load(arguments, load_translator)
    languages = bundle.config.languages
    tokenize = arguments.bleu_tokenize or languages.bleu_tokenize
    options = _search(arguments, bundle.config.search)
    references = None
    if arguments.references:
        try:
            make_measures(tokenize)
        except ImportError as error:
            raise ValueError(str(error)) from error
        references = _references(arguments.references)
    live = arguments.text == [STANDARD_INPUT] and (arguments.batch == 1 or sys.stdin.isatty())
    sentences = _as_they_come() if live and references is None else _lines(arguments.text)
    if references is not None:
        _check(sentences, references)
    size, ahead = (1, 1) if live else (arguments.batch, 16)
    said, made, strange = [], [], []
    for number, one in enumerate(translate(bundle, sentences, options, size, ahead), 1):
        said.append(_row(number, one, arguments))
        made.append(one.texts[0])
        if one.unknown:
            strange.append((number, one.unknown))
        if arguments.output is None:
            print(said[-1], end="", flush=True)
    if arguments.output is not None:
        write_atomically(arguments.output, "".join(said))
    if strange:
        number, unknown = strange[0]
        print(
            f"gatedrnn translate: {len(strange)} of {len(made)} sentences have what training has "
            f"not, the first of them line {number}: {' '.join(unknown[:5])}",
            file=sys.stderr,
        )
    if references is not None:
        _score(made, references, languages, tokenize)
    return 0


def _search(arguments: argparse.Namespace, usual: Any) -> Any:
    """The search of the training's test, with what the command line changes."""
    from dataclasses import replace

    changes: dict[str, Any] = {}
    if arguments.length_penalty is not None:
        changes["length_penalty"] = arguments.length_penalty
    beam = arguments.beam
    if beam is None:
        # Groups share the beams evenly.
        beam = max(usual.beam_size, arguments.nbest)
        beam += -beam % usual.groups
    elif beam == 1:
        changes["groups"] = 1
    if arguments.nbest > beam:
        raise ValueError(f"--nbest {arguments.nbest} needs a --beam of as many at least")
    if beam > 1 and beam % usual.groups:
        raise ValueError(
            f"--beam must be 1, or a multiple of the {usual.groups} groups of this translator's "
            f"search, not {beam}"
        )
    return replace(usual, beam_size=beam, **changes)


def _lines(paths: list[Path]) -> list[str]:
    from gatedrnn.data.report import Report
    from gatedrnn.data.text import read_lines, split_lines

    report = Report("text")
    found = []
    for path in paths:
        # Empty lines stay, so that each line of the output has the number of its sentence.
        if path == STANDARD_INPUT:
            raw, name = sys.stdin.buffer.read(), Path("standard input")
            found += split_lines(raw, name, report, keep_empty=True)
        else:
            found += read_lines(path, report, keep_empty=True)
    report.log()
    return found


def _as_they_come() -> Iterator[str]:
    for line in sys.stdin.buffer:
        yield line.decode("utf-8-sig", errors="replace")


def _references(paths: list[Path]) -> list[list[str]]:
    """For each sentence all that is right."""
    streams = [_lines([path]) for path in paths]
    if len(set(map(len, streams))) > 1:
        counts = ", ".join(f"{p} {len(s)}" for p, s in zip(paths, streams, strict=True))
        raise ValueError(f"--references must have as many lines each: {counts}")
    return [[text for text in right if text] for right in zip(*streams, strict=True)]


def _check(sentences: list[str], references: list[list[str]]) -> None:
    if len(sentences) != len(references):
        raise ValueError(
            f"--references: {len(references)} lines cannot be the translations of "
            f"{len(sentences)} sentences"
        )
    for number, (sentence, found) in enumerate(zip(sentences, references, strict=True), 1):
        if sentence and not found:
            raise ValueError(f"--references: line {number} is empty in each of them")
    if not any(references):
        raise ValueError("--references: there is no sentence to be scored")


def _row(number: int, one: Any, arguments: argparse.Namespace) -> str:
    pairs = list(zip(one.texts, one.scores, strict=True))[: arguments.nbest]
    if arguments.format == "jsonl":
        source = " ".join(one.source.split())
        row = {"source": source, "translation": pairs[0][0], "score": pairs[0][1]}
        if arguments.nbest > 1:
            row["translations"] = [{"text": text, "score": score} for text, score in pairs]
        return json.dumps(row, ensure_ascii=False) + "\n"
    if arguments.nbest == 1:
        return pairs[0][0] + "\n"
    return "".join(f"{number}\t{score:.4f}\t{text}\n" for text, score in pairs)


def _score(made: list[str], references: list[list[str]], languages: Any, tokenize: str) -> None:
    from gatedrnn.tasks.translation.metrics import score_translations

    # A line that is empty on all sides only keeps the numbers of the others.
    hypotheses = [text for text, found in zip(made, references, strict=True) if found]
    right = [[languages.prepared(one) for one in found] for found in references if found]
    score = score_translations(hypotheses, right, tokenize)
    print(
        f"BLEU {score.figures['BLEU']:.2f} ({score.signatures['BLEU']}), "
        f"chrF {score.figures['chrF']:.2f}, {score.figures['sentences']} sentences",
        file=sys.stderr,
    )
