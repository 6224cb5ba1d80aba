"""Files of transcripts, read again by rules of their own."""

from __future__ import annotations

import json
import os
import re

import pytest

from gatedrnn.tasks.asr.writers import (
    WRITERS,
    CueOptions,
    Transcript,
    TranscriptFiles,
    TranscriptSegment,
    cues,
    escape,
    timestamp,
)
from gatedrnn.tokens.hypotheses import Word


def words(text: str, start: float = 0.0, each: float = 0.4, pause: float = 0.1) -> tuple[Word, ...]:
    places = [start + i * (each + pause) for i in range(len(text.split()))]
    return tuple(
        Word(word, at, at + each, 0.75) for word, at in zip(text.split(), places, strict=True)
    )


def segment(
    text: str, start: float = 0.0, speaker: str | None = None, **more: float
) -> TranscriptSegment:
    found = words(text, start, **more)
    return TranscriptSegment(start, found[-1].end + 0.2, text, found, 0.75, speaker)


def talk(name: str = "talk", *segments: TranscriptSegment) -> Transcript:
    segments = segments or (segment("GO ON", 1.0), segment("STOP", 3661.5))
    return Transcript(name, f"{name}.wav", 3700.0, segments)


def written(tmp_path, format_name: str, transcript: Transcript, **more: object) -> str:
    return WRITERS[format_name](**more).write(transcript, tmp_path).read_text()


def seconds(time: str) -> float:
    hours, minutes, rest = re.fullmatch(r"(\d\d):([0-5]\d):([0-5]\d[.,]\d{3})", time).groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(rest.replace(",", "."))


# ---- formats --------------------------------------------------------------------------------


def test_txt_and_tsv(tmp_path):
    several = talk(
        "talk", segment("GO\tON", 1.0), TranscriptSegment(2.0, 3.0, ""), segment("STOP", 3661.5)
    )
    assert written(tmp_path, "txt", several) == "GO ON\nSTOP\n"
    assert written(tmp_path, "tsv", several) == (
        "start\tend\ttext\n1000\t2100\tGO ON\n3661500\t3662100\tSTOP\n"
    )


def test_json_holds_everything(tmp_path):
    assert json.loads(written(tmp_path, "json", talk())) == talk().as_dict()
    lines = written(tmp_path, "jsonl", talk()).splitlines()
    assert [json.loads(line) for line in lines] == [talk().as_dict()]
    odd = talk("talk", segment("Ü\u2028 «É»"))
    assert "«É»" in written(tmp_path, "json", odd)
    assert json.loads(written(tmp_path, "jsonl", odd))["text"] == odd.text


def test_ctm(tmp_path):
    part = Transcript(
        "utt-2", "x.wav", 2.0, (segment("GO ON", 61.0),), recording="my meeting", channel=1
    )
    assert written(tmp_path, "ctm", part) == (
        "my%20meeting 2 61.000 0.400 GO 0.7500\nmy%20meeting 2 61.500 0.400 ON 0.7500\n"
    )
    untimed = talk("talk", TranscriptSegment(0.0, 1.0, "GO"))
    with pytest.raises(ValueError, match="talk: ctm needs the times of words"):
        written(tmp_path, "ctm", untimed)
    assert WRITERS["ctm"].needs_times and not WRITERS["srt"].needs_times


def test_trn(tmp_path):
    odd = talk("day (1)/a b", segment("(UH) { OR / } ;;NO @"))
    assert written(tmp_path, "trn", odd) == (
        "%28UH%29 %7B OR %2F %7D %3B;NO %40 (day%20%281%29/a%20b)\n"
    )
    assert written(tmp_path, "trn", Transcript("empty", "a.wav", 1.0)) == "(empty)\n"


def test_sclite_reads_what_is_written(tmp_path):
    """The escapes keep words words and names names, by the rules of SCTK's documents."""
    line = written(tmp_path, "trn", talk("x(y)-1", segment("A (B) C")))
    text, name = re.fullmatch(r"(.*) \((\S+)\)\n", line).groups()
    assert len(text.split()) == 3 and not set("(){}") & set(text + name)


