"""Readers and writers of transcripts, and how a format is found out."""

from __future__ import annotations

import json

import pytest

from gatedrnn.data.tables import Utterance, write_csv
from gatedrnn.scoring.formats import (
    FORMATS,
    Transcript,
    described,
    detect,
    read,
    read_ctm,
    read_map,
    read_stm,
    read_trn,
    scored_words,
)
from gatedrnn.scoring.report import write_ctm, write_stm, write_trn
from tests.scoring.nist import DATA

TEXTS = {
    "trn": ";; made by hand\nGO ON (ann-1)\n\n(bob-2)\n",
    "stm": "m1 1 ann 0.5 1.25 <o,f0,female> GO ON\nm1 1 bob 2 3\n",
    "ctm": "m1 1 0.5 0.25 GO 0.9\nm1 1 0.75 0.25 ON\n",
    "kaldi": "ann-1 GO ON\nbob-2\n",
    "tsv": "ann-1\tGO ON\nbob-2\t\n",
    "jsonl": '{"id": "ann-1", "text": "GO ON", "model": "x"}\n{"id": "bob-2", "text": ""}\n',
}


def put(folder, name: str, text: str):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", TEXTS)
def test_format_is_found_out_by_ending_and_by_content(name, tmp_path):
    for file in (f"a.{name}", "anything.txt", "anything"):
        if name != "kaldi" or file != "a.kaldi":
            assert detect(put(tmp_path, file, TEXTS[name])) == name
    items = read(tmp_path / "anything").items
    assert items[0].text == "GO ON"
    if name != "ctm":
        assert len(items) == 2
        assert items[1].words == ()


def test_windows_files_and_marks_of_byte_order(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffGO ON (ann-1)\r\nCAFE\u0301 (ann-2)\r\n".encode())
    assert [item.text for item in read(path).items] == ["GO ON", "CAF\u00c9"]


def test_prepared_corpora_give_speakers_recordings_and_times(tmp_path):
    # Half an hour into a recording a rate reckoned from rounded seconds would be seconds off.
    start = 1800 * 16000
    rows = [
        Utterance("u1", 0.071, "/a/m1.wav", start, start + 1137, 0, "ann", "GO ON"),
        Utterance("u2", 1.0, "/a/m1.wav", start + 16000, start + 32000, 1, "bob", ""),
    ]
    write_csv(tmp_path / "dev.csv", rows)
    first, second = read(tmp_path / "dev.csv").items
    assert (first.speaker, first.recording, first.channel, first.start) == ("ann", "m1", "1", 1800)
    assert (second.channel, second.start, second.end) == ("2", 1801, 1802)
    (tmp_path / "dev.csv").rename(tmp_path / "dev.txt")
    assert detect(tmp_path / "dev.txt") == "csv"


def test_json_lines_of_a_training_hold_both_sides():
    path = DATA / "an4_near.jsonl"
    references, hypotheses = read(path, reference=True), read(path)
    record = json.loads(path.read_text().splitlines()[0])
    assert references.items[0].text == record["ref"]
    assert hypotheses.items[0].text == record["hyps"][0]["text"]
    assert [w.word for w in hypotheses.items[0].times] == record["hyps"][0]["text"].split()
    assert references.items[0].times == ()


def test_json_lines_of_a_transcription(tmp_path):
    words = [{"word": "GO", "start": 60.5, "end": 61.0, "confidence": 0.9}]
    record = {"id": "m1", "text": "GO", "reference": "GO ON", "recording": "m1", "channel": 1}
    path = put(tmp_path, "a.jsonl", json.dumps({**record, "words": words}) + "\n")
    (hypotheses,) = read(path).items
    assert (hypotheses.text, hypotheses.channel, hypotheses.start, hypotheses.times[0].start) == (
        "GO",
        "2",
        0.0,
        60.5,
    )
    assert read(path, reference=True).items[0].text == "GO ON"
    path = put(tmp_path, "b.jsonl", json.dumps({**record, "reference": None}) + "\n")
    with pytest.raises(ValueError, match="line 1: the text of the reference must be a string"):
        read(path, reference=True)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", "the file is empty"),
        ("a.trn", ";; nothing\n", "no utterance in it .read as trn."),
        ("a.txt", "m1 1 3 0.5 1.5\n", "could be stm or ctm; say which with --ref-format"),
        ("a.txt", "GO (a-1)\nON (a-2)\nNO a-3\n", "most lines are trn, but line 3 is not: 'NO a-3"),
        ("a.trn", "GO ON\n", "line 1: a trn line must end in the utterance's name"),
        ("a.trn", "GO (a-1)\nON (a-1)\n", "utterance a-1 appears twice"),
        ("a.trn", "GO { ON / IN } (a-1)\n", "line 1: '{' marks alternatives"),
        ("a.tsv", "a-1\tGO\tON\n", "line 1: 3 column.s.; there must be two"),
        ("a.stm", "m1 1 ann 0.5 GO ON\n", "line 1: an stm line must be"),
        ("a.stm", "m1 1 ann 2.5 1.5 GO\n", "line 1: the segment ends before it starts"),
        ("a.ctm", "m1 1 ann 0.5 GO\n", "line 1: a ctm line must be"),
        ("a.ctm", "m1 1 * * <ALT_BEGIN>\n", "line 1: a ctm line must be"),
        ("a.ctm", "m1 1 0 0 <ALT_BEGIN>\n", "line 1: '<ALT_BEGIN>' marks alternatives"),
        ("a.jsonl", '{"id": "a"}\n', "line 1: there is no 'text'"),
        ("a.jsonl", '{"text": "a"}\n', "line 1: there is no 'id'"),
        ("a.jsonl", '{"id": "a", "text": 3}\n', "line 1: the text of the hypothesis must be a str"),
        ("a.jsonl", "[1]\n", "line 1: is no JSON object"),
        ("a.json", "{\n", "line 1: .* there must be an object on each line"),
        ("a.csv", "ID,text\n", "no column duration"),
    ],
)
def test_bad_files_are_named(name, text, message, tmp_path):
    path = put(tmp_path, name, text)
    with pytest.raises(ValueError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read(tmp_path / "a.trn")
    (tmp_path / "b.trn").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="transcripts must be UTF-8"):
        read(tmp_path / "b.trn")
    with pytest.raises(ValueError, match=f"no format 'nist'; there are: {', '.join(FORMATS)}"):
        read(tmp_path / "b.trn", "nist")


