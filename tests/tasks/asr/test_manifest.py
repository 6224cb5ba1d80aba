"""Users' manifests: every issue is named once, counted, and skipped or repaired."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from gatedrnn.data.preparation import Policy, Prepared, hold_out_speakers
from gatedrnn.data.report import Report
from gatedrnn.data.tables import Utterance, read_csv
from gatedrnn.tasks.asr.corpora import prepare_corpus
from gatedrnn.tasks.asr.corpora.manifest import read_manifest
from tests.data.corpora import cut, tone


def jsonl(path: Path, *rows: dict[str, object] | str) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def row(name: str, text: str = "YES", speaker: str = "ann", **more: object) -> dict[str, object]:
    return {"audio": f"{name}.wav", "text": text, "speaker": speaker, **more}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two recordings of two speakers, who make a dev manifest of their own."""
    for name in ("good", "other"):
        tone(tmp_path / f"{name}.wav", 1.0)
    jsonl(tmp_path / "dev.jsonl", row("other", "NO", "bob", id="dev1"))
    return tmp_path


def prepare(folder: Path, *rows: dict[str, object] | str, policy: Policy | None = None) -> Prepared:
    train = jsonl(folder / "train.jsonl", *rows)
    return prepare_corpus(
        "manifest", None, folder / "out", train=train, dev=folder / "dev.jsonl", policy=policy
    )


def issues(prepared: Prepared) -> dict[str, dict[str, str]]:
    return {kind: issue["items"] for kind, issue in prepared.findings()["issues"].items()}


def test_bad_corpus(folder):
    tone(folder / "stereo.wav", 1.0, channels=2)
    tone(folder / "slow.wav", 1.0, rate=8000)
    (folder / "zero.wav").touch()
    tone(folder / "silent.wav", 0.0)
    (folder / "text.wav").write_text("This is no audio file at all, but a text, and long enough.")
    for name in ("cut.wav", "cut.sph"):
        cut(tone(folder / name, 1.0))
    soundfile.write(folder / "cut.flac", np.random.default_rng(1).uniform(-1, 1, 16000), 16000)
    cut(folder / "cut.flac")
    found = prepare(
        folder,
        row("good", "YES WE CAN"),
        row("stereo", channel=1),
        row("slow"),
        row("zero"),
        row("silent"),
        row("text"),
        row("cut", id="cut-wav"),
        {**row("cut", id="cut-flac"), "audio": "cut.flac"},
        {**row("cut", id="cut-sph"), "audio": "cut.sph"},
        row("missing"),
        row("good", "  ", id="empty"),
        row("good", "N0!", id="odd"),
        row("good", id="late", start=5.0),
        row("good", id="reversed", start=0.5, stop=0.2),
        row("good", id="long", start=0.5, stop=9.0),
        row("good", id="twice"),
        row("good", id="twice"),
        row("good", id="channel", channel=3),
        row("good", id="words", start="soon"),
        {"audio": "good.wav", "speaker": "ann", "id": "no-text"},
        {"audio": "good.wav", "text": "YES", "id": "no-speaker"},
        "{half a line",
        policy=Policy(characters="ABCDEFGHIJKLMNOPQRSTUVWXYZ'"),
    )
    rows = {row.id: row for row in read_csv(found.files["train"])}
    name = folder.name
    assert set(rows) == {
        f"{name}-good", f"{name}-stereo", f"{name}-slow", "long", "twice", "no-speaker"
    }  # fmt: skip
    assert rows[f"{name}-stereo"].channel == 1
    assert rows[f"{name}-slow"].stop == 8000
    assert (rows["long"].start, rows["long"].stop) == (8000, 16000)
    assert rows["no-speaker"].speaker == "unknown"

    def here(*names: str) -> list[str]:
        return [str(folder / name) for name in names]

    named = {kind: list(items) for kind, items in issues(found).items()}
    lines = [f"{folder / 'train.jsonl'}, line {number}" for number in (19, 20, 21, 22)]
    assert named == {
        "audio-channels": here("stereo.wav"),
        "audio-rate": here("slow.wav"),
        "audio-empty": here("zero.wav", "silent.wav"),
        "audio-unreadable": here("text.wav"),
        "audio-truncated": here("cut.wav", "cut.flac", "cut.sph"),
        "audio-missing": here("missing.wav"),
        "text-empty": ["empty"],
        "characters-unknown": ["odd"],
        "past-the-end": ["late"],
        "no-duration": ["reversed"],
        "clipped": ["long"],
        "id-repeated": ["twice"],
        "value-unreadable": [lines[0], lines[3], "channel"],
        "column-missing": [lines[1]],
        "speaker-missing": [lines[2]],
    }
    report = found.findings()
    assert report["issues"]["audio-truncated"]["count"] == 3
    assert report["statistics"]["unknown_characters"] == {"0": 1, "!": 1}