def test_srt(tmp_path):
    found = written(
        tmp_path, "srt", talk("talk", segment("GO --> ON", 1.0), segment("STOP", 3661.5))
    )
    assert found == (
        "1\n00:00:01,000 --> 00:00:02,400\nGO -> ON\n\n2\n01:01:01,500 --> 01:01:02,500\nSTOP\n\n"
    )


def test_vtt(tmp_path):
    said = segment("A <B> & C", 0.0, speaker="Ann <3")
    assert written(tmp_path, "vtt", talk("talk", said)) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.900\n<v Ann &lt;3>A &lt;B&gt; &amp; C</v>\n\n"
    )
    assert written(tmp_path, "vtt", Transcript("none", "a.wav", 1.0)) == "WEBVTT\n\n"


def test_timestamps():
    assert timestamp(0.0) == "00:00:00.000" and timestamp(59.9995) == "00:01:00.000"
    assert timestamp(3599.9999, ",") == "01:00:00,000" and timestamp(360_000.0) == "100:00:00.000"


# ---- subtitles ------------------------------------------------------------------------------


def test_subtitles_are_short_and_lose_no_word():
    text = " ".join(f"WORD{i}" for i in range(300))
    options = CueOptions(max_characters=30, max_lines=2, max_seconds=5.0)
    found = cues(talk("talk", segment(text), segment("AND MORE", 200.0)), options)
    assert " ".join(line for cue in found for line in cue.lines) == f"{text} AND MORE"
    for cue, after in zip(found, [*found[1:], None], strict=True):
        assert 1 <= len(cue.lines) <= 2 and all(len(line) <= 30 for line in cue.lines)
        assert 1.0 <= cue.end - cue.start <= 5.0
        assert after is None or cue.end <= after.start
        assert sum(len(line.split()) for line in cue.lines) >= 2


def test_subtitles_part_at_pauses():
    first, second = words("ONE TWO THREE", 0.0), words("FOUR FIVE SIX SEVEN EIGHT", 4.0)
    said = TranscriptSegment(
        0.0, 7.0, " ".join(w.word for w in (*first, *second)), (*first, *second)
    )
    found = cues(talk("talk", said), CueOptions(max_characters=26, max_lines=1))
    assert [cue.lines for cue in found] == [("ONE TWO THREE",), ("FOUR FIVE SIX SEVEN EIGHT",)]


def test_words_that_do_not_fit_have_their_own():
    long = "X" * 50
    found = cues(talk("talk", segment(f"A {long} B")), CueOptions(max_characters=20, max_lines=1))
    assert [cue.lines for cue in found] == [("A",), (long,), ("B",)]


def test_without_word_times_the_pace_is_even():
    text = " ".join(["ABCD"] * 40)
    found = cues(talk("talk", TranscriptSegment(10.0, 30.0, text)), CueOptions(max_seconds=4.0))
    assert " ".join(line for cue in found for line in cue.lines) == text
    assert found[0].start == 10.0 and found[-1].end == pytest.approx(30.0)
    assert all(cue.end - cue.start <= 4.0 for cue in found)
    assert cues(talk("talk", TranscriptSegment(0.0, 1.0, ""))) == []


def test_short_subtitles_stay_until_the_next_one_or_the_end():
    quick = [
        TranscriptSegment(t, t + 0.1, "HM", (Word("HM", t, t + 0.1, 1.0),)) for t in (0.0, 0.5, 9.5)
    ]
    found = cues(Transcript("a", "a.wav", 10.0, tuple(quick)), CueOptions(min_seconds=1.0))
    assert [(cue.start, cue.end) for cue in found] == [(0.0, 0.5), (0.5, 1.5), (9.5, 10.0)]


@pytest.mark.parametrize(
    "wrong", [{"max_characters": 0}, {"max_lines": 0}, {"max_seconds": 0.0}, {"min_seconds": 9.0}]
)
def test_impossible_subtitles(wrong):
    with pytest.raises(ValueError, match="subtitles"):
        CueOptions(**{"min_seconds": 0.0, **wrong})


