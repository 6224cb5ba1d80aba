"""Preparation of AMI, on a tiny corpus with every known issue."""

from __future__ import annotations

import json
import logging
import shutil
import zipfile
from pathlib import Path

import pytest

from gatedrnn.data.preparation import Prepared
from gatedrnn.data.tables import Utterance, read_csv
from gatedrnn.tasks.asr.corpora.ami.annotations import (
    Annotations,
    NxtSegment,
    NxtToken,
    Piece,
    clip,
    kaldi,
    plain,
    words30,
)
from gatedrnn.tasks.asr.corpora.ami.meetings import Microphone, choose, find_partition
from gatedrnn.tasks.asr.corpora.ami.prepare import AmiOptions, explain, prepare_ami
from recipes.AMI import ami_prepare
from tests.data.corpora import Nxt, cut, tone

SENTENCES = [
    "Hi 1.0 1.4",
    ". 1.4",
    "<vocalsound> 1.5 1.9",
    "L_C_D 2.0 2.6",
    ", 2.6",
    "it's 2.7 3.0",
]


@pytest.fixture
def corpus(tmp_path: Path) -> tuple[Path, Path]:
    """Annotations, and recordings in folders that say nothing."""
    nxt = Nxt(tmp_path / "zip" / "ami_public_manual_1.6.2")
    audio = tmp_path / "audio"
    nxt.speaker("ES2002a", "A", "FEE005", SENTENCES, [(0.9, 3.2, 0, 5)])
    nxt.speaker("ES2002a", "B", "MEE006", ["café 4.0 4.5"], [(3.9, 4.6, 0, 0), (5.0, 6.0)])
    tone(audio / "a" / "b" / "ES2002a.Array1-01.wav", 10)
    for channel in (0, 1):
        tone(audio / f"ES2002a.Headset-{channel}.wav", 10)
    nxt.speaker("ES2011a", "A", "FEE041", ["Okay 1.0 1.5", "so 1.6 1.8"], [(0.9, 2.0, 0, 1)])
    tone(audio / "ES2011a.Array1-01.wav", 10)
    nxt.speaker("TS3003a", "A", "MTD012ME", ["Yes 1.0 1.5"], [(0.9, 2.0, 0, 0)])
    tone(audio / "TS3003a.Array1-01.wav", 10)
    return nxt.root.parent, audio


def prepared(corpus: tuple[Path, Path], out: Path, **options: str) -> Prepared:
    annotations, audio = corpus
    return prepare_ami(annotations, out, audio, AmiOptions(**options))


def rows(prepared: Prepared) -> dict[str, Utterance]:
    return {row.id: row for path in prepared.files.values() for row in read_csv(path)}


def issues(prepared: Prepared) -> dict[str, dict[str, str]]:
    return {kind: issue["items"] for kind, issue in prepared.findings()["issues"].items()}


def test_rows(corpus, tmp_path):
    found = prepared(corpus, tmp_path / "out")
    assert {split: len(read_csv(path)) for split, path in found.files.items()} == {
        "train": 2,
        "dev": 1,
        "eval": 1,
    }
    row = rows(found)["ES2002a_A_0000900_0003200"]
    recording = corpus[1] / "a" / "b" / "ES2002a.Array1-01.wav"
    assert row == Utterance(row.id, 2.3, str(recording), 14400, 51200, 0, "FEE005", "HI LCD IT'S")


def test_latin_1_and_tno_speakers(corpus, tmp_path):
    found = rows(prepared(corpus, tmp_path / "out"))
    assert found["ES2002a_B_0003900_0004600"].words == "CAFE"
    assert found["TS3003a_A_0000900_0002000"].speaker == "MTD012ME"


def test_words30_splits_at_full_stops_and_takes_the_times_of_words(corpus, tmp_path):
    found = rows(prepared(corpus, tmp_path / "out", segmentation="words30", normalize="kaldi"))
    spans = {(row.start, row.stop): row.words for row in found.values() if "_A_" in row.id}
    assert spans[16000, 22400] == "HI"
    assert spans[32000, 48000] == "L. C. D IT'S"


