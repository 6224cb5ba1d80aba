"""Transcripts: times, texts, names that stay within a folder."""

from __future__ import annotations

import dataclasses
import json

import pytest

from gatedrnn.tasks.asr.writers import Transcript, TranscriptSegment, check_name
from gatedrnn.tokens.hypotheses import Word


def transcript() -> Transcript:
    first = TranscriptSegment(
        0.5, 2.0, "GO ON", (Word("GO", 0.6, 1.0, 0.9), Word("ON", 1.1, 1.95, 0.8)), 0.85
    )
    return Transcript(
        "day1/talk",
        "talk.wav",
        9.0,
        (
            first,
            TranscriptSegment(3.0, 4.0, ""),
            TranscriptSegment(5.0, 6.0, "STOP", speaker="ann"),
        ),
        reference="GO ON STOP",
    )


def test_text_and_words_of_all_segments():
    assert transcript().text == "GO ON STOP"
    assert [w.word for w in transcript().words] == ["GO", "ON"]
    assert Transcript("a", "a.wav", 0.0).text == "" and Transcript("a", "a.wav", 0.0).words == ()


def test_shifting_moves_everything_and_nothing_else():
    moved = transcript().shifted(100.25)
    assert [(s.start, s.end) for s in moved.segments] == [
        (100.75, 102.25), (103.25, 104.25), (105.25, 106.25),
    ]  # fmt: skip
    assert [w.start for w in moved.words] == pytest.approx([100.85, 101.35])
    assert [w.end - w.start for w in moved.words] == pytest.approx([0.4, 0.85])
    assert moved.shifted(-100.25).segments[0].words[1].end == pytest.approx(1.95)
    assert (moved.text, moved.duration, moved.reference) == ("GO ON STOP", 9.0, "GO ON STOP")


def test_plain_data():
    data = json.loads(json.dumps(transcript().as_dict(), allow_nan=False))
    assert (data["id"], data["text"], data["reference"]) == (
        "day1/talk",
        "GO ON STOP",
        "GO ON STOP",
    )
    assert data["words"] == data["segments"][0]["words"]
    assert data["words"][0] == {"word": "GO", "start": 0.6, "end": 1.0, "confidence": 0.9}
    assert data["segments"][2]["speaker"] == "ann" and data["recording"] == "day1/talk"


def test_they_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        transcript().name = "other"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/talk",
        "../talk",
        "a/../../talk",
        "a//b",
        "./a",
        "a/",
        "a\\..\\b",
        "C:/talk",
        "a\nb",
    ],
)
def test_names_that_lead_out_of_a_folder(name):
    with pytest.raises(ValueError, match="the name"):
        Transcript(name, "a.wav", 1.0)


@pytest.mark.parametrize("name", ["talk", "day 1/talk.v2", "..talk", "Über/é(1)", "a%20b"])
def test_other_names(name):
    assert check_name(name) == name


@pytest.mark.parametrize("times", [(-1.0, 0.0), (2.0, 1.0), (0.0, float("inf")), (float("nan"), 1)])
def test_impossible_times(times):
    with pytest.raises(ValueError, match="0 <= start <= end"):
        TranscriptSegment(*times, "GO")
