"""Reports of scores: sections to read, JSON-serialisable records, files for NIST's sclite."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gatedrnn.data.files import write_atomically
from gatedrnn.data.result_table import ResultTable, Section, list_names
from gatedrnn.scoring.alignment import Counts
from gatedrnn.scoring.comparison import Comparison, Difference
from gatedrnn.scoring.formats import IGNORED, Transcript, Transcripts, speaker_prefix
from gatedrnn.scoring.measures import WER, Interval, MeetingScore, RecordingScore, Score
from gatedrnn.scoring.pairing import Pair

_COUNTS = ("tokens", "correct", "sub", "del", "ins", "errors")
#: Words that sclite takes for something else: alternatives, an empty word, and tags of words.
_SPECIAL = re.compile(r"@|.*[{};].*|.+\*|<alt_?.*", re.DOTALL | re.IGNORECASE)


def _cells(counts: Counts) -> tuple[int | float | None, ...]:
    return (
        counts.tokens,
        counts.correct,
        counts.substitutions,
        counts.deletions,
        counts.insertions,
        counts.errors,
        counts.rate,
    )


def _span(interval: Interval | None) -> str | None:
    return None if interval is None else f"{interval.low:.2f} to {interval.high:.2f}"


def _group_table(kind: str, groups: Mapping[str, Counts]) -> ResultTable:
    table = ResultTable([kind, *_COUNTS, "WER %"])
    for name, counts in groups.items():
        table.add(name, *_cells(counts))
    return table


# ---- reports to read ----------------------------------------------------------------------------


def score_sections(score: Score, heading: str = "") -> list[Section]:
    """The report of a system, for :func:`gatedrnn.data.result_table.render`."""
    table = ResultTable(
        ["", *_COUNTS, "rate %", "95 % by utterance", "95 % by speaker", "wrong utt."]
    )
    for name, m in score.measures.items():
        wrong = f"{m.wrong} of {len(score.pairing.pairs)}"
        table.add(name, *_cells(m.counts), _span(m.by_utterance), _span(m.by_speaker), wrong)
    sections: list[Section] = [(heading, [*_preface(score), table])]
    for kind, groups in score.groups.items():
        if groups:
            sections.append((f"WER by {kind}", [_group_table(kind, groups)]))
    by_overlap = score.by_overlap()
    if by_overlap:
        names = {f"{name} another speaker": counts for name, counts in by_overlap.items()}
        percent = f"More than one speaks in {score.overlap.percent:.1f} % of the time with speech."
        sections.append(("WER by overlap", [percent, _group_table("utterances", names)]))
    return [*sections, *_confusion_sections(score)]


def _paths(reference: Transcripts, hypothesis: Transcripts) -> str:
    return (
        f"reference   {reference.path} ({reference.format})\n"
        f"hypothesis  {hypothesis.path} ({hypothesis.format})"
    )


def _unpaired(missing: Sequence[str], extra: Sequence[str], deleted: bool) -> list[str]:
    lines = []
    if missing:
        what = "all their words count as deleted" if deleted else "left out"
        lines.append(f"MISSING: {list_names(missing)} have no hypothesis ({what})")
    if extra:
        lines.append(f"EXTRA: {list_names(extra)} are not in the reference (left out)")
    return lines


def _preface(score: Score) -> list[str]:
    """What was compared, and all that a reader of the rates must know."""
    pairing = score.pairing
    scored = {p.reference.id for p in pairing.pairs}
    lines = [
        _paths(score.reference, score.hypothesis),
        *_unpaired(pairing.missing, pairing.extra, bool(scored & set(pairing.missing[:1]))),
    ]
    if pairing.ignored:
        lines.append(f"not scored, as their text says: {list_names(pairing.ignored)}")
    counts = score.measures[WER].counts
    if score.fewest < counts.errors:
        lines.append(
            f"NOTE: aligned with sclite's weights; the fewest possible errors are {score.fewest}, "
            f"WER {100 * score.fewest / max(counts.tokens, 1):.2f} % (--alignment levenshtein)"
        )
    if score.case_only:
        lines.append(
            f"NOTE: {score.case_only} word errors are of case only (--ignore-case takes them away)"
        )
    return lines


def _confusion_sections(score: Score) -> list[Section]:
    kinds = {
        "substitutions": [(" -> ".join(pair), n) for pair, n in score.confusions.substitutions],
        "deletions": score.confusions.deletions,
        "insertions": score.confusions.insertions,
    }
    tables = []
    for kind, items in kinds.items():
        if items:
            tables.append(ResultTable([f"most frequent {kind}", "times"]))
            for item in items:
                tables[-1].add(*item)
    return [("", tables)] if tables else []


def comparison_sections(comparison: Comparison, names: Sequence[str]) -> list[Section]:
    """The report of a comparison of two systems with these names."""
    first, second = comparison.first, comparison.second
    table = ResultTable(["", *_COUNTS, "WER %"])
    for name, counts in zip(names, (first, second), strict=True):
        table.add(name, *_cells(counts))
    lines: list[str | ResultTable] = [table]
    if first.rate is not None:
        change = f"{second.rate - first.rate:+.2f} points"
        if first.errors:
            change += f", {100 * (second.errors / first.errors - 1):+.1f} % relative"
        lines.append(f"second less first, on {comparison.utterances} utterances: {change}")
    tests = [
        f"bootstrap by {unit}: {_difference(difference)}"
        for unit, difference in (
            ("utterance", comparison.by_utterance),
            ("speaker", comparison.by_speaker),
        )
        if difference is not None
    ]
    pairs, signs = comparison.matched_pairs, comparison.signs
    if pairs is not None:
        tests.append(
            f"matched pairs (NIST's MAPSSWE): {pairs.segments} segments, "
            f"z = {pairs.z:.2f}, {_p(pairs.p)}"
        )
    if signs is not None:
        tests.append(
            f"sign test: second better for {signs.better} speakers, worse for {signs.worse}, "
            f"equal for {signs.equal}, {_p(signs.p)}"
        )
    if tests:
        lines.append("\n".join(f"- {line}" for line in tests))
    return [("Comparison", lines)]


def _p(p: float) -> str:
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.4f}"


def _difference(difference: Difference) -> str:
    low, high = difference.interval.low, difference.interval.high
    return (
        f"difference {low:+.2f} to {high:+.2f} points (95 %), second better in "
        f"{100 * difference.better:.1f} % of the resamples, worse in "
        f"{100 * difference.worse:.1f} %"
    )


def meetings_sections(score: MeetingScore, heading: str = "") -> list[Section]:
    """The report of a system on meetings."""
    lines = [
        _paths(score.reference, score.hypothesis),
        *_unpaired(
            score.missing, score.extra, bool(score.recordings.keys() & set(score.missing[:1]))
        ),
    ]
    rates = ResultTable(["", *_COUNTS, "rate %", "95 % by recording"])
    rates.add("cpWER", *_cells(score.counts), _span(score.interval))
    rates.add("cpWER without fillers", *_cells(score.counts_without_fillers), None)
    each = ResultTable(["recording", *_COUNTS, "cpWER %", "speakers", "streams"])
    for name, recording in score.recordings.items():
        each.add(name, *_cells(recording.counts), recording.speakers, recording.streams)
    return [(heading, [*lines, rates]), ("cpWER by recording", [each])]


# ---- records for JSON ---------------------------------------------------------------------------


def counts_record(counts: Counts) -> dict[str, Any]:
    """Counts, their sum and their rate in per cent (None for an empty reference)."""
    return {"tokens": counts.tokens, **asdict(counts), "errors": counts.errors, "rate": counts.rate}


def _files_record(score: Score | MeetingScore) -> dict[str, Any]:
    return {
        "reference": {"path": score.reference.path, "format": score.reference.format},
        "hypothesis": {"path": score.hypothesis.path, "format": score.hypothesis.format},
    }


def score_record(score: Score) -> dict[str, Any]:
    """A system's score; rates and intervals in per cent, unknown intervals None."""
    pairing = score.pairing
    overlap = None
    if score.overlap is not None:
        overlap = {"share": score.overlap.percent} | {
            name: counts_record(counts) for name, counts in score.by_overlap().items()
        }
    return {
        **_files_record(score),
        "utterances": len(pairing.pairs),
        "missing": list(pairing.missing),
        "extra": list(pairing.extra),
        "ignored": list(pairing.ignored),
        "measures": {
            name: {
                **counts_record(measure.counts),
                "wrong_utterances": measure.wrong,
                "interval_by_utterance": measure.by_utterance and asdict(measure.by_utterance),
                "interval_by_speaker": measure.by_speaker and asdict(measure.by_speaker),
            }
            for name, measure in score.measures.items()
        },
        "fewest_errors": score.fewest,
        "errors_of_case_only": score.case_only,
        **{
            f"by_{kind}": {name: counts_record(counts) for name, counts in groups.items()}
            for kind, groups in score.groups.items()
        },
        "overlap": overlap,
        "confusions": {
            "substitutions": [
                {"reference": reference, "hypothesis": hypothesis, "times": times}
                for (reference, hypothesis), times in score.confusions.substitutions
            ],
            "deletions": [
                {"reference": word, "times": times} for word, times in score.confusions.deletions
            ],
            "insertions": [
                {"hypothesis": word, "times": times} for word, times in score.confusions.insertions
            ],
        },
    }


