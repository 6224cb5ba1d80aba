"""Reports of scores: text and Markdown to read, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gatedrnn.scoring.bootstrap import Interval
from gatedrnn.scoring.comparison import Comparison, Drawn
from gatedrnn.scoring.counts import Counts
from gatedrnn.scoring.cpwer import MeetingScore
from gatedrnn.scoring.measures import WER, Score

#: Names of missing and extra utterances that a report lists; JSON has all.
LISTED = 20


@dataclass(frozen=True)
class Table:
    """A table: the first column is text, the others figures.

    Arguments
    ---------
    head : tuple of str
        Names of the columns.
    rows : tuple of tuple of str
        The cells.

    Example
    -------
    >>> table = Table(("set", "WER %"), (("dev", "9.50"), ("test", "10.25")))
    >>> print(table.text())
    set   WER %
    dev    9.50
    test  10.25
    >>> print(table.markdown())
    | set | WER % |
    |---|---:|
    | dev | 9.50 |
    | test | 10.25 |
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        """The table in columns."""
        lines = [self.head, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if index else cell.ljust(width)
                for index, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def markdown(self) -> str:
        """The table in Markdown."""
        rule = "|---|" + "---:|" * (len(self.head) - 1)
        head, *rows = (f"| {' | '.join(_escaped(line))} |" for line in (self.head, *self.rows))
        return "\n".join((head, rule, *rows))


def _escaped(cells: Iterable[str]) -> list[str]:
    return [cell.replace("|", "\\|") for cell in cells]


#: A heading (empty for none), lines of text, and tables.
Section = tuple[str, Sequence[str | Table]]


def render(sections: Iterable[Section], markdown: bool) -> str:
    """Puts a report together.

    Arguments
    ---------
    sections : iterable of Section
        Of :func:`of_score` and the like.
    markdown : bool
        In Markdown, else as text.

    Returns
    -------
    str

    Example
    -------
    >>> print(render([("By speaker", ["two", Table(("name", "WER %"), ())])], markdown=True))
    ## By speaker
    <BLANKLINE>
    two
    <BLANKLINE>
    | name | WER % |
    |---|---:|
    """
    parts = []
    for heading, body in sections:
        if heading:
            parts.append(f"## {heading}" if markdown else heading)
        for item in body:
            if isinstance(item, Table):
                parts.append(item.markdown() if markdown else item.text())
            else:
                parts.append(item)
    return "\n\n".join(parts)


def of_score(score: Score, heading: str = "") -> list[Section]:
    """The report of a system.

    Arguments
    ---------
    score : Score
        How it did.
    heading : str
        Such as the system's name.

    Returns
    -------
    list of Section
    """
    head = ("", *_COUNTS, "rate %", "95 % by utterance", "95 % by speaker", "wrong utt.")
    utterances = len(score.pairing.pairs)
    rows = tuple(
        (name, *_cells(m.counts), _span(m.by_utterance), _span(m.by_speaker),
         f"{m.wrong} of {utterances}")
        for name, m in score.measures.items()
    )  # fmt: skip
    sections: list[Section] = [(heading, [*_preface(score), Table(head, rows)])]
    for kind, groups in score.groups.items():
        if groups:
            sections.append((f"WER by {kind}", [_groups(kind, groups)]))
    by_overlap = score.by_overlap()
    if by_overlap:
        names = {f"{name} another speaker": counts for name, counts in by_overlap.items()}
        share = f"More than one speaks in {score.overlap.share:.1f} % of the time with speech."
        sections.append(("WER by overlap", [share, _groups("utterances", names)]))
    return [*sections, *_confusions(score)]


_COUNTS = ("tokens", "correct", "sub", "del", "ins", "errors")


def _cells(counts: Counts) -> tuple[str, ...]:
    figures = (counts.tokens, counts.correct, counts.substitutions, counts.deletions,
               counts.insertions, counts.errors)  # fmt: skip
    return (*map(str, figures), "-" if counts.rate is None else f"{counts.rate:.2f}")


def _span(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval.low:.2f} to {interval.high:.2f}"


def _groups(kind: str, groups: Mapping[str, Counts]) -> Table:
    rows = tuple((name, *_cells(counts)) for name, counts in groups.items())
    return Table((kind, *_COUNTS, "WER %"), rows)


def _preface(score: Score) -> list[str]:
    """What was compared, and all that a reader of the figures must know."""
    lines = [
        f"reference   {score.reference.path} ({score.reference.format})\n"
        f"hypothesis  {score.hypothesis.path} ({score.hypothesis.format})"
    ]
    pairing = score.pairing
    scored = {p.reference.id for p in pairing.pairs}
    if pairing.missing:
        what = "all their words count as deleted" if pairing.missing[0] in scored else "left out"
        lines.append(f"MISSING: {_list(pairing.missing)} have no hypothesis ({what})")
    if pairing.extra:
        lines.append(f"EXTRA: {_list(pairing.extra)} are not in the reference (left out)")
    if pairing.ignored:
        lines.append(f"not scored, as their text says: {_list(pairing.ignored)}")
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


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{len(names)} ({', '.join(names[:LISTED])}{more})"


def _confusions(score: Score) -> list[Section]:
    found = score.confusions
    kinds = {
        "substitutions": ([(" -> ".join(pair), n) for pair, n in found.substitutions]),
        "deletions": found.deletions,
        "insertions": found.insertions,
    }
    tables = [
        Table((f"most frequent {kind}", "times"), tuple((word, str(n)) for word, n in items))
        for kind, items in kinds.items()
        if items
    ]
    return [("", tables)] if tables else []


def of_comparison(comparison: Comparison, names: Sequence[str]) -> list[Section]:
    """The report of a comparison.

    Arguments
    ---------
    comparison : Comparison
        Of two systems.
    names : sequence of str
        Theirs.

    Returns
    -------
    list of Section
    """
    first, second = comparison.first, comparison.second
    rows = tuple((n, *_cells(c)) for n, c in zip(names, (first, second), strict=True))
    lines: list[str | Table] = [Table(("", *_COUNTS, "WER %"), rows)]
    if first.rate is not None:
        change = f"{second.rate - first.rate:+.2f} points"
        if first.errors:
            change += f", {100 * (second.errors / first.errors - 1):+.1f} % relative"
        lines.append(f"second less first, on {comparison.utterances} utterances: {change}")
    found = [
        f"bootstrap by {unit}: {_drawn(drawn)}"
        for unit, drawn in (
            ("utterance", comparison.by_utterance),
            ("speaker", comparison.by_speaker),
        )
        if drawn is not None
    ]
    pairs, signs = comparison.matched_pairs, comparison.signs
    if pairs is not None:
        found.append(
            f"matched pairs (NIST's MAPSSWE): {pairs.segments} segments, "
            f"z = {pairs.z:.2f}, {_p(pairs.p)}"
        )
    if signs is not None:
        found.append(
            f"sign test: second better for {signs.better} speakers, worse for {signs.worse}, "
            f"equal for {signs.equal}, {_p(signs.p)}"
        )
    if found:
        lines.append("\n".join(f"- {line}" for line in found))
    return [("Comparison", lines)]


def _p(p: float) -> str:
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.4f}"


