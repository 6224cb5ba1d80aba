"""Which hypothesis belongs to which reference, and what is left over."""

from __future__ import annotations

import json
import random
import subprocess
from dataclasses import replace

import pytest

from gatedrnn.data.result_table import render
from gatedrnn.scoring import Options, Transcript, Transcripts, read, score
from gatedrnn.scoring.formats import described, read_map
from gatedrnn.scoring.pairing import pair
from gatedrnn.scoring.report import score_sections, write_files
from tests.scoring.nist import DATA, sclite, tool


def texts(**words: str) -> Transcripts:
    items = (Transcript(name, tuple(text.split())) for name, text in words.items())
    return Transcripts("some.trn", "trn", tuple(items))


def test_what_is_missing_counts_as_deleted_and_is_told():
    found = score(texts(a="GO ON", b="NO", c="YES"), texts(c="YES", a="GO IN"))
    counts = found.measures["WER"].counts
    assert (counts.tokens, counts.substitutions, counts.deletions) == (4, 1, 1)
    text = render(score_sections(found), markdown=False)
    assert "MISSING: 1 (b) have no hypothesis (all their words count as deleted)" in text


def test_what_is_missing_can_be_left_out_or_stop():
    references, hypotheses = texts(a="GO ON", b="NO"), texts(a="GO ON")
    found = score(references, hypotheses, Options(missing="ignore"))
    assert found.measures["WER"].counts.tokens == 2
    assert "MISSING: 1 (b) have no hypothesis (left out)" in render(score_sections(found), False)
    with pytest.raises(ValueError, match="lacks 1 utterances: b"):
        pair(references, hypotheses, missing="error")
    with pytest.raises(ValueError, match="missing must be one of delete, ignore, error"):
        pair(references, hypotheses, missing="skip")


def test_what_is_extra_stops_or_is_told():
    references, hypotheses = texts(a="GO ON"), texts(a="GO ON", x="HM", y="AH")
    with pytest.raises(ValueError, match="has 2 that some.trn has not: x, y; .*--extra ignore"):
        score(references, hypotheses)
    found = score(references, hypotheses, Options(extra="ignore"))
    assert found.measures["WER"].counts.errors == 0
    assert "EXTRA: 2 (x, y) are not in the reference (left out)" in render(
        score_sections(found), False
    )


def test_files_that_do_not_belong_together_are_told_with_names():
    with pytest.raises(ValueError, match="no hypothesis for any .* it has x, they are called a"):
        score(texts(a="GO ON"), texts(x="GO ON"), Options(extra="ignore"))


def test_a_ctm_file_is_no_reference(tmp_path):
    (tmp_path / "a.ctm").write_text("m1 1 0.5 0.25 GO\n")
    with pytest.raises(ValueError, match="a ctm file has no utterances and is no reference"):
        pair(read(tmp_path / "a.ctm"), read(tmp_path / "a.ctm"))


def meetings(folder, seed: int):
    """Segments, overlapping or apart, one not to be scored, and words around and between them."""
    draw = random.Random(seed)
    segments, words = [], []
    for recording, channels in (("m1", "AB"), ("m2", "A"), ("m3", "AB")):
        for channel in channels:
            time = 0.0
            for number in range(12):
                start = max(0.0, time + draw.choice([-0.8, 0.0, 0.5]))
                time = start + draw.choice([0.8, 1.5, 3.0])
                text = " ".join(draw.choices("ABCD", k=draw.randint(1, 6)))
                if number == 5:
                    text = "IGNORE_TIME_SEGMENT_IN_SCORING"
                segments.append((recording, channel, start, f"s{number % 3} {start} {time} {text}"))
            # The middles of some words lie exactly on ends of segments.
            for _ in range(45):
                begin = round(draw.uniform(0, time + 1), 1)
                word = f"{begin} {draw.choice([0.2, 0.4])} {draw.choice('ABCD')}"
                words.append((recording, channel, begin, word))
    paths = folder / "r.stm", folder / "h.ctm"
    for path, rows in zip(paths, (segments, words), strict=True):
        rows.sort(key=lambda row: row[:3])
        path.write_text("".join(f"{a} {b} {text}\n" for a, b, _, text in rows))
    return paths