def comparison_record(comparison: Comparison) -> dict[str, Any]:
    """A comparison of two systems."""
    record = asdict(comparison)
    record["first"] = counts_record(comparison.first)
    record["second"] = counts_record(comparison.second)
    pairs = record["matched_pairs"]
    if pairs and not math.isfinite(pairs["z"]):
        pairs["z"] = None  # JSON has no infinity
    return record


def meetings_record(score: MeetingScore) -> dict[str, Any]:
    """A system's score on meetings."""
    return {
        **_files_record(score),
        "missing": list(score.missing),
        "extra": list(score.extra),
        "measures": {
            "cpWER": {
                **counts_record(score.counts),
                "interval_by_recording": score.interval and asdict(score.interval),
            },
            "cpWER without fillers": counts_record(score.counts_without_fillers),
        },
        "by_recording": {name: _recording(r) for name, r in score.recordings.items()},
    }


def _recording(score: RecordingScore) -> dict[str, Any]:
    return {
        **counts_record(score.counts),
        "speakers": score.speakers,
        "streams": score.streams,
        "assignment": [list(partners) for partners in score.assignment],
    }


def write_files(folder: str | Path, scores: Sequence[Score]) -> list[Path]:
    """Writes ``ref.trn`` and ``hyp.trn``, and where times are known ``ref.stm`` and ``hyp.ctm``.

    They hold what was scored: sclite gives the same counts with ``-s -i rm``, or without ``-s`` if
    case was ignored.

    Arguments
    ---------
    folder : str or Path
        Folder to write to.
    scores : sequence of Score
        Of one system, or of several: the files of the second one are called ``hyp2``.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ValueError
        If sclite would take a word or an id for something else, or the systems were not scored on
        the same utterances.

    Example
    -------
    >>> from gatedrnn.scoring import Transcripts, score
    >>> reference = Transcripts("r", "trn", (Transcript("ann-1", ("GO", "ON"), "ann"),))
    >>> hypothesis = Transcripts("h", "trn", (Transcript("ann-1", ("GO",)),))
    >>> folder = getfixture("tmp_path")
    >>> [path.name for path in write_files(folder, [score(reference, hypothesis)])]
    ['ref.trn', 'hyp.trn']
    >>> print((folder / "hyp.trn").read_text().strip())
    GO (ann-1)
    """
    folder = Path(folder)
    references = [[pair.reference for pair in score.pairing.pairs] for score in scores]
    if any(items != references[0] for items in references[1:]):
        raise ValueError(
            "the systems were scored on different utterances, so that they have no reference in "
            "common; count what is missing (--missing delete), or write one at a time"
        )
    written = [folder / "ref.trn"]
    write_trn(written[0], references[0])
    timed = all(r.recording and r.start is not None and r.end is not None for r in references[0])
    if timed:
        written.append(folder / "ref.stm")
        write_stm(written[-1], references[0])
    for number, score in enumerate(scores, start=1):
        name = "hyp" if number == 1 else f"hyp{number}"
        hypotheses = [_placed(pair) for pair in score.pairing.pairs]
        written.append(folder / f"{name}.trn")
        write_trn(written[-1], hypotheses)
        if timed and all(len(item.times) == len(item.words) for item in hypotheses):
            written.append(folder / f"{name}.ctm")
            write_ctm(written[-1], hypotheses)
    return written