def test_long_sentences_are_split_at_the_middle_comma(corpus, tmp_path):
    words = []
    for i in range(40):
        words.append(f"w{i}x {i + 1}.0 {i + 1}.5")
        if i in (4, 17, 30):
            words.append(f", {i + 1}.5")
    Nxt.speaker(_again(corpus), "ES2002a", "A", None, words, [(0.9, 41.0, 0, len(words) - 1)])
    tone(corpus[1] / "a" / "b" / "ES2002a.Array1-01.wav", 60)
    found = rows(prepared(corpus, tmp_path / "out", segmentation="words30"))
    counts = sorted(len(row.words.split()) for row in found.values() if "ES2002a_A" in row.id)
    assert counts == [18, 22]


def _again(corpus: tuple[Path, Path]) -> Nxt:
    """Writes into annotations that are there; meetings.xml stays."""
    nxt = Nxt.__new__(Nxt)
    nxt.root = next(corpus[0].iterdir())
    nxt.write_meetings = lambda: None
    return nxt


@pytest.mark.parametrize(
    ("mic", "name"),
    [("sdm", "Array1-01"), ("ihm", "Headset-1"), ("Array2-03", "Array2-03"), ("mix", "Mix-Headset"),
     ("Mix-Lapel", "Mix-Lapel"), ("lapel", "Lapel-1")],
)  # fmt: skip
def test_microphones(corpus, tmp_path, mic, name):
    path = corpus[1].rglob(f"ES2002a.{name}.wav")
    path = next(path, None) or tone(corpus[1] / f"ES2002a.{name}.wav", 10)
    found = rows(prepared(corpus, tmp_path / "out", mic=mic))
    assert found["ES2002a_B_0003900_0004600"].wav == str(path)


@pytest.mark.parametrize("mic", ["mdm", "Array", "headset-9"])
def test_unknown_microphone(mic):
    with pytest.raises(ValueError, match=f"microphone '{mic}': must be"):
        AmiOptions(mic=mic)


def test_missing_recordings_are_listed(corpus, tmp_path):
    nxt = _again(corpus)
    nxt.speaker("IS1003b", "A", None, ["Hi 1.0 1.5"], [(0.9, 2.0, 0, 0)])
    nxt.speaker("ES2003a", "A", None, ["Hi 1.0 1.5"], [(0.9, 2.0, 0, 0)])
    missing = issues(prepared(corpus, tmp_path / "out"))["audio-missing"]
    assert missing == {
        "IS1003b.Array1-01.wav": "never published: known to AMI's makers",
        "ES2003a.Array1-01.wav": "not in the folder",
    }


def test_two_channels_give_channel_0(corpus, tmp_path):
    nxt = _again(corpus)
    nxt.speaker("ES2010d", "A", None, ["Hi 1.0 1.5"], [(0.9, 2.0, 0, 0)])
    path = tone(corpus[1] / "ES2010d.Array1-01.wav", 10, channels=2)
    found = prepared(corpus, tmp_path / "out")
    assert rows(found)["ES2010d_A_0000900_0002000"].channel == 0
    assert issues(found)["audio-channels"] == {str(path): "2 channels, channel 0 is used"}


def test_other_rates_count_in_samples_of_the_recording(corpus, tmp_path):
    path = tone(corpus[1] / "ES2011a.Array1-01.wav", 10, rate=8000)
    found = prepared(corpus, tmp_path / "out")
    row = rows(found)["ES2011a_A_0000900_0002000"]
    assert (row.start, row.stop, row.duration) == (7200, 16000, 1.1)
    assert issues(found)["audio-rate"] == {str(path): "8000 Hz"}


def test_the_end_of_the_audio(corpus, tmp_path):
    nxt = _again(corpus)
    words = ["all 1.0 1.5", "half 9.0 9.6", "gone 10.5 10.9", "past 11.0 11.5"]
    segments = [(0.9, 2.0, 0, 0), (8.9, 10.9, 1, 2), (10.95, 12.0, 3, 3)]
    nxt.speaker("ES2002a", "A", None, words, segments)
    found = prepared(corpus, tmp_path / "out")
    clipped = rows(found)["ES2002a_A_0008900_0010900"]
    assert (clipped.stop, clipped.words) == (160_000, "HALF")
    assert list(issues(found)["clipped"]) == ["ES2002a_A_0008900_0010900"]
    assert list(issues(found)["past-the-end"]) == ["ES2002a_A_0010950_0012000"]