def _drawn(drawn: Drawn) -> str:
    low, high = drawn.interval.low, drawn.interval.high
    return (
        f"difference {low:+.2f} to {high:+.2f} points (95 %), second better in "
        f"{100 * drawn.better:.1f} % of the draws, worse in {100 * drawn.worse:.1f} %"
    )


def of_meetings(score: MeetingScore, heading: str = "") -> list[Section]:
    """The report of a system on meetings.

    Arguments
    ---------
    score : MeetingScore
        How it did.
    heading : str
        Such as the system's name.

    Returns
    -------
    list of Section
    """
    lines = [
        f"reference   {score.reference.path} ({score.reference.format})\n"
        f"hypothesis  {score.hypothesis.path} ({score.hypothesis.format})"
    ]
    if score.missing:
        scored = score.missing[0] in score.recordings
        what = "all their words count as deleted" if scored else "left out"
        lines.append(f"MISSING: {_list(score.missing)} have no hypothesis ({what})")
    if score.extra:
        lines.append(f"EXTRA: {_list(score.extra)} are not in the reference (left out)")
    head = ("", *_COUNTS, "rate %", "95 % by recording")
    rows = (
        ("cpWER", *_cells(score.counts), _span(score.interval)),
        ("cpWER without fillers", *_cells(score.counts_without_fillers), "-"),
    )
    each = Table(
        ("recording", *_COUNTS, "cpWER %", "speakers", "streams"),
        tuple(
            (name, *_cells(r.counts), str(r.speakers), str(r.streams))
            for name, r in score.recordings.items()
        ),
    )
    return [(heading, [*lines, Table(head, rows)]), ("cpWER by recording", [each])]
