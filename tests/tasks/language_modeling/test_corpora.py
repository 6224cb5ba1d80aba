"""Readers: real corpora by their published counts, and every issue of a text file."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from gatedrnn.data.report import Report
from gatedrnn.data.tables import read_lines
from gatedrnn.tasks.language_modeling.data import read_corpus

DATA = Path(__file__).parents[3].parent / "shared" / "data"
AMI = DATA / "ami" / "lm_text"
TEXTS = DATA / "lm_text"


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


# ---- real text ------------------------------------------------------------------------------


@pytest.mark.skipif(not AMI.is_dir(), reason="no AMI transcripts")
def test_ami_has_the_words_that_are_published():
    report = Report("ami")
    found = read_corpus("ami", AMI, report)
    texts = (found.train, found.valid, *found.tests)
    assert [t.name for t in texts] == ["train", "dev", "eval"]
    assert [t.words - len(t.lines) for t in texts] == [801_100, 95_164, 89_641]
    assert [len(t.lines) for t in texts] == [67_317, 8_665, 7_490]
    assert report.as_dict()["issues"] == {}
    by_file = read_corpus("ami", AMI, Report("ami"), order="file")
    assert by_file.valid.lines != found.valid.lines
    assert sorted(by_file.valid.lines) == sorted(found.valid.lines)
    without = read_corpus("ami", AMI, Report("ami"), exclude=["IB4005"])
    assert len(without.train.lines) == 66_784
    assert without.valid.lines == found.valid.lines


@pytest.mark.skipif(not TEXTS.is_dir(), reason="no WikiText-2")
def test_wikitext_counts_as_all_count(tmp_path):
    for part in ("valid", "test"):
        shutil.copy(TEXTS / f"wikitext2.{part}.txt.gz", tmp_path / f"wiki.{part}.tokens.gz")
    shutil.copy(TEXTS / "wikitext2.valid.txt.gz", tmp_path / "wiki.train.tokens.gz")
    found = read_corpus("wikitext", tmp_path, Report("wikitext"))
    assert (found.valid.words, found.tests[0].words) == (217_646, 245_569)
    with pytest.raises(FileNotFoundError, match="there is no wiki.train.raw"):
        read_corpus("wikitext", tmp_path, Report("wikitext"), raw=True)


@pytest.mark.skipif(not TEXTS.is_dir(), reason="no Shakespeare")
def test_a_file_without_sets_is_cut_at_line_ends():
    found = read_corpus("folder", TEXTS / "tiny_shakespeare.txt.gz", Report("shakespeare"))
    texts = (found.train, found.valid, *found.tests)
    whole = sum(t.characters for t in texts)
    assert [round(100 * t.characters / whole) for t in texts] == [90, 5, 5]
    assert found.train.lines[0] == "First Citizen:"
    assert sum(len(t.lines) for t in texts) == 32_777


# ---- layouts --------------------------------------------------------------------------------


def test_what_ami_prepare_writes_is_read(tmp_path):
    head = "ID,duration,wav,start,stop,channel,spk_id,wrd\n"
    rows = (
        "ES2002a_B_0003000_0004000,1.0,,48000,64000,0,b,AND YOU\n"
        "ES2002a_A_0001000_0002000,1.0,,16000,32000,0,a,WELL I AM\n"
    )
    write(tmp_path, {f"{s}.csv": head + rows for s in ("train", "dev", "eval")})
    found = read_corpus("ami", tmp_path, Report("ami"))
    assert list(found.train.lines) == ["WELL I AM", "AND YOU"]
    for split in ("train", "dev", "eval"):
        (tmp_path / f"{split}.csv").rename(tmp_path / f"{split}.tsv")
        (tmp_path / f"{split}.tsv").write_text("ES2002a.A 1.0 2.0\tYES\nnot a row\nX.A 1 2\t\n")
    report = Report("ami")
    assert list(read_corpus("ami", tmp_path, report).train.lines) == ["YES"]
    assert report.items("value-unreadable") == {
        f"{s}.tsv, row 2": "not a row" for s in ("train", "dev", "eval")
    }
    assert report.count("text-empty") == 3
    for split in ("train", "dev", "eval"):
        (tmp_path / f"{split}.tsv").rename(tmp_path / f"{split}.txt")
    report = Report("ami")
    read_corpus("ami", tmp_path, report)
    assert len(report.notes) == 3
    with pytest.raises(ValueError, match="does not say which meeting"):
        read_corpus("ami", tmp_path, Report("ami"), exclude=["IB4005"])


def test_penn_treebank_may_lie_deeper(tmp_path):
    write(tmp_path, {f"data/ptb.{p}.txt": " no it was n't \n" for p in ("train", "valid", "test")})
    found = read_corpus("ptb", tmp_path, Report("ptb"))
    assert (found.train.name, found.valid.name, found.tests[0].words) == ("train", "valid", 5)
    write(tmp_path, {"other/ptb.valid.txt": "twice"})
    with pytest.raises(ValueError, match="several files are called ptb.valid.txt"):
        read_corpus("ptb", tmp_path, Report("ptb"))


def test_text8_is_cut_by_characters(tmp_path):
    text = " anarchism originated as a term " * 50
    (tmp_path / "text8.gz").write_bytes(gzip.compress(text.encode()))
    found = read_corpus("text8", tmp_path, Report("text8"))
    parts = [found.train, found.valid, found.tests[0]]
    assert "".join(p.lines[0] for p in parts) == text
    assert [p.characters for p in parts] == [1440, 80, 80]
    assert not found.train.ends
    write(tmp_path, {"other": "Capitals" * 50})
    with pytest.raises(ValueError, match="has 'C' at 0: text8 holds a to z"):
        read_corpus("text8", tmp_path / "other", Report("text8"))


def test_paths_say_which_set_a_file_is_of(tmp_path):
    files = {"train/b.txt": "b", "train/a.txt": "a", "x-dev.txt": "v", "TEST.txt": "t"}
    write(tmp_path, files | {"notes.md": "no text of the corpus"})
    found = read_corpus("folder", tmp_path, Report("mine"))
    assert list(found.train.lines) == ["a", "b"]
    assert (list(found.valid.lines), list(found.tests[0].lines)) == (["v"], ["t"])
    write(tmp_path, {"more.txt": "?"})
    with pytest.raises(ValueError, match="more.txt belongs to no set"):
        read_corpus("folder", tmp_path, Report("mine"))
    (tmp_path / "more.txt").rename(tmp_path / "train-test.txt")
    with pytest.raises(ValueError, match="names several sets: test, train"):
        read_corpus("folder", tmp_path, Report("mine"))


def test_too_little_to_be_divided_and_nothing_at_all(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no \.txt"):
        read_corpus("folder", tmp_path, Report("mine"))
    write(tmp_path, {"a.txt": "one line"})
    with pytest.raises(ValueError, match="too few to be divided"):
        read_corpus("folder", tmp_path, Report("mine"))
    with pytest.raises(ValueError, match="corpus must be one of ami, ptb"):
        read_corpus("pbt", tmp_path, Report("mine"))


# ---- issues of a file -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "lines", "issues"),
    [
        (b"one\r\ntwo\r\n", ["one", "two"], {}),
        (b"one\rtwo\r", ["one", "two"], {}),
        (b"one\n\n \t\ntwo", ["one", "two"], {"line-empty": "2 line(s): 2, 3"}),
        (b"\xef\xbb\xbfone\n", ["one"], {"byte-order-mark": ""}),
        (b"one\ncaf\xe9 \xff\n", ["one", "caf\ufffd \ufffd"], {"bytes-not-utf8": "1 line(s): 2"}),
        ("a\u00a0b\u2028c\n".encode(), ["a b c"], {}),
        (b"x" * 1_000_000 + b"\ny\n", ["x" * 1_000_000, "y"], {"line-long": "1 line(s): 1"}),
    ],
    ids=["CRLF", "CR", "empty lines", "BOM", "not UTF-8", "Unicode spaces", "1 MB line"],
)
def test_faults_are_mended_and_reported(tmp_path, content, lines, issues):
    report = Report("mine")
    write(tmp_path, {"a.txt": content})
    assert read_lines(tmp_path / "a.txt", report) == lines
    found = report.as_dict()["issues"]
    assert {kind: issue["items"]["a.txt"] for kind, issue in found.items()} == issues


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "a.txt holds no words"),
        ("a.txt", b" \r\n\n", "a.txt holds no words"),
        ("a.txt", "words".encode("utf-16"), "a.txt is UTF-16"),
        ("a.txt", b"\x00\x01\x02", "or not text at all"),
        ("a.txt.gz", gzip.compress(b"words " * 1000, mtime=0)[:-20], "cannot be decompressed"),
        ("a.txt.gz", b"not compressed", "cannot be decompressed"),
    ],
)
def test_what_is_no_text_is_an_error(tmp_path, name, content, message):
    write(tmp_path, {name: content})
    with pytest.raises(ValueError, match=message):
        read_lines(tmp_path / name, Report("mine"))
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_lines(tmp_path / "nothing", Report("mine"))