def test_a_recording_that_was_cut_off_is_used_as_far_as_it_goes(corpus, tmp_path):
    path = cut(next(corpus[1].rglob("ES2002a.Array1-01.wav")), 0.35)
    found = prepared(corpus, tmp_path / "out")
    assert list(issues(found)["recording-truncated"]) == [str(path)]
    assert "ES2002a_A_0000900_0003200" in rows(found)
    assert list(issues(found)["past-the-end"]) == ["ES2002a_B_0003900_0004600"]


def test_words_with_odd_times_are_mended(corpus, tmp_path):
    nxt = _again(corpus)
    words = ["one 1.0 1.5", "two", "three 3.0 2.0", "nan nan nan", "lost 8.0 8.1"]
    nxt.speaker("ES2002a", "A", None, words, [(0.9, 4.0, 0, 3)])
    found = prepared(corpus, tmp_path / "out", segmentation="words30")
    row = rows(found)["ES2002a_A_0001000_0003000"]
    assert row.words == "ONE TWO THREE NAN"
    named = issues(found)
    assert list(named["word-untimed"]) == ["ES2002a.A.words1", "ES2002a.A.words3"]
    assert named["word-negative"] == {"ES2002a.A.words2": "'three' from 3.0 to 2.0 s"}
    assert list(named["word-unlinked"]) == ["ES2002a.A.words4"]


def test_odd_segments(corpus, tmp_path):
    nxt = _again(corpus)
    words = ["one 1.0 1.5", "two 2.0 2.5", ".. 3.0 3.5", "four 4.0 4.0"]
    segments = [
        (1.6, 0.9, 0, 0),  # reversed
        (1.9, 5.0, 1, 1),
        (2.9, 3.6, 2, 2),  # nothing but dots, and inside of the one before
        (7.0, 8.0),  # refers to nothing
        (7.0, 8.0, 0, 99),  # refers to what is not there
        (4.2, 4.1, 3, 3),  # reversed, and its word has no duration
    ]
    nxt.speaker("ES2002a", "A", None, words, segments)
    found = prepared(corpus, tmp_path / "out")
    named = {kind: list(items) for kind, items in issues(found).items()}
    sync = "ES2002a.A.segments.xml#ES2002a.sync."
    assert named["segment-negative"] == [f"{sync}0", f"{sync}5"]
    assert named["link-missing"] == [f"{sync}3", "ES2002a.B.segments.xml#ES2002a.sync.1"]
    assert named["link-broken"] == [f"{sync}4"]
    assert named["text-empty"] == ["ES2002a_A_0002900_0003600"]
    assert named["no-duration"] == ["ES2002a_A_0004000_0004000"]
    assert "ES2002a.A 2.900" in named["segment-overlap"]
    row = rows(found)["ES2002a_A_0001000_0001500"]
    assert row.words == "ONE"


def test_broken_files_are_named_once_and_skipped(corpus, tmp_path):
    nxt = _again(corpus)
    nxt.speaker("ES2002a", "C", None, SENTENCES * 9, [(0.9, 3.2, 0, 5)])
    cut(nxt.file("words", "ES2002a", "C"))
    nxt.speaker("ES2002a", "D", None, SENTENCES * 9, [(0.9, 3.2, 0, 5)])
    cut(nxt.file("segments", "ES2002a", "D"))
    nxt.speaker("ES2011a", "B", None, SENTENCES, [(0.9, 3.2, 0, 5)])
    nxt.file("words", "ES2011a", "B").unlink()
    nxt.speaker("ES2011a", "C", None, SENTENCES, [(0.9, 3.2, 0, 5)])
    nxt.file("segments", "ES2011a", "C").unlink()
    nxt.speaker("ES2011a", "D", None, SENTENCES, [(0.9, 3.2, 0, 5)])
    found = prepared(corpus, tmp_path / "out")
    named = {kind: list(items) for kind, items in issues(found).items()}
    assert named["xml-broken"] == ["ES2002a.C.words.xml", "ES2002a.D.segments.xml"]
    assert named["words-file-missing"] == ["ES2011a.B.words.xml"]
    assert named["segments-file-missing"] == ["ES2011a.C.segments.xml"]
    assert named["speaker-unlisted"] == ["ES2011a.D"]
    assert len(rows(found)) == 5


