"""Preparation is atomic, and is not done twice."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gatedrnn.data.files import fingerprint, write_atomically
from gatedrnn.data.preparation import STAMP, prepare
from gatedrnn.data.report import Report, read_report
from gatedrnn.data.tables import Utterance, read_csv


def make(words: str):
    def make_it(report: Report) -> dict[str, list[Utterance]]:
        report.add("text-empty", "u0")
        return {"train": [Utterance("u1", 0.5, "a.wav", 0, 8000, 0, "ann", words)]}

    return make_it


def interrupted(report: Report) -> dict[str, list[Utterance]]:
    raise KeyboardInterrupt


def test_an_interrupted_run_is_done_again(tmp_path):
    def run(options: dict, maker) -> bool:
        return prepare("mine", tmp_path, options, [], maker, splits=["train"]).reused

    assert not run({"a": 1}, make("OLD"))
    with pytest.raises(KeyboardInterrupt):
        run({"a": 2}, interrupted)
    # What the files were made from is not known any more, although they are those of before.
    assert not run({"a": 1}, make("NEW"))
    assert read_csv(tmp_path / "train.csv")[0].words == "NEW"
    assert run({"a": 1}, interrupted)


@pytest.mark.parametrize("stamp", ["", "[]", "{}", '{"fingerprint": 1, "outputs": 3}'])
def test_a_broken_stamp_is_none(tmp_path, stamp):
    prepare("mine", tmp_path, {}, [], make("A"), splits=["train"])
    (tmp_path / STAMP).write_text(stamp)
    assert not prepare("mine", tmp_path, {}, [], make("A"), splits=["train"]).reused


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "train.csv"
    write_atomically(path, "old")

    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, "new")
    assert [file.name for file in tmp_path.iterdir()] == ["train.csv"]
    assert path.read_text() == "old"


def test_files_have_ordinary_permissions(tmp_path: Path):
    (tmp_path / "ordinary").touch()
    write_atomically(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_reports_of_older_versions_have_the_keys_of_today(tmp_path):
    old = {"corpus": "mine", "figures": {"splits": {}}, "checks": [], "notes": [], "faults": {}}
    (tmp_path / "report.json").write_text(json.dumps(old))
    report = read_report(tmp_path / "report.json")
    assert sorted(report) == ["checks", "corpus", "issues", "notes", "statistics"]
    assert report["statistics"] == {"splits": {}}


def test_bytes_are_written_as_they_are(tmp_path):
    write_atomically(tmp_path / "deep" / "a.bin", b"\r\n\xff")
    assert (tmp_path / "deep" / "a.bin").read_bytes() == b"\r\n\xff"
    write_atomically(tmp_path / "a.txt", "\r\u00e9\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\r\xc3\xa9\n"


def test_a_fingerprint_depends_on_options_and_on_files(tmp_path):
    path = tmp_path / "a.wav"
    before = fingerprint({"mic": "sdm"}, [path])
    assert before == fingerprint({"mic": "sdm"}, [path])
    path.write_text("now it exists")
    assert before != fingerprint({"mic": "sdm"}, [path])
    assert fingerprint({"mic": "sdm"}, []) != fingerprint({"mic": "ihm"}, [])
