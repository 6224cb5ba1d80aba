"""Readers of piano rolls: the published files where they are there, and wrong files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from gatedrnn.data.report import Report
from gatedrnn.simulation.small_sets import make_pieces
from gatedrnn.tasks.music.corpora import CORPORA, KEYS, make_music, read_music

REAL = Path(__file__).parents[4] / "shared" / "data" / "poly_music"


def real(name: str) -> Path:
    if not (REAL / name).is_file():
        pytest.skip(f"there is no {name} in ../shared/data/poly_music")
    return REAL


@pytest.mark.parametrize(
    ("corpus", "file", "pieces", "frames"),
    [
        ("jsb", "JSB_Chorales.mat", (229, 76, 77), (13807, 4602, 4725)),
        ("nottingham", "Nottingham.mat", (694, 173, 170), (176561, 45513, 44463)),
    ],
)
def test_the_published_files(corpus, file, pieces, frames):
    report = Report(corpus)
    found = read_music(corpus, real(file), report)
    parts = (found.train, found.valid, found.test)
    assert tuple(map(len, parts)) == pieces
    assert tuple(part.frames for part in parts) == frames
    assert all(check.holds for check in report.checks)
    assert all(21 <= part.notes[0] <= part.notes[1] <= 108 for part in parts)
    assert {roll.shape[1] for part in parts for roll in part.rolls} == {KEYS}
    assert not report.as_dict()["issues"]


def test_sixteenths_of_the_json_form_are_quarters_of_the_other():
    folder = real("jsb-chorales-16th.json.gz")
    options = {"file": "jsb-chorales-16th.json.gz", "step": 4}
    found = read_music("jsb", folder, Report("jsb"), **options)
    quarters = read_music("jsb", real("JSB_Chorales.mat"), Report("jsb"))
    assert (found.train.frames, found.test.frames) == (13807, 4725)
    assert sorted(map(len, found.valid.rolls)) == sorted(map(len, quarters.valid.rolls))
    assert found.train.notes == (36, 81)


def write(path: Path, **changes) -> Path:
    data = make_pieces((3, 2, 2), chords=4) | changes
    path.write_bytes(gzip.compress(json.dumps(data).encode()))
    return path.parent


def test_both_forms_are_the_same_music(tmp_path):
    write(tmp_path / "music.json.gz")
    found = read_music("folder", tmp_path, Report("json"))
    cells = {}
    for part in ("train", "valid", "test"):
        rolls = getattr(found, part).rolls
        cells[f"{part}data"] = np.empty((1, len(rolls)), dtype=object)
        for place, roll in enumerate(rolls):
            cells[f"{part}data"][0, place] = roll.numpy().astype(np.float64)
    savemat(tmp_path / "own.mat", cells)
    other = read_music("folder", tmp_path / "own.mat", Report("mat"))
    for part in ("train", "valid", "test"):
        pairs = zip(getattr(found, part).rolls, getattr(other, part).rolls, strict=True)
        assert all(torch.equal(one, two) for one, two in pairs)


def test_faults_are_reported_and_mended(tmp_path):
    train = [[], [[60]], [[], []], [[60, 60.0, 64], [62]]]
    report = Report("own")
    found = read_music("folder", write(tmp_path / "music.json.gz", train=train), report)
    assert found.train.ids == ["train-002", "train-003"]
    assert report.items("piece-empty") == {"train-000": "no frames"}
    assert report.items("piece-short") == {"train-001": "1 frame"}
    assert report.items("piece-silent") == {"train-002": "2 frames"}
    assert list(report.items("note-repeated")) == ["train-003"]
    assert found.train.rolls[1].nonzero().tolist() == [[0, 39], [0, 43], [1, 41]]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ([[[20], [60]]], "train: piece 0: frame 0: note 20 is none of a piano's, 21 to 108"),
        ([[[60], [109]]], "note 109 is none of"),
        ([[[60.5], [60]]], "60.5 is no MIDI note"),
        ([[[True], [60]]], "True is no MIDI note"),
        ([[[60], [float("nan")]]], "frame 1: nan is no MIDI note"),
        ([[[float("inf")], [60]]], "inf is no MIDI note"),
        ([[60, 61]], "piece 0 is no list of frames"),
        ("all", "must be an object with lists train, valid, test: no train"),
        ([], r"music.json.gz: train: of 0 piece\(s\) none has 2 frames"),
    ],
)
def test_wrong_notes_are_one_clear_error(tmp_path, train, message):
    with pytest.raises(ValueError, match=message):
        read_music("folder", write(tmp_path / "music.json.gz", train=train), Report("own"))


def test_wrong_files_are_one_clear_error(tmp_path):
    with pytest.raises(ValueError, match="corpus must be one of jsb, .*, not 'bach'"):
        read_music("bach", tmp_path, Report("own"))
    with pytest.raises(FileNotFoundError, match=r"there is no JSB_Chorales.mat or"):
        read_music("jsb", tmp_path, Report("own"))
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        read_music("jsb", tmp_path / "nowhere", Report("own"))
    with pytest.raises(ValueError, match="step must be"):
        read_music("jsb", tmp_path, Report("own"), step=0)
    (tmp_path / "JSB_Chorales.mat").write_bytes(b"not one" * 40)
    with pytest.raises(ValueError, match="is no MATLAB file that can be read here"):
        read_music("jsb", tmp_path, Report("own"))
    (tmp_path / "music.json").write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        read_music("folder", tmp_path, Report("own"))
    (tmp_path / "music.txt").write_text("do re mi")
    with pytest.raises(ValueError, match=r"read from .mat, .json and .json.gz"):
        read_music("folder", tmp_path / "music.txt", Report("own"))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Nottingham.mat").write_bytes(b"")
    with pytest.raises(ValueError, match=r"several files are called Nottingham.mat"):
        read_music("nottingham", tmp_path, Report("own"))


def test_a_damaged_file_is_named(tmp_path):
    cells = np.empty((1, 1), dtype=object)
    cells[0, 0] = np.random.default_rng(0).integers(0, 2, (50, 88))
    path = tmp_path / "music.mat"
    savemat(path, {f"{n}data": cells for n in ("train", "valid", "test")}, do_compression=True)
    whole = path.read_bytes()
    refused = 0
    for place in range(200, len(whole), len(whole) // 40):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            read_music("folder", path, Report("own"))
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 30


def test_a_corpus_is_not_read_as_another(tmp_path):
    layout = CORPORA["piano"].pieces
    savemat(tmp_path / "Nottingham.mat", {
        f"{part}data": np.array([np.eye(88)[:2] for _ in range(count)] + [None], dtype=object)[:-1]
        for part, count in zip(("train", "valid", "test"), layout, strict=True)
    })  # fmt: skip
    with pytest.raises(
        ValueError, match=r"Nottingham\.mat has the pieces of piano, and is not nott"
    ):
        read_music("nottingham", tmp_path, Report("own"))
    assert len(read_music("folder", tmp_path / "Nottingham.mat", Report("own")).test) == layout[2]


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        (np.ones((3, 87)), r"traindata: piece 0 is \(3, 87\), not \(frames, 88\)"),
        (np.full((3, 88), 2.0), "holds other values than 0 and 1"),
    ],
)
def test_wrong_rolls_are_one_clear_error(tmp_path, piece, message):
    cells = np.empty((1, 1), dtype=object)
    cells[0, 0] = piece
    savemat(tmp_path / "music.mat", {"traindata": cells, "validdata": cells, "testdata": cells})
    with pytest.raises(ValueError, match=message):
        read_music("folder", tmp_path, Report("own"))
    savemat(tmp_path / "music.mat", {"traindata": cells})
    (tmp_path / "music.mat").rename(tmp_path / "other.mat")
    cells[0, 0] = np.eye(88)
    savemat(tmp_path / "other.mat", {"traindata": cells})
    with pytest.raises(ValueError, match="has no cell array validdata; it has traindata"):
        read_music("folder", tmp_path / "other.mat", Report("own"))


def test_other_counts_than_the_published_do_not_hold(tmp_path):
    write(tmp_path / "nottingham.json.gz")
    report = Report("nottingham")
    read_music("nottingham", tmp_path, report)
    assert [c.name for c in report.checks if not c.holds] == [
        "train pieces", "valid pieces", "test pieces",
    ]  # fmt: skip


def test_a_piece_without_frames_is_reported():
    report = Report("mine")
    rolls = [np.zeros((0, 88), np.uint8), np.eye(88, dtype=np.uint8)]
    assert make_music("valid", rolls, report).ids == ["valid-001"]
    assert report.items("piece-empty") == {"valid-000": "no frames"}