def test_broken_list_of_meetings(corpus, tmp_path):
    cut(next(corpus[0].rglob("meetings.xml")))
    with pytest.raises(ValueError, match="meetings.xml: .*complete meetings.xml"):
        prepared(corpus, tmp_path / "out")


def test_a_second_run_does_nothing_and_another_option_prepares_again(corpus, tmp_path):
    out = tmp_path / "out"
    assert not prepared(corpus, out).reused
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert prepared(corpus, out).reused
    assert before == {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert not prepared(corpus, out, normalize="kaldi").reused
    assert rows(prepared(corpus, out))["ES2002a_A_0000900_0003200"].words == "HI LCD IT'S"
    tone(corpus[1] / "ES2011a.Array1-01.wav", 11)
    assert not prepared(corpus, out).reused
    (out / "dev.csv").unlink()
    assert not prepared(corpus, out).reused
    _again(corpus).speaker("ES2002a", "A", None, ["New 1.0 1.5"], [(0.9, 2.0, 0, 0)])
    assert not prepared(corpus, out).reused


def test_the_zip_file_need_not_be_unpacked(corpus, tmp_path):
    path = tmp_path / "ami_public_manual_1.6.2.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in corpus[0].rglob("*.xml"):
            archive.write(file, file.relative_to(corpus[0] / "ami_public_manual_1.6.2"))
    unpacked = rows(prepared(corpus, tmp_path / "a"))
    assert rows(prepared((path, corpus[1]), tmp_path / "b")) == unpacked
    assert [file.name for file in tmp_path.glob("*.xml")] == []


def test_something_else_than_annotations(corpus, tmp_path):
    with pytest.raises(FileNotFoundError, match="has no corpusResources/meetings.xml"):
        prepare_ami(corpus[1], tmp_path / "out", corpus[1])
    shutil.copytree(corpus[0] / "ami_public_manual_1.6.2", corpus[0] / "copy")
    with pytest.raises(ValueError, match="has the annotations 2 times, in .*copy/; give"):
        prepare_ami(corpus[0], tmp_path / "out", corpus[1])
    (tmp_path / "a.tar").write_bytes(b"not a zip file")
    with pytest.raises(ValueError, match="must be a folder or the zip file"):
        prepare_ami(tmp_path / "a.tar", tmp_path / "out", corpus[1])
    with pytest.raises(FileNotFoundError, match="no such folder of recordings"):
        prepare_ami(corpus[0] / "copy", tmp_path / "out", tmp_path / "nowhere")


def test_no_recordings_at_all_is_an_error_with_a_report(corpus, tmp_path):
    with pytest.raises(ValueError, match="no utterance left.*3 recordings are missing"):
        prepared(corpus, tmp_path / "out", mic="Array1-08")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["issues"]["audio-missing"]["count"] == 3


def test_partition_of_ones_own(corpus, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"train": ["ES2011a"], "dev": ["ES2002a"], "eval": []}))
    found = prepared(corpus, tmp_path / "out", partition=str(path))
    counts = [len(read_csv(file)) for file in found.files.values()]
    assert counts == [1, 2, 0]
    assert list(issues(found)["meeting-unknown"]) == ["TS3003a"]
    path.write_text(json.dumps({"train": ["ES2011a"], "dev": ["ES2011a"], "eval": []}))
    with pytest.raises(ValueError, match="ES2011a is in two splits; must be in one"):
        prepared(corpus, tmp_path / "out", partition=str(path))