# ---- the files of a run ---------------------------------------------------------------------


def test_all_formats_of_a_run(tmp_path):
    with TranscriptFiles(tmp_path, list(WRITERS)) as output:
        for name in ("b", "day1/a", "a"):
            output.add(talk(name))
    alone = [f"{n}.{f}" for n in ("a", "b", "day1/a") for f in ("txt", "json", "tsv", "srt", "vtt")]
    together = [f"transcripts.{f}" for f in ("jsonl", "ctm", "trn")]
    assert sorted(str(p.relative_to(tmp_path)) for p in output.written) == sorted(alone + together)
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == sorted(output.written)
    ids = [json.loads(x)["id"] for x in (tmp_path / "transcripts.jsonl").read_text().splitlines()]
    assert ids == ["a", "b", "day1/a"]
    ctm = [line.split() for line in (tmp_path / "transcripts.ctm").read_text().splitlines()]
    assert [(c[0], c[4]) for c in ctm[:3]] == [("a", "GO"), ("a", "ON"), ("a", "STOP")]
    assert len(ctm) == 9 and all(len(c) == 6 for c in ctm)


def test_parts_of_a_recording_are_sorted_by_time_in_ctm(tmp_path):
    with TranscriptFiles(tmp_path, ["ctm"]) as output:
        for name, start in (("u2", 10.0), ("u10", 2.0)):
            parts = (segment("GO ON", start),)
            output.add(Transcript(name, "m.wav", 1.0, parts, recording="m"))
    times = [float(x.split()[2]) for x in (tmp_path / "transcripts.ctm").read_text().splitlines()]
    assert times == sorted(times) and len(times) == 4


def test_each_recording_apart(tmp_path):
    with TranscriptFiles(tmp_path, ["jsonl", "trn"], apart=True) as output:
        output.add(talk("day1/a"))
    found = sorted(str(path.relative_to(tmp_path)) for path in output.written)
    assert found == ["day1/a.jsonl", "day1/a.trn"]


def test_two_of_one_name_never_overwrite_each_other(tmp_path):
    with TranscriptFiles(tmp_path, ["txt", "trn"]) as output:
        output.add(talk("a b"))
        for name in ("a b", "a%20b"):
            with pytest.raises(ValueError, match="neither may overwrite the other"):
                output.add(talk(name, segment("OTHER")))
    assert (tmp_path / "a b.txt").read_text() == "GO ON\nSTOP\n"
    assert len((tmp_path / "transcripts.trn").read_text().splitlines()) == 1


def test_dots_in_names_are_kept(tmp_path):
    assert WRITERS["txt"]().write(talk("talk.v1.2"), tmp_path).name == "talk.v1.2.txt"


def test_an_interrupted_run_keeps_what_it_has(tmp_path):
    (tmp_path / "transcripts.trn").write_text("of an earlier run\n")
    with pytest.raises(KeyboardInterrupt), TranscriptFiles(tmp_path, ["trn"]):
        raise KeyboardInterrupt
    assert (tmp_path / "transcripts.trn").read_text() == "of an earlier run\n"
    with pytest.raises(KeyboardInterrupt), TranscriptFiles(tmp_path, ["trn"]) as output:
        output.add(talk("a"))
        raise KeyboardInterrupt
    assert (tmp_path / "transcripts.trn").read_text() == "GO ON STOP (a)\n"


def test_files_are_whole_or_not_there(tmp_path, monkeypatch):
    WRITERS["txt"]().write(talk(), tmp_path)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        WRITERS["txt"]().write(talk("talk", segment("OTHER")), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["talk.txt"]
    assert (tmp_path / "talk.txt").read_text() == "GO ON\nSTOP\n"


def test_unknown_formats(tmp_path):
    with pytest.raises(ValueError, match="unknown format 'doc': must be one of txt, json"):
        TranscriptFiles(tmp_path, ["txt", "doc"])


def test_ordinary_words_and_names_are_left_alone():
    for text in ("IT'S", "and/or", "AN4-fash", "50%", "EN2001a.Mix-Headset", "%hesitation", "É"):
        assert escape(text) == text
