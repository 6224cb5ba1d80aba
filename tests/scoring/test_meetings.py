"""Concatenated minimum-permutation WER, fillers, and overlap."""

from __future__ import annotations

import itertools
import random

import pytest
from rapidfuzz.distance import Levenshtein

from gatedrnn.data.result_table import render
from gatedrnn.scoring import Options, Transcript, Transcripts, read, score, score_meetings
from gatedrnn.scoring.measures import without_fillers
from gatedrnn.scoring.pairing import overlap
from gatedrnn.scoring.report import meetings_sections, score_sections


def meeting(draw: random.Random, speakers: int, name: str, kind: str) -> list[Transcript]:
    """Random utterances, in random order, of some speakers."""
    items = [
        Transcript(
            f"{name}-{kind}{speaker}-{i}",
            tuple(draw.choices("ABCDE", k=draw.randint(0, 6))),
            f"{kind}{speaker}",
            name,
            start=i + draw.random() / 2,
            end=i + 0.9,
        )
        for speaker in range(speakers)
        for i in range(3)
    ]
    return draw.sample(items, len(items))


def strings(items: list[Transcript]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in sorted(items, key=lambda t: t.start):
        found.setdefault(item.speaker, []).extend(item.words)
    return found


def fewest(references: list[list[str]], hypotheses: list[list[str]]) -> int:
    """Errors of the best of all permutations."""
    size = max(len(references), len(hypotheses))
    references, hypotheses = (side + [[]] * (size - len(side)) for side in (references, hypotheses))
    return min(
        sum(Levenshtein.distance(a, b) for a, b in zip(references, order, strict=True))
        for order in itertools.permutations(hypotheses)
    )


@pytest.mark.parametrize("sizes", [(1, 1), (3, 3), (2, 4), (4, 2), (3, 1)])
def test_errors_are_those_of_the_best_permutation(sizes):
    draw = random.Random(sum(sizes))
    for _ in range(10):
        references, hypotheses = (
            meeting(draw, n, "m1", kind) for n, kind in zip(sizes, ("r", "h"), strict=True)
        )
        found = score_meetings(
            Transcripts("r", "stm", references), Transcripts("h", "stm", hypotheses)
        )
        a, b = (list(strings(side).values()) for side in (references, hypotheses))
        assert found.counts.errors == fewest(a, b)
        assert found.counts.tokens == sum(map(len, a))
        counts = found.counts
        assert counts.correct + counts.substitutions + counts.insertions == sum(map(len, b))
        partners = found.recordings["m1"].assignment
        assert len(partners) == min(sizes)


def test_meeteval_counts_as_many_errors():
    wer = pytest.importorskip("meeteval.wer", reason="meeteval is not installed")
    draw = random.Random(2)
    for sizes in [(2, 2), (4, 3), (3, 5)]:
        references, hypotheses = (
            meeting(draw, n, "m1", kind) for n, kind in zip(sizes, ("r", "h"), strict=True)
        )
        ours = score_meetings(
            Transcripts("r", "stm", references), Transcripts("h", "stm", hypotheses)
        ).counts
        theirs = wer.cp_word_error_rate(
            *({name: " ".join(words) for name, words in strings(side).items()}
              for side in (references, hypotheses))
        )  # fmt: skip
        assert (ours.errors, ours.tokens) == (theirs.errors, theirs.length)


def test_hypotheses_without_speakers_are_the_references_speakers():
    references = (
        Transcript("a", ("GO", "ON"), "ann", "m1", start=0.0),
        Transcript("b", ("NO",), "bob", "m1", start=1.0),
    )
    hypotheses = (Transcript("b", ("NO",)), Transcript("a", ("GO", "IN")))
    found = score_meetings(
        Transcripts("r", "csv", references), Transcripts("h", "jsonl", hypotheses)
    )
    assert found.counts.errors == 1
    assert found.recordings["m1"].assignment == (("ann", "ann"), ("bob", "bob"))
    with pytest.raises(ValueError, match="c has no recording and speaker of its own"):
        score_meetings(
            Transcripts("r", "csv", references), Transcripts("h", "jsonl", (Transcript("c", ()),))
        )


def test_channels_of_a_ctm_file_are_speakers_and_recordings_are_matched(tmp_path):
    (tmp_path / "r.stm").write_text("m1 1 ann 0 1 GO ON\nm1 1 bob 0 1 NO\nm2 1 ann 0 1 UM YES\n")
    (tmp_path / "h.ctm").write_text(
        "m1 1 0.1 0.2 NO\nm1 2 0.1 0.2 GO\nm1 2 0.5 0.2 ON\nm3 1 0.1 0.2 AH\n"
    )
    references, hypotheses = read(tmp_path / "r.stm"), read(tmp_path / "h.ctm")
    with pytest.raises(ValueError, match="has recordings that .* has not: m3"):
        score_meetings(references, hypotheses)
    found = score_meetings(references, hypotheses, Options(extra="ignore"))
    assert (found.missing, found.extra) == (("m2",), ("m3",))
    assert (found.counts.errors, found.counts_without_fillers.errors) == (2, 1)
    assert found.recordings["m1"].assignment == (("ann", "2"), ("bob", "1"))
    text = render(meetings_sections(found), markdown=False)
    assert "MISSING: 1 (m2) have no hypothesis (all their words count as deleted)" in text
    ignored = score_meetings(references, hypotheses, Options(extra="ignore", missing="ignore"))
    assert ignored.counts.errors == 0
    with pytest.raises(ValueError, match="lacks recordings: m2"):
        score_meetings(references, hypotheses, Options(extra="ignore", missing="error"))


def test_speakers_must_be_known():
    references = Transcripts("r", "trn", (Transcript("a", ("GO",)),))
    with pytest.raises(ValueError, match="give them with --recordings and --speakers"):
        score_meetings(references, references)


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("UM I UH THINK", "I THINK"),
        ("um hmm mm HMMM oof %hesitation", ""),
        ("MM-HMM MHM UH-HUH YEAH", "%BCACK %BCACK %BCACK YEAH"),
        ("UH-UH NO HUH-UH", "%BCNACK NO %BCNACK"),
        # Without hyphens, as the plain spelling of AMI has them.
        ("MM HMM YEAH UH HUH", "%BCACK YEAH %BCACK"),
        ("UH UH", ""),
        ("HUMAN UMBRELLA", "HUMAN UMBRELLA"),
    ],
)
def test_fillers(words, left):
    assert " ".join(without_fillers(words.split())) == left