def test_figures_outside_of_the_published_are_loud(corpus, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        found = prepared(corpus, tmp_path / "out")
    assert "!!! dev utterances is 1, OUTSIDE of" in caplog.text
    checks = {check["name"]: check["holds"] for check in found.findings()["checks"]}
    assert checks["dev utterances"] is False


def test_command(corpus, tmp_path, capsys):
    annotations, audio = map(str, corpus)
    out = tmp_path / "out"
    arguments = ["--annotations", annotations, "--out", str(out)]
    assert ami_prepare.main([*arguments, "--audio", audio]) == 0
    assert "train  utterances 2" in capsys.readouterr().out
    assert ami_prepare.main([*arguments, "--audio", audio, "--strict"]) == 1
    assert ami_prepare.main([*arguments, "--text-only"]) == 0
    assert (out / "dev.txt").read_text() == "OKAY SO\n"
    assert read_csv(out / "dev.csv")[0].wav == ""
    assert ami_prepare.main([*arguments, "--text-only", "--normalize", "no"]) == 2
    assert "normalize 'no': must be one of plain, kaldi" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        ami_prepare.main(arguments)


@pytest.mark.parametrize(
    ("text", "as_plain", "as_kaldi"),
    [
        # What Kaldi's script makes of it, but for its bug, which loses "UM" and "I".
        (
            "YEAH UM,I THINK THE L_C_D T_V_ MM-HMM ANTI-TRUST",
            "YEAH UM I THINK THE LCD TV MM HMM ANTI TRUST",
            "YEAH UM I THINK THE L. C. D T. V. MM-HMM ANTI TRUST",
        ),
        ("T_V_s , and L_C_D_'s .", "TVS AND LCD'S", "T. V. S AND L. C. D. 'S"),
        ("uh huh uh-huh Mm hmm", "UH HUH UH HUH MM HMM", "UH-HUH UH-HUH MM-HMM"),
        ("hmm mm hmmm", "HMM MM HMMM", "HMM MM HMMM"),
        ("I- .. @'s ?", "I 'S", "I 'S"),
        ("'Kay it's", "'KAY IT'S", "'KAY IT'S"),
        ("_ - ...", "", ""),
    ],
)
def test_text_normalization(text, as_plain, as_kaldi):
    assert plain(text) == as_plain
    assert kaldi(text) == as_kaldi


def test_annotations_are_found_in_a_folder_of_the_archive(tmp_path):
    root = tmp_path / "ami_public_manual_1.6.2"
    for name in (
        "words/M.A.words.xml",
        "segments/M.A.segments.xml",
        "corpusResources/meetings.xml",
    ):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text("<xml/>")
    with Annotations(tmp_path) as annotations:
        assert annotations.names("words") == ["M.A.words.xml"]
        assert annotations.read("words", "M.A.words.xml") == b"<xml/>"


def test_a_microphone_has_one_recording_of_a_meeting():
    recordings = {("M1", "headset-0"): Path("a.wav")}
    assert choose(recordings, "M1", Microphone("ihm"), 0) == Path("a.wav")
    assert choose(recordings, "M1", Microphone("ihm"), 1) is None


def test_sizes_of_the_official_partition():
    partition = find_partition("full-corpus-asr")
    sizes = [len(partition.of_split(split)) for split in ("train", "dev", "eval")]
    assert sizes == [136, 18, 16]
    assert "IB4005" in explain("unsplit")


def test_pieces_end_at_punctuation_and_at_the_end_of_the_recording():
    tokens = tuple(
        NxtToken(f"w{i}", "punctuation" if text in ".," else "word", text, i, i + 0.5, True)
        for i, text in enumerate("Okay . So , yes .".split())
    )
    pieces = words30(NxtSegment("s", 0, 9, tokens))
    expected = [("Okay", 0.0, 0.5), ("So yes", 2.0, 4.5)]
    assert [(piece.text, piece.start, piece.end) for piece in pieces] == expected
    words = (
        NxtToken("w0", "word", "Hi", 1.0, 1.5, True),
        NxtToken("w1", "word", "there", 5.0, 5.5, True),
    )
    assert clip(Piece(0.5, 6.0, words), 3.0).text == "Hi"
