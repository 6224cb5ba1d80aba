"""Manifests of captions, files of all kinds, issues of each, and the vocabulary."""

from __future__ import annotations

import gzip
import json
import os
import sys

import numpy as np
import pytest

from gatedrnn.data.report import Report
from gatedrnn.simulation.scenes import write_image
from gatedrnn.tasks.captioning.corpora.items import (
    CaptionItem,
    MediaError,
    as_regions,
    load_features,
    read_image,
    read_manifest,
    write_manifest,
)
from gatedrnn.tasks.captioning.corpora.prepare import check_items, prepare_captions, read_items
from gatedrnn.tokens import Vocabulary, from_dict, plain_words
from tests.data.corpora import real_data, tone
from tests.tasks.captioning.test_readers import image, issues

# ---- manifests ------------------------------------------------------------------------------


def test_manifest_as_csv_tsv_and_json_lines(tmp_path):
    rows = [("a", "a.png", 'a "red", dog', "train"), ("a", "a.png", "dog", "train"),
            ("b", "b.png", "a cat", "val")]  # fmt: skip
    for end, tab in ((".csv", ","), (".tsv", "\t")):
        lines = [tab.join(("id", "image", "caption", "split"))]
        lines += [tab.join(f'"{c.replace(chr(34), chr(34) * 2)}"' for c in row) for row in rows]
        (tmp_path / f"m{end}").write_text("\n".join(lines), encoding="utf-8-sig")
    with gzip.open(tmp_path / "m.jsonl.gz", "wt") as stream:
        stream.write('{"id": "a", "image": "a.png", "references": ["a \\"red\\", dog", "dog"],'
                     ' "split": "train"}\n\n{"id": "b", "image": "b.png", "caption": "a cat",'
                     ' "split": "val"}\n')  # fmt: skip
    for name in ("m.csv", "m.tsv", "m.jsonl.gz"):
        report = Report("mine")
        found = read_manifest(tmp_path / name, report)
        assert [(i.id, i.split, i.references) for i in found] == [
            ("a", "train", ('a "red", dog', "dog")), ("b", "dev", ("a cat",))
        ]  # fmt: skip
        assert found[0].path == str(tmp_path / "a.png") and not issues(report)


def test_manifest_faults(tmp_path):
    rows = [
        {"image": "a.png", "caption": "x", "split": "train"},
        {"image": "a.png", "caption": "y", "split": "dev"},
        {"caption": "x", "split": "train"},
        {"image": "a.png", "audio": "a.wav", "caption": "x", "split": "train"},
        {"image": "b.png", "caption": "x"},
        {"image": "c.png", "caption": "x", "split": "rest"},
        {"image": "d.png", "references": [1], "split": "train"},
        {"image": "e.png", "split": "train"},
        {"id": "f", "image": "a.png", "references": [], "split": "train"},
        ["no object"],
    ]
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"broken\n')
    image(tmp_path / "a.png")
    report = Report("mine")
    kept = check_items(read_manifest(path, report), report)
    assert [(item.id, item.references) for item in kept] == [("a.png", ("x",))]
    found = {kind: [name.split("line ")[-1] for name in names]
             for kind, names in issues(report).items()}  # fmt: skip
    assert found == {
        "id-repeated": ["a.png"],
        "column-missing": ["3"],
        "value-unreadable": ["4", "7", "10", "11"],
        "split-missing": ["5"],
        "split-unknown": ["6"],
        "references-missing": ["e.png", "f"],
    }
    assert read_manifest(path, Report("x"), split="test")[1].split == "test"


