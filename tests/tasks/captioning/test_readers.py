"""Layouts of corpora of captions: official ones made here, and the real texts."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gatedrnn.data.report import Report
from gatedrnn.simulation.scenes import write_image
from gatedrnn.tasks.captioning.corpora.items import CaptionItem
from gatedrnn.tasks.captioning.corpora.prepare import check_items, read_items
from tests.data.corpora import real_data, tone

SENTENCES = ("A dog runs .", "The dog runs .", "A brown dog .", "One dog .", "A dog outside .")


def image(path: Path, value: int = 100) -> Path:
    write_image(path, np.full((8, 8, 3), value, dtype=np.uint8))
    return path


def issues(report: Report) -> dict[str, list[str]]:
    return {kind: list(found["items"]) for kind, found in report.as_dict()["issues"].items()}


# ---- Karpathy -------------------------------------------------------------------------------


def karpathy(folder: Path, images: list[dict]) -> Path:
    path = folder / "dataset_coco.json"
    path.write_text(json.dumps({"images": images, "dataset": "coco"}))
    return path


def entry(number: int, split: str, **other) -> dict:
    sentences = [{"raw": s, "tokens": s.lower().split()[:-1], "sentid": i}
                 for i, s in enumerate(SENTENCES)]  # fmt: skip
    return {"filename": f"{number}.png", "imgid": number, "split": split,
            "sentences": sentences, **other}  # fmt: skip


@pytest.mark.parametrize("restval", ["train", "skip"])
def test_karpathy_coco(tmp_path, restval):
    splits = ["train", "restval", "val", "test"]
    listed = [entry(i, split, cocoid=500 + i, filepath="val2014") for i, split in enumerate(splits)]
    for one in listed:
        image(tmp_path / "val2014" / one["filename"])
    report = Report("coco")
    found = read_items(
        "karpathy", karpathy(tmp_path, listed), report, images=tmp_path, restval=restval
    )
    wanted = {"500": "train", "501": "train", "502": "dev", "503": "test"}
    if restval == "skip":
        wanted.pop("501")
        assert report.statistics["restval_skipped"] == 1
    assert {item.id: item.split for item in found} == wanted
    assert all(item.references == SENTENCES and item.kind == "image" for item in found)
    assert len(check_items(found, report)) == len(wanted) and not issues(report)


def test_karpathy_faults(tmp_path):
    listed = [
        entry(0, "train"),
        entry(1, "train", sentences=[]),
        entry(2, "train", sentences=[{"raw": " . "}, {"tokens": ["a", "cat"]}, "what"]),
        entry(3, "extra"),
        {"split": "train"},
        entry(5, "train"),
        entry(0, "train"),
        {"filename": "8.png"},
        entry(9, "train"),
        entry(10, "train"),
    ]
    for number in (0, 1, 2, 3, 9):
        image(tmp_path / "images" / f"{number}.png")
    whole = (tmp_path / "images" / "9.png").read_bytes()
    (tmp_path / "images" / "9.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "images" / "10.png").write_text("a web page")
    report = Report("flickr8k")
    listed = read_items("karpathy", karpathy(tmp_path, listed), report, images=tmp_path / "images")
    kept = check_items(listed, report)
    assert [(item.id, len(item.references)) for item in kept] == [("0.png", 5), ("2.png", 1)]
    assert kept[1].references == ("a cat",)
    found = issues(report)
    assert found.pop("column-missing")[0].endswith("images[4]")
    assert found.pop("split-unknown")[0].endswith("images[3]")
    assert found.pop("split-missing")[0].endswith("images[7]")
    assert found == {
        "references-missing": ["1.png"],
        "caption-empty": ["2.png"],
        "image-missing": ["5.png"],
        "id-repeated": ["0.png"],
        "image-truncated": ["9.png"],
        "image-unreadable": ["10.png"],
    }


def test_karpathy_that_is_none(tmp_path):
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(ValueError, match="is none of Karpathy's files"):
        read_items("karpathy", tmp_path / "a.json", Report("x"), images=tmp_path)
    path = karpathy(tmp_path, [])
    with pytest.raises(FileNotFoundError, match="must hold the images"):
        read_items("karpathy", path, Report("x"), images=tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"none\.json: no such file"):
        read_items("karpathy", tmp_path / "none.json", Report("x"), images=tmp_path)
    with pytest.raises(ValueError, match="restval must be train or skip"):
        read_items("karpathy", path, Report("x"), images=tmp_path, restval="dev")


# ---- Clotho, AudioCaps ----------------------------------------------------------------------


def test_clotho(tmp_path):
    head = "file_name," + ",".join(f"caption_{i}" for i in range(1, 6))
    for part in ("development", "validation", "evaluation"):
        rows = [f'{part} 1.wav,"A bell, loud.",Bells.,A bell,Ring.,Rings', f"{part} 2.wav,A,B,C,,E"]
        path = tmp_path / f"clotho_captions_{part}.csv"
        path.write_text("\n".join([head, *rows]) + "\n")
        tone(tmp_path / part / f"{part} 1.wav", 0.1)
    tone(tmp_path / "clotho_audio_evaluation" / "evaluation 2.wav", 0.1)
    report = Report("clotho")
    found = check_items(read_items("clotho", tmp_path, report), report)
    assert [(i.id, i.split, len(i.references)) for i in found] == [
        ("development 1.wav", "train", 5),
        ("validation 1.wav", "dev", 5),
        ("evaluation 1.wav", "test", 5),
        ("evaluation 2.wav", "test", 4),
    ]
    assert found[0].references[0] == "A bell, loud."
    assert issues(report) == {
        "audio-missing": ["development 2.wav", "validation 2.wav"],
        "caption-empty": ["development 2.wav", "validation 2.wav", "evaluation 2.wav"],
    }
    with pytest.raises(FileNotFoundError, match=r"holds no clotho_captions_development\.csv"):
        read_items("clotho", tmp_path / "evaluation", report)


def test_real_clotho(tmp_path):
    """The real texts, in the official layout; no recording is there, and each is named."""
    for part in ("development", "evaluation"):
        with gzip.open(real_data("captions", "clotho", f"clotho_{part}.tsv.gz"), "rt") as stream:
            rows = [line.rstrip("\n").split("\t") for line in stream]
        with open(tmp_path / f"clotho_captions_{part}.csv", "w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["file_name", *(f"caption_{i}" for i in range(1, 6))])
            writer.writerows(rows)
    report = Report("clotho")
    listed = read_items("clotho", tmp_path, report)
    assert Counter(item.split for item in listed) == {"train": 2893, "test": 1045}
    assert all(len(item.references) == 5 for item in listed)
    assert check_items(listed, report) == []
    assert report.count("audio-missing") == 3938


@pytest.mark.parametrize(
    "name",
    ["abc_30.wav", "Yabc_30.flac", "abc_30_40.wav", "abc_30000_40000.wav", "7.wav", "Yabc.flac"],
)
def test_audiocaps_names(tmp_path, name):
    tone(tmp_path / "audio" / "val" / name, 0.1)
    tone(tmp_path / "audio" / "train" / name, 0.1)
    head = "audiocap_id,youtube_id,start_time,caption"
    rows = [head, '7,abc,30,"A duck, loud"', "8,abc,30,Ducks", "9,-gone,5,Nothing", "10,a,soon,Bad"]
    (tmp_path / "val.csv").write_text("\n".join(rows) + "\n")
    report = Report("audiocaps")
    (item,) = check_items(read_items("audiocaps", tmp_path, report), report)
    assert item.id == "abc_30" and item.references == ("A duck, loud", "Ducks")
    assert item.file.name == name and item.file.parent.name == "val"
    assert issues(report) == {
        "audio-missing": ["-gone_5"],
        "value-unreadable": [f"{tmp_path / 'val.csv'}, line 5"],
    }


def test_audiocaps_that_is_cut_off(tmp_path):
    (tmp_path / "test.csv").write_text("audiocap_id,youtube_id,start_time,caption\n7,abc,30,A\n")
    path = tone(tmp_path / "abc_30.wav", 0.5)
    path.write_bytes(path.read_bytes()[:4000])
    report = Report("audiocaps")
    listed = read_items("audiocaps", tmp_path, report)
    assert check_items(listed, report) == [] and issues(report) == {"audio-truncated": ["abc_30"]}
    assert check_items(listed, Report("audiocaps"), decode=False) == listed
    (tmp_path / "test.csv").write_text("youtube_id,caption\nabc,A\n")
    with pytest.raises(ValueError, match="no column audiocap_id and no column start_time"):
        read_items("audiocaps", tmp_path, report)


def test_real_audiocaps():
    report = Report("audiocaps")
    found = read_items("audiocaps", real_data("captions", "audiocaps"), report)
    assert Counter((item.split, len(item.references)) for item in found) == {
        ("train", 1): 49838, ("dev", 5): 495, ("test", 5): 975
    }  # fmt: skip
    assert not issues(report)


# ---- Flickr8k, NLVR -------------------------------------------------------------------------


def test_real_flickr8k():
    report = Report("flickr8k")
    found = read_items("flickr8k", real_data("captions", "flickr8k"), report)
    assert Counter(item.split for item in found) == {"train": 6000, "dev": 1000, "test": 1000}
    assert all(len(item.references) == 5 for item in found)
    assert list(issues(report)) == ["split-missing"] and report.count("split-missing") == 93


def test_flickr8k_images(tmp_path):
    lines = [f"{name}#{i}\t{s}" for name in ("a.png", "b.png") for i, s in enumerate(SENTENCES)]
    (tmp_path / "Flickr8k.token.txt").write_text("\n".join([*lines, "what"]) + "\n")
    for part, names in {"train": "a.png\n", "dev": "b.png\nc.png\n", "test": ""}.items():
        (tmp_path / f"Flickr_8k.{part}Images.txt").write_text(names)
    image(tmp_path / "Flickr8k_Dataset" / "a.png")
    image(tmp_path / "elsewhere" / "b.png")
    for images, kept in ((None, "a.png"), (tmp_path / "elsewhere", "b.png")):
        report = Report("flickr8k")
        listed = read_items("flickr8k", tmp_path, report, images=images)
        assert [item.id for item in check_items(listed, report)] == [kept]
        assert issues(report)["references-missing"] == ["c.png"]
        assert report.count("value-unreadable") == 1
    (tmp_path / "Flickr_8k.devImages.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no Flickr_8k\.devImages\.txt in it"):
        read_items("flickr8k", tmp_path, report)


def test_real_nlvr(tmp_path):
    report = Report("nlvr")
    listed = read_items("nlvr", real_data("captions", "nlvr"), report, unpack=tmp_path)
    splits = Counter(item.split for item in listed)
    assert splits["test"] == 556 and splits["train"] + splits["dev"] == 547
    assert splits["dev"] == 109
    assert not issues(report)
    # Decoding all takes seconds; some will do.
    kept = check_items(listed[::20], report)
    assert [item.path for item in kept] == [item.path for item in listed[::20]]
    groups = [{i.id.split("-")[1] for i in listed if i.split == s} for s in ("train", "dev")]
    assert not groups[0] & groups[1]


def test_official_nlvr(tmp_path):
    for part in ("train", "dev", "test"):
        lines = [
            {"identifier": f"{n}-{i}", "sentence": f"There are {n} boxes.", "directory": "0",
             "label": str(i != 1).lower()}
            for n in (1, 2) for i in (0, 1)
        ]  # fmt: skip
        lines.append({"identifier": "3-0"})
        (tmp_path / part / "images" / "0").mkdir(parents=True)
        (tmp_path / f"{part}.json").write_text("".join(json.dumps(x) + "\n" for x in lines))
        for n in (1, 2):
            image(tmp_path / part / "images" / "0" / f"{part}-{n}-0-0.png")
    report = Report("nlvr")
    found = check_items(read_items("nlvr", tmp_path, report), report)
    assert [(i.id, i.split) for i in found] == [
        (f"{part}-{n}-0", part) for part in ("train", "dev", "test") for n in (1, 2)
    ]
    assert list(issues(report)) == ["column-missing"] and report.count("column-missing") == 3
    with pytest.raises(FileNotFoundError, match="holds no train, dev or test"):
        read_items("nlvr", tmp_path / "train", report)
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        read_items("nlvr", tmp_path, report, dev_share=0)
    (tmp_path / "dev_images.zip").write_bytes(b"no zip")
    with pytest.raises(ValueError, match=r"dev_images\.zip: File is not a zip file"):
        read_items("nlvr", tmp_path, report, unpack=tmp_path / "out")


def test_no_such_layout():
    with pytest.raises(ValueError, match="layout must be one of karpathy, clotho"):
        read_items("imagenet", "x", Report("x"))


def test_item_of_features():
    item = CaptionItem("1", "train", "/d/all.h5#1", "features", ("a",))
    assert item.file == Path("/d/all.h5")
    assert CaptionItem("1", "train", "/d/a#1.png", "image", ("a",)).file == Path("/d/a#1.png")
