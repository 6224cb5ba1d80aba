"""``gatedrnn translate``: sentences into another language, by a bundle."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gatedrnn.cli import modelling
from gatedrnn.dataio.files import write_atomically

NAME = "translate"
HELP = "translate sentences by a bundle, and score the translations"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn translate``."""
    modelling.add_model(
        parser, "TRANSLATOR", "translator: a bundle, or the output folder of a training by "
        "recipes/MT",
    )  # fmt: skip
    parser.add_argument(
        "text", nargs="*", type=Path, metavar="FILE",
        help="text, a sentence per line; or .gz; default: what is typed or piped in",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=("txt", "jsonl"), default="txt",
        help="a line per sentence, or a JSON object with source, translation and score; default "
        "txt",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="FILE", help="write there, do not print")
    parser.add_argument(
        "--beam", type=int, metavar="N",
        help="1 for the greedy search; default: that of the training's test",
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
        "--bleu-tokenize", default="13a", metavar="NAME",
        help="of sacreBLEU: 13a (default), intl, zh, char, none",
    )  # fmt: skip
    parser.add_argument(
        "--batch", type=int, default=32, metavar="N", help="sentences at a time; default 32"
    )


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
    from gatedrnn.inference.translation import translate
    from gatedrnn.inference.translator_export import load_translator
    from gatedrnn.scoring.translations import make_measures

    if arguments.nbest < 1:
        raise ValueError(f"--nbest must be at least 1, not {arguments.nbest}")
    if arguments.references:
        try:
            make_measures(arguments.bleu_tokenize)
        except ImportError as error:
            raise ValueError(str(error)) from error
    bundle = modelling.load(arguments, load_translator)
    options = _search(arguments, bundle.config.search)
    references = _references(arguments.references or [], bundle.config.languages)
    typed = not arguments.text and sys.stdin.isatty()
    sentences = _lines(arguments.text) if arguments.text else _standard_input()
    if references is not None:
        sentences = list(sentences)
        if len(sentences) != len(references):
            raise ValueError(
                f"--references: {len(references)} lines cannot be the translations of "
                f"{len(sentences)} sentences"
            )
    size, ahead = (1, 1) if typed else (arguments.batch, 16)
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
        _score(made, references, arguments.bleu_tokenize)
    return 0


def _search(arguments: argparse.Namespace, usual: Any) -> Any:
    """The search of the training's test, with what the command line changes."""
    from dataclasses import replace

    beam = max(usual.beam_size, arguments.nbest) if arguments.beam is None else arguments.beam
    if arguments.nbest > beam:
        raise ValueError(f"--nbest {arguments.nbest} needs a --beam of as many at least")
    penalty = arguments.length_penalty
    penalty = usual.length_penalty if penalty is None else penalty
    # Groups share the beams evenly.
    groups = usual.groups if beam % usual.groups == 0 else 1
    return replace(usual, beam_size=beam, groups=groups, length_penalty=penalty)


def _lines(paths: list[Path]) -> list[str]:
    from gatedrnn.dataio.report import Report
    from gatedrnn.dataio.text.lines import read_lines

    report = Report("text")
    # Empty lines stay, so that each line of the output has the number of its sentence.
    found = [line for path in paths for line in read_lines(path, report, keep_empty=True)]
    report.log()
    return found


def _standard_input() -> Iterator[str]:
    for line in sys.stdin.buffer:
        yield line.decode("utf-8", errors="replace")


def _references(paths: list[Path], languages: Any) -> list[list[str]] | None:
    """For each sentence all that is right."""
    if not paths:
        return None
    streams = [_lines([path]) for path in paths]
    if len(set(map(len, streams))) > 1:
        counts = ", ".join(f"{p} {len(s)}" for p, s in zip(paths, streams, strict=True))
        raise ValueError(f"--references must have as many lines each: {counts}")
    found = [
        [languages.prepared(text) for text in right if text] for right in zip(*streams, strict=True)
    ]
    for number, right in enumerate(found, 1):
        if not right:
            raise ValueError(f"--references: line {number} is empty in each of them")
    return found


def _row(number: int, one: Any, arguments: argparse.Namespace) -> str:
    pairs = list(zip(one.texts, one.scores, strict=True))[: arguments.nbest]
    if arguments.format == "jsonl":
        row = {
            "source": one.source.rstrip("\r\n"),
            "translation": pairs[0][0],
            "score": pairs[0][1],
        }
        if arguments.nbest > 1:
            row["translations"] = [{"text": text, "score": score} for text, score in pairs]
        return json.dumps(row, ensure_ascii=False) + "\n"
    if arguments.nbest == 1:
        return pairs[0][0] + "\n"
    return "".join(f"{number}\t{score:.4f}\t{text}\n" for text, score in pairs)


def _score(made: list[str], references: list[list[str]], tokenize: str) -> None:
    from gatedrnn.scoring.translations import score_translations

    found = score_translations(made, references, tokenize)
    figures = found.figures
    print(
        f"BLEU {figures['BLEU']:.2f} ({found.signatures['BLEU']}), chrF {figures['chrF']:.2f}, "
        f"{figures['sentences']} sentences",
        file=sys.stderr,
    )