def test_manifest_that_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"m\.csv: no such file"):
        read_manifest(tmp_path / "m.csv", Report("x"))
    (tmp_path / "m.txt").write_text("a")
    with pytest.raises(ValueError, match=r"must be a \.csv or \.tsv"):
        read_manifest(tmp_path / "m.txt", Report("x"))
    (tmp_path / "m.csv").write_bytes(b"image\n\xff\n")
    with pytest.raises(ValueError, match="must be UTF-8"):
        read_manifest(tmp_path / "m.csv", Report("x"))
    (tmp_path / "m.csv.gz").write_bytes(gzip.compress(b"image,caption\n" * 999)[:30])
    with pytest.raises(ValueError, match="cannot be decompressed"):
        read_manifest(tmp_path / "m.csv.gz", Report("x"))


def test_written_manifest_can_be_moved(tmp_path):
    folder = tmp_path / "a"
    items = [
        CaptionItem("1", "train", str(folder / "images" / "1.png"), "image", ("ä dog\u2028", "x")),
        CaptionItem("2", "test", str(tmp_path / "2.wav"), "audio", ("y",)),
        CaptionItem("3", "dev", str(folder / "all.h5#3"), "features", ("z",)),
    ]
    write_manifest(folder / "m.jsonl", items)
    assert read_manifest(folder / "m.jsonl", Report("x")) == items
    folder.rename(tmp_path / "b")
    moved = read_manifest(tmp_path / "b" / "m.jsonl", Report("x"))
    assert moved[0].path == str(tmp_path / "b" / "images" / "1.png") and moved[1] == items[1]


# ---- preparation ----------------------------------------------------------------------------


def small_corpus(folder):
    rows = ["image,caption,split"]
    for i in range(6):
        image(folder / f"{i}.png", i)
        rows.append(f"{i}.png,a dog number {i},{'train' if i < 4 else 'dev'}")
    (folder / "m.csv").write_text("\n".join(rows) + "\n")
    return folder / "m.csv"


def test_preparation_is_done_once_and_again_when_something_changes(tmp_path):
    path, out = small_corpus(tmp_path), tmp_path / "out"
    first = prepare_captions("manifest", path, out)
    assert not first.reused and list(first.files) == ["train", "dev"]
    assert [item.id for item in first.items("dev")] == ["4.png", "5.png"]
    assert first.findings()["statistics"]["splits"]["train"] == {
        "items": 4, "captions": 4, "fewest_captions": 1, "most_captions": 1, "words_per_caption": 4
    }  # fmt: skip
    assert prepare_captions("manifest", path, out).reused
    assert not prepare_captions("manifest", path, out, decode=False).reused
    os.truncate(tmp_path / "2.png", 40)
    again = prepare_captions("manifest", path, out)
    assert not again.reused and len(again.items("train")) == 3
    assert list(again.findings()["issues"]["image-truncated"]["items"]) == ["2.png"]
    path.write_text(path.read_text().replace("number", "no."))
    assert not prepare_captions("manifest", path, out).reused
    first.files["train"].write_text("edited")
    assert not prepare_captions("manifest", path, out).reused


