"""``gatedrnn translate``: sentences into another language."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gatedrnn.data.files import write_atomically
from gatedrnn.tasks.command_line import (
    Command,
    add_model,
    add_option,
    add_value,
    check_positive,
    load_model,
)

STANDARD_INPUT = Path("-")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn translate``."""
    add_model(parser, "TRANSLATOR", "translation model", "recipes/MT")
    text = "text, one sentence per line; or .gz; - for standard input"
    parser.add_argument("text", nargs="+", type=Path, metavar="FILE", help=text)
    text = "txt: a line per sentence; jsonl: an object with source, translation and score"
    add_option(parser, "format", text, choices=("txt", "jsonl"))
    add_option(parser, "output")
    add_option(parser, "beam-size", "or --nbest if that is more")
    add_option(parser, "nbest", "each follows its line number and its score")
    text = "scores are divided by the length to this power; default: that of the training's test"
    add_value(parser, "--length-penalty", text, kind=float)
    text = "reference translations, line by line; prints BLEU and chrF, which need the extra mt"
    add_value(parser, "--references", text, kind=Path, nargs="+")
    text = "tokenizer of sacreBLEU: 13a, intl, zh, char, none; default: that of the training"
    parser.add_argument("--bleu-tokenize", metavar="NAME", help=text)
    text = "batch size; 1: each line of standard input is translated as it arrives"
    add_value(parser, "--batch", text, 32)


def run(arguments: argparse.Namespace) -> int:
    """Translate sentences with a trained model, and score the translations.

    examples:
      gatedrnn translate bundle sentences.txt --output translations.txt
      gatedrnn translate bundle test.en --references test.de --beam-size 8
    """
    from gatedrnn.tasks.translation.apply import translate
    from gatedrnn.tasks.translation.bundle import load_translator
    from gatedrnn.tasks.translation.metrics import TOKENIZERS, make_metrics

    check_positive(arguments, "nbest", "batch")
    if arguments.bleu_tokenize not in (None, *TOKENIZERS):
        known = ", ".join(TOKENIZERS)
        raise ValueError(f"--bleu-tokenize must be one of {known}, not {arguments.bleu_tokenize!r}")
    bundle = load_model(arguments, load_translator)
    languages = bundle.config.languages
    tokenize = arguments.bleu_tokenize or languages.bleu_tokenize
    options = _search(arguments, bundle.config.search)
    references = None
    if arguments.references:
        # Fails early if sacreBLEU is not installed.
        make_metrics(tokenize)
        references = _references(arguments.references)
    live = arguments.text == [STANDARD_INPUT] and (arguments.batch == 1 or sys.stdin.isatty())
    sentences = _live_lines() if live and references is None else _lines(arguments.text)
    if references is not None:
        _check(sentences, references)
    size, ahead = (1, 1) if live else (arguments.batch, 16)
    rows, hypotheses, unknown = [], [], []
    for number, result in enumerate(translate(bundle, sentences, options, size, ahead), 1):
        rows.append(_row(number, result, arguments))
        hypotheses.append(result.texts[0])
        if result.unknown:
            unknown.append((number, result.unknown))
        if arguments.output is None:
            print(rows[-1], end="", flush=True)
    if arguments.output is not None:
        write_atomically(arguments.output, "".join(rows))
    if unknown:
        number, tokens = unknown[0]
        print(
            f"gatedrnn translate: {len(unknown)} of {len(hypotheses)} sentences have characters or "
            f"words unknown in training, the first of them line {number}: {' '.join(tokens[:5])}",
            file=sys.stderr,
        )
    if references is not None:
        print(_score(hypotheses, references, languages, tokenize), file=sys.stderr)
    return 0


def _search(arguments: argparse.Namespace, default: Any) -> Any:
    """The search options of the training's test, changed by the command line."""
    from dataclasses import replace

    changes: dict[str, Any] = {}
    if arguments.length_penalty is not None:
        changes["length_penalty"] = arguments.length_penalty
    beam = arguments.beam_size
    if beam is None:
        # Groups share the beams evenly.
        beam = max(default.beam_size, arguments.nbest)
        beam += -beam % default.groups
    elif beam == 1:
        changes["groups"] = 1
    if arguments.nbest > beam:
        raise ValueError(f"--nbest {arguments.nbest} needs a --beam-size of at least as many")
    if beam > 1 and beam % default.groups:
        raise ValueError(
            f"--beam-size must be 1, or a multiple of the {default.groups} groups of this "
            f"translator's search, not {beam}"
        )
    return replace(default, beam_size=beam, **changes)


def _lines(paths: list[Path]) -> list[str]:
    from gatedrnn.data.report import Report
    from gatedrnn.data.tables import read_lines, split_lines

    report = Report("text")
    lines = []
    for path in paths:
        # Empty lines stay, so that each line of the output has the number of its sentence.
        if path == STANDARD_INPUT:
            raw, name = sys.stdin.buffer.read(), Path("standard input")
            lines += split_lines(raw, name, report, keep_empty=True)
        else:
            lines += read_lines(path, report, keep_empty=True)
    report.log()
    return lines


def _live_lines() -> Iterator[str]:
    for line in sys.stdin.buffer:
        yield line.decode("utf-8-sig", errors="replace")


def _references(paths: list[Path]) -> list[list[str]]:
    """The references of each sentence."""
    streams = [_lines([path]) for path in paths]
    if len(set(map(len, streams))) > 1:
        counts = ", ".join(f"{p} {len(s)}" for p, s in zip(paths, streams, strict=True))
        raise ValueError(f"--references must have as many lines each: {counts}")
    return [[text for text in texts if text] for texts in zip(*streams, strict=True)]


def _check(sentences: list[str], references: list[list[str]]) -> None:
    if len(sentences) != len(references):
        raise ValueError(
            f"--references: {len(references)} lines cannot be the translations of "
            f"{len(sentences)} sentences"
        )
    for number, (sentence, texts) in enumerate(zip(sentences, references, strict=True), 1):
        if sentence and not texts:
            raise ValueError(f"--references: line {number} is empty in each of them")
    if not any(references):
        raise ValueError("--references: there is no sentence to be scored")


def _row(number: int, result: Any, arguments: argparse.Namespace) -> str:
    pairs = list(zip(result.texts, result.scores, strict=True))[: arguments.nbest]
    if arguments.format == "jsonl":
        source = " ".join(result.source.split())
        row = {"source": source, "translation": pairs[0][0], "score": pairs[0][1]}
        if arguments.nbest > 1:
            row["translations"] = [{"text": text, "score": score} for text, score in pairs]
        return json.dumps(row, ensure_ascii=False) + "\n"
    if arguments.nbest == 1:
        return pairs[0][0] + "\n"
    return "".join(f"{number}\t{score:.4f}\t{text}\n" for text, score in pairs)


def _score(
    hypotheses: list[str], references: list[list[str]], languages: Any, tokenize: str
) -> str:
    from gatedrnn.tasks.translation.metrics import score_translations

    # Lines that are empty on all sides only keep the line numbers of the others.
    scored = [text for text, texts in zip(hypotheses, references, strict=True) if texts]
    prepared = [[languages.prepared(text) for text in texts] for texts in references if texts]
    score = score_translations(scored, prepared, tokenize)
    return (
        f"BLEU {score.metrics['BLEU']:.2f} ({score.signatures['BLEU']}), "
        f"chrF {score.metrics['chrF']:.2f}, {score.metrics['sentences']} sentences"
    )


COMMANDS = (Command("translate", add_arguments, run),)
