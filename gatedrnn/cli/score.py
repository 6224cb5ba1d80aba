"""``gatedrnn score``: error rates of one recogniser or two, with intervals, and what is missing."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from gatedrnn.data.files import write_atomically
from gatedrnn.scoring import plain_data, report
from gatedrnn.scoring.alignment import RULES
from gatedrnn.scoring.comparison import compare
from gatedrnn.scoring.cpwer import score_meetings
from gatedrnn.scoring.formats import FORMATS, read
from gatedrnn.scoring.measures import Options, Score, score
from gatedrnn.scoring.nist import write_files
from gatedrnn.scoring.pairing import EXTRA, MISSING
from gatedrnn.scoring.transcript import Transcripts, described, read_map, speaker_prefix

NAME = "score"
HELP = "score a recogniser: WER, CER, intervals, speakers, confusions; compare two"
#: Value of --speakers: names of utterances begin with the speaker.
PREFIX = "prefix"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn score``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "formats:\n" + "\n".join(f"  {k:<6} {v}" for k, v in FORMATS.items())
    parser.add_argument("reference", type=Path, metavar="REF", help="what was said")
    parser.add_argument(
        "hypothesis", type=Path, nargs="+", metavar="HYP",
        help="what was heard; a second one is compared with the first",
    )  # fmt: skip
    parser.add_argument("--format", choices=("text", "json", "markdown"), default="text")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the report there too")
    parser.add_argument("--ref-format", choices=FORMATS, help="default: found out")
    parser.add_argument("--hyp-format", choices=FORMATS, help="default: found out")
    parser.add_argument(
        "--speakers", metavar="FILE",
        help="Kaldi's utt2spk; or the word prefix: names begin with the speaker and - or _",
    )  # fmt: skip
    parser.add_argument(
        "--recordings", type=Path, metavar="FILE", help="Kaldi's segments, or utterance recording"
    )
    parser.add_argument(
        "--missing", choices=MISSING, default="delete",
        help="utterances without hypothesis: count their words as deleted (default), leave them "
        "out as sclite does, or stop",
    )  # fmt: skip
    parser.add_argument(
        "--extra", choices=EXTRA, default="error",
        help="hypotheses without reference: stop as sclite does (default), or leave them out",
    )  # fmt: skip
    parser.add_argument(
        "--alignment", choices=RULES, default="sclite",
        help="sclite's counts (default), or the fewest errors, as training logs and Kaldi count",
    )  # fmt: skip
    parser.add_argument("--ignore-case", action="store_true", help="as sclite without -s")
    parser.add_argument(
        "--count-spaces", action="store_true", help="in the CER; sclite -c counts none"
    )
    parser.add_argument("--top", type=int, default=10, help="confusions to list, default 10")
    parser.add_argument("--resamples", type=int, default=10_000, help="default 10000")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples, default 0")
    parser.add_argument(
        "--cpwer", action="store_true",
        help="score whole meetings, by speaker, whatever the hypothesis calls the speakers",
    )  # fmt: skip
    parser.add_argument(
        "--write", type=Path, metavar="FOLDER",
        help="write what was scored as trn files and, where times are known, stm and ctm",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Runs ``gatedrnn score``."""
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
    reference = read(arguments.reference, arguments.ref_format, said=True)
    speakers = None
    if arguments.speakers == PREFIX:
        speakers = {item.id: speaker_prefix(item.id) for item in reference.items}
        bare = [name for name, speaker in speakers.items() if not speaker]
        if bare:
            raise ValueError(f"--speakers prefix: {bare[0]} has no speaker before a - or _")
    elif arguments.speakers:
        speakers = read_map(arguments.speakers)
    recordings = read_map(arguments.recordings) if arguments.recordings else None
    return described(reference, speakers, recordings)


def _scores(scores: list[Score], options: Options, form: str) -> str:
    """The report of one system or two."""
    comparison = compare(*scores, options) if len(scores) == 2 else None
    if form == "json":
        data = {"systems": [plain_data.of_score(found) for found in scores]}
        if comparison is not None:
            data["comparison"] = plain_data.of_comparison(comparison)
        return json.dumps(data, indent=2, ensure_ascii=False)
    names = [found.hypothesis.path for found in scores]
    headings = names if comparison is not None else [""]
    sections = [
        section
        for found, heading in zip(scores, headings, strict=True)
        for section in report.of_score(found, heading)
    ]
    if comparison is not None:
        sections += report.of_comparison(comparison, names)
    return report.render(sections, form == "markdown")


def _meetings(
    reference: Transcripts, systems: list[Transcripts], options: Options, form: str
) -> str:
    """The report of one system or two on meetings."""
    scores = [score_meetings(reference, system, options) for system in systems]
    if form == "json":
        data = {"systems": [plain_data.of_meetings(found) for found in scores]}
        return json.dumps(data, indent=2, ensure_ascii=False)
    sections = [
        section
        for found in scores
        for section in report.of_meetings(found, found.hypothesis.path if scores[1:] else "")
    ]
    return report.render(sections, form == "markdown")
