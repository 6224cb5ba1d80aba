"""AN4 and LibriSpeech: official layouts made here, and the real corpora."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from gatedrnn.data.preparation import Policy, Prepared
from gatedrnn.data.tables import read_csv
from gatedrnn.tasks.asr.corpora import prepare, prepare_corpus, read
from tests.data.corpora import RATE, real_data, tone


def statistics(prepared: Prepared) -> dict[str, tuple[int, int]]:
    splits = prepared.findings()["statistics"]["splits"]
    return {split: (row["utterances"], row["speakers"]) for split, row in splits.items()}


def test_real_an4(tmp_path):
    data = real_data("an4")
    found = prepare_corpus("an4", data, tmp_path, Policy(characters="ABCDEFGHIJKLMNOPQRSTUVWXYZ'"))
    assert statistics(found) == {"train": (848, 66), "dev": (100, 8)}
    assert not found.findings()["issues"]
    hours = [split["hours"] for split in found.findings()["statistics"]["splits"].values()]
    assert hours == pytest.approx([37.9 / 60, 4.5 / 60], abs=0.001)
    assert prepare_corpus(
        "an4", data, tmp_path, Policy(characters="ABCDEFGHIJKLMNOPQRSTUVWXYZ'")
    ).reused


def test_real_an4_in_the_official_layout(tmp_path):
    data = real_data("an4")
    root = tmp_path / "an4"
    (root / "etc").mkdir(parents=True)
    for name in ("fileids", "transcription"):
        (root / "etc" / f"an4_train.{name}").symlink_to(data / "etc" / f"an4_train.{name}")
    (root / "wav").symlink_to(data / "flac")
    found = prepare_corpus("an4", root, tmp_path / "out")
    train, dev = statistics(found).values()
    assert train[0] + dev[0] == 948 and train[1] + dev[1] == 74
    theirs = {
        row.id: row
        for split in read_all(prepare_corpus("an4", data, tmp_path / "b"))
        for row in split
    }
    for split in read_all(found):
        for row in split:
            assert (row.words, row.speaker) == (theirs[row.id].words, theirs[row.id].speaker)


def read_all(prepared: Prepared) -> list[list]:
    return [read_csv(path) for path in prepared.files.values()]


@pytest.mark.parametrize("kind", ["sph", "wav", "little", "big"])
def test_official_an4(tmp_path, kind):
    root = tmp_path / "an4"
    (root / "etc").mkdir(parents=True)
    wave = (6000 * np.sin(np.arange(8000) / 30)).astype(np.int16)
    for split, folder in (("train", "an4_clstk"), ("test", "an4test_clstk")):
        names = [f"an{i}-{speaker}-b" for speaker in ("fash", "mmap") for i in (1, 2)]
        names = [f"{split}-{name}" for name in names]
        fileids = [f"{folder}/{name.split('-')[2]}/{name}" for name in names]
        (root / "etc" / f"an4_{split}.fileids").write_text("\n".join(fileids) + "\n")
        lines = [f"<s> YES <sil> {i} </s> ({name})" for i, name in enumerate(names)]
        (root / "etc" / f"an4_{split}.transcription").write_text("\n".join(lines) + "\n")
        for name in fileids:
            if kind in ("sph", "wav"):
                tone(root / "wav" / f"{name}.{kind}", 0.5)
            else:
                path = root / "raw" / f"{name}.raw"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(wave.astype("<i2" if kind == "little" else ">i2").tobytes())
    found = prepare_corpus("an4", root, tmp_path / "out")
    assert statistics(found) == {"train": (2, 1), "dev": (2, 1), "test": (4, 2)}
    row = read_csv(found.files["test"])[0]
    assert (row.words, row.speaker, row.stop) == ("YES 0", "fash", 8000)
    if kind in ("little", "big"):
        samples, _ = soundfile.read(row.wav, dtype="int16")
        assert (samples == wave).all()
        assert found.findings()["issues"]["audio-converted"]["count"] == 8
        assert prepare_corpus("an4", root, tmp_path / "out").reused


def test_an4_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has neither manifest.tsv nor etc"):
        prepare_corpus("an4", tmp_path, tmp_path / "out")


def test_real_librispeech(tmp_path):
    found = prepare_corpus("librispeech", real_data("librispeech_mini"), tmp_path)
    assert statistics(found) == {"train": (1110, 17), "dev": (140, 4)}
    assert not found.findings()["issues"]


def librispeech(root: Path, subset: str, speakers: tuple[str, ...]) -> None:
    for speaker in speakers:
        chapter = root / subset / speaker / "77"
        lines = []
        for i in range(2):
            name = f"{speaker}-77-000{i}"
            tone(chapter / f"{name}.flac", 0.5)
            lines.append(f"{name} OH YES")
        (chapter / f"{speaker}-77.trans.txt").write_text("\n".join(lines) + "\n")


def test_official_librispeech(tmp_path):
    root = tmp_path / "LibriSpeech"
    librispeech(root, "train-clean-100", ("1", "2"))
    librispeech(root, "train-other-500", ("3",))
    librispeech(root, "dev-clean", ("4",))
    librispeech(root, "test-clean", ("5",))
    tone(root / "test-clean" / "5" / "77" / "5-77-0009.flac", 0.5)
    (root / "train-other-500" / "3" / "77" / "3-77-0001.flac").unlink()
    found = prepare_corpus("librispeech", root, tmp_path / "out")
    assert statistics(found) == {"train": (5, 3), "dev": (2, 1), "test": (2, 1)}
    issues = found.findings()["issues"]
    assert [Path(item).name for item in issues["transcript-missing"]["items"]] == ["5-77-0009.flac"]
    assert [Path(item).name for item in issues["audio-missing"]["items"]] == ["3-77-0001.flac"]
    subsets = {"train": ["train-clean-100"], "test": ["dev-clean"]}
    found = prepare_corpus("librispeech", root, tmp_path / "out", subsets=subsets)
    assert statistics(found) == {"train": (2, 1), "dev": (2, 1), "test": (2, 1)}
    with pytest.raises(FileNotFoundError, match="no such subset"):
        prepare_corpus(
            "librispeech", root, tmp_path / "out", subsets={"train": ["train-clean-360"]}
        )
    with pytest.raises(FileNotFoundError, match="LibriSpeech's subsets"):
        prepare_corpus("librispeech", tmp_path, tmp_path / "out")


def recordings(folder: Path) -> Path:
    """A manifest of two speakers."""
    rows = ["audio,text,speaker"]
    for name in "ab":
        tone(folder / f"{name}.wav", 0.5)
        rows.append(f"{name}.wav,YES,{name}")
    (folder / "all.csv").write_text("\n".join(rows))
    return folder / "all.csv"


@pytest.mark.parametrize("named", [True, False])
def test_recipes_prepare_any_corpus(tmp_path, named):
    """The corpus of a recipe is named in its YAML; older files are known by their keys."""
    out = {"prepared_folder": str(tmp_path / "out"), "sample_rate": RATE}
    every = {"train_manifest": recordings(tmp_path), "dev_manifest": None, "test_manifest": None}
    every |= out | {"characters": None, "distant_test": None}
    sets = prepare(every | ({"corpus": "manifest"} if named else {}))
    assert sets == {split: tmp_path / "out" / f"{split}.csv" for split in ("train", "dev")}
    dataset = read(sets["dev"], "dev", every | ({"corpus": "manifest"} if named else {}))
    assert (len(dataset), dataset.texts) == (1, ["YES"])
    sets = prepare(every | {"distant_test": print} | ({"corpus": "manifest"} if named else {}))
    assert list(sets) == ["train", "dev", "dev-distant"]
    tones = {"train_utterances": 2, "dev_utterances": 1} | ({"corpus": "tones"} if named else {})
    assert len(read(prepare(tones)["train"], "train", tones)) == 2
    ami = {"prepared_folder": str(tmp_path / "out")} | ({"corpus": "ami"} if named else {})
    with pytest.raises(
        FileNotFoundError, match=r"eval.csv: no such file; run recipes/AMI/ami_prep"
    ):
        prepare(ami)
    (tmp_path / "out" / "eval.csv").touch()
    more = {"more_tests": {"far": str(tmp_path / "out")}}
    assert list(prepare(ami | more)) == ["train", "dev", "eval", "eval-far"]


def test_a_corpus_that_is_unknown():
    with pytest.raises(ValueError, match="corpus: 'wsj' is unknown; must be one of ami, an4, libr"):
        prepare({"corpus": "wsj"})
    with pytest.raises(ValueError, match="corpus: None is unknown; must be one of ami, an4, libri"):
        prepare({"output_folder": "results"})


@pytest.mark.parametrize(
    ("corpus", "key"),
    [("manifest", "train_manifest"), ("an4", "data_folder"), ("librispeech", "data_folder")],
)
def test_a_key_that_the_corpus_needs_is_null(tmp_path, corpus, key):
    hparams = {"corpus": corpus, key: None, "prepared_folder": tmp_path, "sample_rate": 16000}
    with pytest.raises(ValueError, match=f"{key}: has no value; corpus '{corpus}' needs one"):
        prepare(hparams)