def _placed(pair: Pair) -> Transcript:
    """A hypothesis with the id, speaker, recording and times of its reference."""
    reference, hypothesis = pair.reference, pair.hypothesis
    # Times of the words of a whole recording count from the recording's own start.
    own = hypothesis.start is not None and hypothesis.recording
    start = hypothesis.start if own else reference.start
    return replace(reference, words=hypothesis.words, times=hypothesis.times, start=start)


def write_trn(path: str | Path, transcripts: Iterable[Transcript]) -> None:
    """Writes transcripts for sclite, which takes the speaker from the utterance id."""
    lines = []
    for item in transcripts:
        words = " ".join([*_checked_words(item), f"({sclite_name(item)})"])
        lines.append(words + "\n")
    write_atomically(path, "".join(lines))


def write_stm(path: str | Path, transcripts: Iterable[Transcript]) -> None:
    """Writes segments for sclite and asclite, in the order that they need."""
    lines = []
    for item in sorted(transcripts, key=lambda t: (t.recording, t.channel, t.start or 0.0)):
        if not item.recording or item.start is None or item.end is None:
            raise ValueError(f"utterance {item.id}: its recording or its times are unknown")
        words = [IGNORED] if item.ignored else list(_checked_words(item))
        # A first word in angle brackets would be taken for a label, of which there is one at most.
        label = ["<o>"] if words and words[0].startswith("<") else []
        times = (f"{item.start:.3f}", f"{item.end:.3f}")
        fields = (item.recording, item.channel, item.speaker or "unknown", *times, *label, *words)
        lines.append(" ".join(_checked_fields(item, fields)) + "\n")
    write_atomically(path, "".join(lines))