def test_split_with_nothing_left_stops_with_a_report(tmp_path):
    path = small_corpus(tmp_path)
    for i in (4, 5):
        (tmp_path / f"{i}.png").unlink()
    with pytest.raises(ValueError, match=r"no item of dev can be used \(2 are listed\)"):
        prepare_captions("manifest", path, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["issues"]["image-missing"]["count"] == 2
    assert not list((tmp_path / "out").glob("*.jsonl"))
    found = prepare_captions("manifest", path, tmp_path / "out", splits=["train"])
    assert found.items("dev") == [] and len(found.items("train")) == 4


def test_real_nlvr_as_a_recipe_prepares_it(tmp_path):
    data = real_data("captions", "nlvr")
    found = prepare_captions("nlvr", data, tmp_path / "out", decode=False, unpack=tmp_path / "png")
    assert {s: len(found.items(s)) for s in found.files} == {
        "train": 438, "dev": 109, "test": 556
    }  # fmt: skip
    assert read_image(found.items("train")[0].path).shape == (100, 400, 3)
    assert prepare_captions(
        "nlvr", data, tmp_path / "out", decode=False, unpack=tmp_path / "png"
    ).reused


# ---- images ---------------------------------------------------------------------------------


def test_images_come_back_in_colour_whatever_they_are(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    write_image(tmp_path / "a.png", pixels)
    assert (read_image(tmp_path / "a.png") == pixels).all()
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    for mode, name in (("L", "g.png"), ("P", "p.png"), ("RGBA", "t.png"), ("CMYK", "c.jpg")):
        pillow.fromarray(pixels).convert(mode).save(tmp_path / name)
        assert read_image(tmp_path / name).shape == (5, 7, 3)
    for bad in (pixels.astype(float), pixels[..., 0], np.zeros((4, 4, 4), np.uint8)):
        with pytest.raises(ValueError, match="an image must be"):
            write_image(tmp_path / "b.png", bad)


@pytest.mark.parametrize("end", ["png", "jpg", "gif", "bmp"])
def test_images_that_are_cut_off_anywhere(tmp_path, end):
    pillow = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    path = tmp_path / f"a.{end}"
    pillow.fromarray(pixels).save(path)
    whole = path.read_bytes()
    for share in (0.0, 0.01, 0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(MediaError) as caught:
            read_image(path)
        assert caught.value.kind in ("image-truncated", "image-unreadable")
        assert str(path) in caught.value.detail


def test_missing_packages_are_named(tmp_path, monkeypatch):
    (tmp_path / "a.h5").write_bytes(b"x")
    for module in ("PIL.Image", "h5py"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        ImportError, match=r'images need Pillow: pip install "gatedrnn\[captions\]"'
    ):
        read_image(tmp_path / "a.png")
    with pytest.raises(ImportError, match=r"HDF5 files need h5py: pip install"):
        load_features(str(tmp_path / "a.h5"))


# ---- features -------------------------------------------------------------------------------


def test_features_of_every_kind(tmp_path):
    h5py = pytest.importorskip("h5py")
    grid = np.random.default_rng(0).normal(size=(3, 2, 4)).astype(np.float32)
    np.save(tmp_path / "a.npy", grid)
    np.savez(tmp_path / "one.npz", grid)
    np.savez(tmp_path / "feat.npz", feat=grid, boxes=np.zeros(4))
    np.savez(tmp_path / "all.npz", dog=grid, cat=grid[0])
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file["dog"], file["cat"] = grid, grid[0]
        file.create_group("group")
    for name in ("a.npy", "one.npz", "feat.npz", "all.npz#dog", "all.h5#dog"):
        found = load_features(str(tmp_path / name))
        assert found.dtype == np.float32 and (found == grid).all()
    assert as_regions(grid).shape == (6, 4) and (as_regions(grid)[1] == grid[0, 1]).all()
    items = [
        CaptionItem(name, "train", str(tmp_path / name), "features", ("a dog",))
        for name in ("a.npy", "all.h5#cat", "all.h5#bird", "none.npy", "all.npz", "all.h5#group")
    ]
    report = Report("mine")
    assert [item.id for item in check_items(items, report)] == ["a.npy", "all.h5#cat"]
    assert issues(report) == {
        "features-unreadable": ["all.h5#bird", "all.npz", "all.h5#group"],
        "features-missing": ["none.npy"],
    }


def test_features_that_are_none(tmp_path):
    np.save(tmp_path / "words.npy", np.array(["a"]))
    np.save(tmp_path / "object.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "nan.npy", np.array([1.0, np.nan]))
    np.save(tmp_path / "deep.npy", np.zeros((1, 1, 1, 1)))
    np.save(tmp_path / "good.npy", np.zeros((9, 9)))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "good.npy").read_bytes()[:300])
    (tmp_path / "bad.npz").write_text("x")
    (tmp_path / "bad.h5").write_text("x")
    (tmp_path / "a.mat").write_text("x")
    for name, message in {
        "words.npy": "must be numbers",
        "object.npy": "Object arrays cannot be loaded",
        "nan.npy": "infinite or not a number",
        "deep.npy": "must be numbers",
        "cut.npy": r"cut\.npy: cannot be read",
        "bad.npz": r"bad\.npz: cannot be read",
        "bad.h5": "cannot be read",
        "a.mat": "features must be .npy",
        "none.npy": "no such file",
        "good.npy#x": "has one array",
    }.items():
        with pytest.raises(ValueError, match=message):
            load_features(str(tmp_path / name))


def test_audio_items(tmp_path):
    tone(tmp_path / "a.wav", 0.1)
    (tmp_path / "m.csv").write_text("audio,caption,split\na.wav,a tone,train\nb.wav,x,train\n")
    report = Report("mine")
    found = check_items(read_items("manifest", tmp_path / "m.csv", report), report)
    assert [(item.id, item.kind) for item in found] == [("a.wav", "audio")]
    assert issues(report) == {"audio-missing": ["b.wav"]}


# ---- vocabulary -----------------------------------------------------------------------------


def test_vocabulary_counts_more_than_five_times():
    captions = ["a dog"] * 6 + ["a cat"] * 5
    found = Vocabulary.learn(captions)
    assert found.names == ["<eos>", "<unk>", "a", "dog"] and len(found) == 4
    assert found.encode("A cat, a dog!") == [2, 1, 2, 3]
    assert found.decode(found.encode("a cat")) == "a <unk>"
    assert found.statistics(captions) == {"captions": 11, "words": 22, "unknown": 5, "cut": 0}
    assert len(found.encode("a dog " * 20)) == 16
    with pytest.raises(ValueError, match="no word comes more than 50 times"):
        Vocabulary.learn(captions, more_than=50)


def test_vocabulary_order_is_by_count_then_name():
    captions = ["b a c b"] * 6
    assert Vocabulary.learn(captions).names[2:] == ["b", "a", "c"]
    assert Vocabulary.learn(reversed(captions)).names == Vocabulary.learn(captions).names


def test_words_of_karpathy_and_of_the_scorer():
    text = "A man's T-shirt , well-worn ; it isn't 5:30 ."
    assert plain_words(text) == ("a", "mans", "tshirt", "wellworn", "it", "isnt", "530")
    found = Vocabulary.learn([text], more_than=0, words="ptb")
    # What is decoded is tokenised to itself, so that it is scored as it was learned.
    assert found.encode(found.decode(found.encode(text))) == found.encode(text)


def test_vocabulary_as_plain_data():
    found = Vocabulary.learn(["a dog"] * 6, words="ptb", max_length=7)
    again = from_dict(json.loads(json.dumps(found.to_dict())))
    assert again.to_dict() == found.to_dict() and again.max_length == 7
    for change, message in (
        ({"names": ["a"]}, "must begin with"),
        ({"names": [1]}, "must be a list of strings"),
        ({"words": "bpe"}, "words must be one of plain, ptb"),
        ({"max_length": 0}, "max_length must be at least 1"),
        ({"max_length": "7"}, "must be a whole number"),
        ({"code": ""}, "tokens of kind captions have"),
    ):
        with pytest.raises(ValueError, match=message):
            from_dict({**found.to_dict(), **change})


def test_a_manifest_is_json_lines(tmp_path):
    path = tmp_path / "train.jsonl"
    item = CaptionItem("1", "train", "/d/a.png", "image", ("a dog",))
    write_manifest(path, [item])
    assert path.read_text() == (
        '{"id": "1", "split": "train", "image": "/d/a.png", "references": ["a dog"]}\n'
    )
    assert item.file.name == "a.png"


def test_features_are_regions():
    assert as_regions(np.ones((7, 7, 512))).shape == (49, 512)
    assert as_regions(np.ones(512)).shape == (1, 512)