@pytest.mark.parametrize("seed", range(5))
def test_words_go_to_the_segments_that_sclite_gives_them(seed, tmp_path):
    paths = meetings(tmp_path, seed)
    theirs = sclite(tmp_path, *paths, "-s")
    ours = score(*(read(path) for path in paths), Options(resamples=1))
    assert len(ours.pairing.ignored) == 5
    numbers: dict[str, int] = {}
    for found, counts in zip(ours.pairing.pairs, ours.measures["WER"].each, strict=True):
        speaker = found.reference.speaker
        name = f"{speaker}-{numbers.setdefault(speaker, 0):03d}"
        numbers[speaker] += 1
        mine = counts.correct, counts.substitutions, counts.deletions, counts.insertions
        assert mine == theirs[name], found
    assert len(ours.pairing.pairs) == len(theirs)


def test_recordings_without_words_are_missing_and_unknown_ones_extra(tmp_path):
    (tmp_path / "r.stm").write_text("m1 1 ann 0 1 GO\nm1 1 ann 1 2 ON\nm2 1 bob 0 1 NO\n")
    (tmp_path / "h.ctm").write_text("m1 1 0.1 0.3 GO\nm3 1 0.1 0.3 AH\n")
    references, hypotheses = read(tmp_path / "r.stm"), read(tmp_path / "h.ctm")
    with pytest.raises(ValueError, match="has 1 that .* has not: m3-1"):
        pair(references, hypotheses)
    found = pair(references, hypotheses, extra="ignore")
    assert found.missing == ("m2-1-bob-0.000-1.000",)
    assert [p.hypothesis.text for p in found.pairs] == ["GO", "", ""]


def test_one_line_of_json_per_recording_is_cut_by_time(tmp_path):
    (tmp_path / "r.stm").write_text("m1 1 ann 0 1 GO ON\nm1 1 bob 1 2 NO\n")
    words = [
        {"word": word, "start": start, "end": start + 0.2}
        for word, start in (("NO", 1.5), ("GO", 0.1), ("ON", 0.4))
    ]
    record = {"id": "m1", "text": "NO GO ON", "words": words, "recording": "m1", "channel": None}
    (tmp_path / "h.jsonl").write_text(json.dumps(record) + "\n")
    found = pair(read(tmp_path / "r.stm"), read(tmp_path / "h.jsonl"))
    assert [p.hypothesis.text for p in found.pairs] == ["GO ON", "NO"]
    (tmp_path / "h.jsonl").write_text(2 * (json.dumps(record) + "\n"))
    with pytest.raises(ValueError, match="utterance m1 appears twice"):
        read(tmp_path / "h.jsonl")


def test_times_are_needed_to_cut(tmp_path):
    (tmp_path / "h.ctm").write_text("m1 1 0.1 0.3 GO\n")
    with pytest.raises(ValueError, match="need a reference with recordings and times"):
        pair(texts(a="GO"), read(tmp_path / "h.ctm"))


@pytest.mark.parametrize("at_once", [False, True])
def test_asclite_reads_what_is_written(at_once, tmp_path):
    path = DATA / "an4_near.jsonl"
    references = described(read(path, reference=True), read_map(DATA / "utt2spk")).items
    if at_once:  # an utterance of each of three speakers
        references = tuple({item.speaker: item for item in references}.values())[:3]
    items = tuple(
        replace(t, recording="m1", start=i * step, end=i * step + 20.0)
        for step in [0.0 if at_once else 20.0]
        for i, t in enumerate(references)
    )
    chosen = {item.id for item in items}
    hypotheses = tuple(item for item in read(path).items if item.id in chosen)
    ours = score(
        Transcripts("r", "stm", items), Transcripts("h", "jsonl", hypotheses), Options(resamples=1)
    )
    write_files(tmp_path, [ours])
    done = subprocess.run(
        [tool("asclite"), "-r", tmp_path / "ref.stm", "stm", "-h", tmp_path / "hyp.ctm", "ctm",
         "-s", "-f", "0", "-o", "rsum", "stdout"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("| Sum ")]
    theirs = [int(cell) for cell in line.replace("|", " ").split()[2:8]]
    counts = ours.measures["WER"].counts
    assert theirs[0] == counts.tokens
    # For overlapped words asclite knows no speaker, and so may find fewer errors.
    assert theirs[5] <= counts.errors if at_once else theirs[5] == counts.errors
