"""``gatedrnn score``: error rates of one recogniser or two, with intervals and significance."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from gatedrnn.data.files import write_atomically
from gatedrnn.data.result_table import render
from gatedrnn.tasks.command_line import Command, add_flag, add_option, add_value

if TYPE_CHECKING:
    from gatedrnn.scoring.formats import Transcripts
    from gatedrnn.scoring.measures import Options, Score

#: Value of --speakers: utterance ids begin with the speaker.
PREFIX = "prefix"
#: Names of gatedrnn.scoring.formats.FORMATS, whose import needs NumPy.
FORMATS = ("trn", "stm", "ctm", "kaldi", "tsv", "jsonl", "csv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn score``."""
    parser.add_argument("reference", type=Path, metavar="REF", help="reference transcripts")
    text = "hypotheses of a recogniser; a second file is compared with the first"
    parser.add_argument("hypothesis", type=Path, nargs="+", metavar="HYP", help=text)
    add_option(parser, "format", choices=("text", "json", "markdown"))
    add_option(parser, "output", "it is printed as well")
    parser.add_argument("--ref-format", choices=FORMATS, help="default: detected")
    parser.add_argument("--hyp-format", choices=FORMATS, help="default: detected")
    text = "Kaldi's utt2spk; or the word prefix: ids begin with the speaker and - or _"
    parser.add_argument("--speakers", metavar="FILE", help=text)
    add_value(parser, "--recordings", "Kaldi's segments, or utterance recording", kind=Path)
    text = "without hypothesis: count words as deleted, leave out as sclite does, or stop"
    add_value(parser, "--missing", text, choices=("delete", "ignore", "error"))
    text = "hypotheses without reference: stop as sclite does, or leave out"
    add_value(parser, "--extra", text, choices=("error", "ignore"))
    text = "sclite's counts, or the fewest errors, as training logs and Kaldi count"
    add_value(parser, "--alignment", text, choices=("sclite", "levenshtein"))
    add_flag(parser, "--ignore-case", "as sclite without -s")
    add_flag(parser, "--count-spaces", "in the CER; sclite -c counts none")
    add_value(parser, "--top", "confusions to list", 10)
    add_value(parser, "--resamples", "bootstrap resamples", 10_000)
    add_value(parser, "--seed", "seed of the resamples", 0)
    add_flag(parser, "--cpwer", "score whole meetings by speaker, whatever HYP calls the speakers")
    text = "write what was scored as trn files and, where times are known, stm and ctm"
    add_value(parser, "--write", text, kind=Path, metavar="FOLDER")


def run(arguments: argparse.Namespace) -> int:
    """Score a recogniser: WER, CER, intervals, speakers, confusions; compare two.

    formats:
      trn    sclite's transcripts: words (utterance)
      stm    segments: recording channel speaker start end [<label>] words
      ctm    words with times: recording channel start duration word [confidence]
      kaldi  Kaldi's text: utterance words
      tsv    utterance, tab, words
      jsonl  JSON lines of gatedrnn: an object with id and text, or ref and hyps
      csv    prepared CSV file of a recipe

    examples:
      gatedrnn score ref.trn hyp.trn
      gatedrnn score dev.csv old.jsonl new.jsonl --format markdown --output report.md
    """
    from gatedrnn.scoring import Options, read, score
    from gatedrnn.scoring.report import write_files

    if len(arguments.hypothesis) > 2:
        raise ValueError(f"one HYP or two can be scored, not {len(arguments.hypothesis)}")
    options = Options(
        arguments.alignment,
        arguments.ignore_case,
        arguments.count_spaces,
        arguments.missing,
        arguments.extra,
        arguments.resamples,
        arguments.seed,
        arguments.top,
    )
    reference = _reference(arguments)
    systems = [read(path, arguments.hyp_format) for path in arguments.hypothesis]
    if arguments.cpwer:
        text = _meetings(reference, systems, options, arguments.format)
    else:
        scores = [score(reference, system, options) for system in systems]
        if arguments.write:
            write_files(arguments.write, scores)
        text = _scores(scores, options, arguments.format)
    print(text)
    if arguments.output:
        write_atomically(arguments.output, text + "\n")
    return 0


def _reference(arguments: argparse.Namespace) -> Transcripts:
    """The reference with its speakers and recordings."""
    from gatedrnn.scoring import read
    from gatedrnn.scoring.formats import described, read_map, speaker_prefix

    reference = read(arguments.reference, arguments.ref_format, reference=True)
    speakers = None
    if arguments.speakers == PREFIX:
        speakers = {item.id: speaker_prefix(item.id) for item in reference.items}
        for name, speaker in speakers.items():
            if not speaker:
                raise ValueError(f"--speakers prefix: {name} has no speaker before a - or _")
    elif arguments.speakers:
        speakers = read_map(arguments.speakers)
    recordings = read_map(arguments.recordings) if arguments.recordings else None
    return described(reference, speakers, recordings)


def _scores(scores: list[Score], options: Options, form: str) -> str:
    from gatedrnn.scoring import compare, report

    comparison = compare(*scores, options) if len(scores) == 2 else None
    if form == "json":
        data = {"systems": [report.score_record(score) for score in scores]}
        if comparison is not None:
            data["comparison"] = report.comparison_record(comparison)
        return json.dumps(data, indent=2, ensure_ascii=False)
    names = [score.hypothesis.path for score in scores]
    headings = names if comparison is not None else [""]
    sections = [
        section
        for score, heading in zip(scores, headings, strict=True)
        for section in report.score_sections(score, heading)
    ]
    if comparison is not None:
        sections += report.comparison_sections(comparison, names)
    return render(sections, form == "markdown")


def _meetings(
    reference: Transcripts, systems: list[Transcripts], options: Options, form: str
) -> str:
    from gatedrnn.scoring import report, score_meetings

    scores = [score_meetings(reference, system, options) for system in systems]
    if form == "json":
        data = {"systems": [report.meetings_record(score) for score in scores]}
        return json.dumps(data, indent=2, ensure_ascii=False)
    sections = [
        section
        for score in scores
        for section in report.meetings_sections(score, score.hypothesis.path if scores[1:] else "")
    ]
    return render(sections, form == "markdown")


COMMAND = Command("score", add_arguments, run)