def test_rate_without_fillers():
    references = Transcripts("r", "trn", (Transcript("a", ("UM", "MM-HMM", "YES")),))
    hypotheses = Transcripts("h", "trn", (Transcript("a", ("UH-HUH", "YES", "UH")),))
    found = score(references, hypotheses).measures
    assert found["WER"].counts.errors == 3
    assert (found["WER without fillers"].counts.tokens, found["WER without fillers"].wrong) == (
        2,
        0,
    )


def test_overlap_of_three_speakers():
    def utterance(name, start, end, recording="m1"):
        return Transcript(f"{name}{start}", (), name, recording, start=start, end=end)

    items = [
        utterance("ann", 0.0, 4.0),
        utterance("bob", 1.0, 3.0),
        utterance("eve", 2.0, 2.5),
        utterance("ann", 3.5, 5.0),  # her own overlap counts for nothing
        utterance("bob", 5.0, 6.0),  # touches only
        utterance("bob", 0.0, 2.0, "m2"),
    ]
    found = overlap(items)
    assert found.flags == (True, True, True, False, False, False)
    assert found.percent == pytest.approx(100 * 2 / 8)
    assert overlap([*items, Transcript("x", ())]) is None


def test_overlapped_utterances_are_counted_apart():
    references = Transcripts(
        "r",
        "stm",
        (
            Transcript("a", ("GO", "ON"), "ann", "m1", start=0.0, end=2.0),
            Transcript("b", ("NO",), "bob", "m1", start=1.0, end=2.0),
            Transcript("c", ("YES",), "ann", "m1", start=3.0, end=4.0),
        ),
    )
    hypotheses = Transcripts("h", "jsonl", (Transcript("a", ("GO",)), Transcript("c", ("YES",))))
    found = score(references, hypotheses)
    assert {name: counts.errors for name, counts in found.by_overlap().items()} == {
        "without": 0,
        "with": 2,
    }
    text = render(score_sections(found), markdown=False)
    assert "More than one speaks in 33.3 % of the time with speech." in text
    assert found.groups["recording"]["m1"].errors == 2