def write_ctm(path: str | Path, transcripts: Iterable[Transcript]) -> None:
    """Writes words with times for sclite and asclite, in the order that they need."""
    rows = []
    for item in transcripts:
        if not item.recording or item.start is None or len(item.times) < len(item.words):
            raise ValueError(f"utterance {item.id}: its recording or its word times are unknown")
        for word, text in zip(item.times, _checked_words(item), strict=True):
            place = (item.recording, item.channel)
            start, length = item.start + word.start, max(word.end - word.start, 0.0)
            row = (*place, f"{start:.3f}", f"{length:.3f}", text, f"{word.confidence:.4f}")
            rows.append(((*place, start), " ".join(_checked_fields(item, row)) + "\n"))
    write_atomically(path, "".join(line for _, line in sorted(rows, key=lambda row: row[0])))


def sclite_name(transcript: Transcript) -> str:
    """Utterance id from which sclite takes the right speaker."""
    # The first hyphen ends the speaker's name.
    speaker = transcript.speaker.replace("-", "_") or speaker_prefix(transcript.id) or "unknown"
    begins = speaker_prefix(transcript.id) == speaker
    name = transcript.id if begins else f"{speaker}-{transcript.id}"
    if re.search(r"[\s()]", name):
        raise ValueError(f"utterance {name!r}: sclite reads no names with spaces or parentheses")
    return name


def _checked_words(transcript: Transcript) -> Iterator[str]:
    """The words; ValueError at one that sclite would take for something else."""
    for word in transcript.words:
        if _SPECIAL.fullmatch(word):
            raise ValueError(
                f"utterance {transcript.id}: sclite does not read {word!r} as a word (it must not "
                "be @, nor have braces or semicolons, begin with <ALT or end in *)"
            )
        yield word


def _checked_fields(item: Transcript, fields: Sequence[str]) -> Sequence[str]:
    if any(len(field.split()) != 1 for field in fields):
        raise ValueError(f"utterance {item.id}: recording, channel and speaker must have no spaces")
    return fields
