"""Reports of scores: sections of text and tables to read, JSON-serialisable records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from gatedrnn.data.result_table import ResultTable, Section, list_names
from gatedrnn.scoring.alignment import Counts
from gatedrnn.scoring.bootstrap import Interval
from gatedrnn.scoring.comparison import Comparison, Difference
from gatedrnn.scoring.cpwer import MeetingScore, RecordingScore
from gatedrnn.scoring.measures import WER, Score
from gatedrnn.scoring.transcript import Transcripts

_COUNTS = ("tokens", "correct", "sub", "del", "ins", "errors")


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