def test_unknown_characters_can_be_removed(folder):
    policy = Policy(characters="YES", unknown="remove", upper=True)
    rows = (row("good", "y-e!s"), row("good", "?!", id="none"))
    jsonl(folder / "dev.jsonl", row("other", "yes", "bob"))
    found = prepare(folder, *rows, policy=policy)
    assert [row.words for row in read_csv(found.files["train"])] == ["YES"]
    assert list(issues(found)["characters-removed"]) == [f"{folder.name}-good", "none"]
    assert list(issues(found)["text-empty"]) == ["none"]


def test_a_missing_column_is_an_error_that_names_it(folder):
    path = folder / "train.csv"
    path.write_text("audio,speaker\n" + "good.wav,ann\n" * 5)
    message = r"train\.csv: no column text; the first line has audio, speaker$"
    with pytest.raises(ValueError, match=message):
        prepare_corpus("manifest", None, folder / "out", train=path, dev=folder / "dev.jsonl")


@pytest.mark.parametrize(("ending", "mark"), [("csv", ","), ("tsv", "\t")])
def test_tables(folder, ending, mark):
    path = folder / f"train.{ending}"
    header, line = "audio,text,speaker,start,duration", "good.wav,OH YES,ann,0.25,0.5"
    path.write_text(f"{header}\n{line}\n".replace(",", mark))
    found = prepare_corpus("manifest", None, folder / "out", train=path, dev=folder / "dev.jsonl")
    row = read_csv(found.files["train"])[0]
    assert (row.start, row.stop, row.words) == (4000, 12000, "OH YES")
    assert not issues(found)


def test_a_second_run_does_nothing_until_audio_text_or_options_change(folder):
    rows = (row("good"),)
    assert not prepare(folder, *rows).reused
    train = folder / "train.jsonl"

    def again(policy: Policy | None = None) -> bool:
        return prepare_corpus(
            "manifest", None, folder / "out", train=train, dev=folder / "dev.jsonl", policy=policy
        ).reused

    assert again()
    tone(folder / "good.wav", 0.5)
    assert not again()
    assert again()
    assert not again(Policy(upper=True))
    assert not again()
    jsonl(train, row("good", "NEW"))
    assert not again()


@pytest.mark.parametrize("bad", [float("nan"), [1], "1:30", float("inf")])
@pytest.mark.parametrize("name", ["start", "stop", "duration"])
def test_times_that_are_none(folder, name, bad):
    found = prepare(folder, row("good", id="fine"), row("good", **{name: bad}))
    assert list(issues(found)["value-unreadable"]) == [f"{folder / 'train.jsonl'}, line 2"]


def test_no_manifest(folder):
    with pytest.raises(FileNotFoundError, match="no such manifest"):
        prepare_corpus("manifest", None, folder / "out", train=folder / "nowhere.csv")
    (folder / "latin.csv").write_bytes("audio,text\na.wav,café\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin.csv: .*must be UTF-8"):
        prepare_corpus("manifest", None, folder / "out", train=folder / "latin.csv")
    (folder / "train.txt").touch()
    with pytest.raises(ValueError, match="must be a .csv or .tsv"):
        prepare_corpus("manifest", None, folder / "out", train=folder / "train.txt")


def test_dev_speakers_are_no_training_speakers(folder):
    rows = [row("good", speaker=f"s{i % 7}", id=f"u{i}") for i in range(70)]
    train = jsonl(folder / "train.jsonl", *rows)
    found = prepare_corpus(
        "manifest", None, folder / "out", train=train, policy=Policy(dev_share=0.2, seed=3)
    )
    speakers = [{row.speaker for row in read_csv(path)} for path in found.files.values()]
    assert len(speakers[1]) == 2 and not speakers[0] & speakers[1]
    assert len(speakers[0] | speakers[1]) == 7
    assert "dev is made of training speakers" in found.findings()["notes"][0]


def test_held_out_speakers_do_not_depend_on_the_order():
    utterances = [Utterance(f"u{i}", 1.0, "a", 0, 1, 0, f"s{i % 5}", "A") for i in range(50)]
    train, dev = hold_out_speakers(utterances, 0.3, seed=1)
    again = hold_out_speakers(utterances[::-1], 0.3, seed=1)
    assert {u.id for u in dev} == {u.id for u in again[1]}
    assert len(train) + len(dev) == 50
    others = [{u.speaker for u in hold_out_speakers(utterances, 0.3, seed)[1]} for seed in range(9)]
    assert len({frozenset(speakers) for speakers in others}) > 1


def test_one_speaker_makes_no_dev_split(folder):
    train = jsonl(folder / "train.jsonl", row("good"), row("good", id="2"))
    with pytest.raises(ValueError, match="only 1 speaker"):
        prepare_corpus("manifest", None, folder / "out", train=train)


@pytest.mark.parametrize("bad", [{"unknown": "keep"}, {"dev_share": 1.0}, {"rate": 0}])
def test_bad_policies(bad):
    with pytest.raises(ValueError, match="must"):
        Policy(**bad)


def test_entries_of_a_manifest(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"audio": "a.wav", "text": "YES", "speaker": "ann"}\n')
    (entry,) = read_manifest(path, Report("mine"))
    assert entry.audio == tmp_path / "a.wav"