def test_a_format_can_be_forced(tmp_path):
    path = put(tmp_path, "a.txt", "GO ON (ann-1)\n")
    assert read(path, "kaldi").items[0].id == "GO"


def test_what_is_written_is_read_again(tmp_path):
    stm = read_stm(put(tmp_path, "a.stm", TEXTS["stm"])).items
    # A first word in angle brackets must not become a label.
    odd = Transcript("u", ("<UNK>", "YES"), "ann", "m0", start=1.0, end=2.0)
    write_stm(tmp_path / "b.stm", [*stm, odd])
    again = read_stm(tmp_path / "b.stm").items
    assert [t.recording for t in again] == ["m0", "m1", "m1"]
    assert [t.text for t in again] == ["<UNK> YES", "GO ON", ""]
    assert [(t.start, t.end, t.speaker) for t in again[1:]] == [(0.5, 1.25, "ann"), (2, 3, "bob")]
    ctm = read_ctm(put(tmp_path, "a.ctm", TEXTS["ctm"]))
    write_ctm(tmp_path / "b.ctm", ctm.items)
    assert read_ctm(tmp_path / "b.ctm").items == ctm.items
    trn = read_trn(put(tmp_path, "a.trn", TEXTS["trn"]))
    write_trn(tmp_path / "b.trn", trn.items)
    assert read_trn(tmp_path / "b.trn").items == trn.items


@pytest.mark.parametrize("word", ["@", "{", "A}", "A;B", ";;", "A*", "<ALT>"])
def test_words_that_sclite_reads_otherwise_are_refused(word, tmp_path):
    item = Transcript("ann-1", ("GO", word), "ann", "m1", start=0.0, end=1.0)
    for write in (write_trn, write_stm):
        with pytest.raises(ValueError, match="utterance ann-1: sclite does not read"):
            write(tmp_path / "a", [item])
    assert list(tmp_path.iterdir()) == []


def test_names_that_sclite_cannot_read_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no names with spaces or parentheses"):
        write_trn(tmp_path / "a", [Transcript("ann-1 (a)", (), "ann")])
    with pytest.raises(ValueError, match="must have no spaces"):
        write_stm(tmp_path / "a", [Transcript("u", (), "ann b", "m1", start=0.0, end=1.0)])
    with pytest.raises(ValueError, match="its recording or its times are unknown"):
        write_stm(tmp_path / "a", [Transcript("u", (), "ann")])
    with pytest.raises(ValueError, match="its recording or its word times are unknown"):
        write_ctm(tmp_path / "a", [Transcript("u", ("GO",), "ann", "m1", start=0.0)])


def test_speakers_and_recordings_of_kaldi(tmp_path):
    kaldi = read(put(tmp_path, "text", TEXTS["kaldi"]))
    speakers = read_map(put(tmp_path, "utt2spk", "ann-1 ann\nbob-2 bob\n"))
    recordings = read_map(put(tmp_path, "segments", "ann-1 m1 0 1\nbob-2 m1 1 2\n"))
    both = described(kaldi, speakers, recordings).items
    assert [(t.speaker, t.recording) for t in both] == [("ann", "m1"), ("bob", "m1")]
    with pytest.raises(ValueError, match="no speaker is given for 1 of 2 .* such as bob-2"):
        described(kaldi, {"ann-1": "ann"})
    with pytest.raises(ValueError, match="line 1: one column"):
        read_map(put(tmp_path, "bad", "ann-1\n"))
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_map(tmp_path / "none")


def test_words_of_a_line_are_scored():
    assert scored_words("a.trn", 1, "GO ON") == ("GO", "ON")
