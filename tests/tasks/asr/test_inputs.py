"""What is to be transcribed: every way to say it, and names that never collide."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gatedrnn.data.audio import INPUT_SUFFIXES
from gatedrnn.data.tables import COLUMNS, Utterance, read_csv, write_csv
from gatedrnn.tasks.asr.corpora import prepare_corpus
from gatedrnn.tasks.asr.inputs import Item, find_items
from tests.data.corpora import real_data


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def names(*paths: str | Path) -> list[str]:
    return [item.name for item in find_items(paths)]


def test_a_file_whatever_its_ending(tmp_path):
    touch(tmp_path, "talk.v2.wav", "odd.xyz", "none")
    items = find_items([tmp_path / name for name in ("talk.v2.wav", "odd.xyz", "none")])
    assert [i.name for i in items] == ["talk.v2", "odd", "none"]
    assert items[0] == Item("talk.v2", tmp_path / "talk.v2.wav") and items[0].whole
    assert items[0].channel is None and items[0].recording is None


def test_folders_are_walked_in_order(tmp_path):
    touch(tmp_path, "b/2.wav", "b/10.WAV", "a.flac", "notes.txt", "b/.hidden.wav", ".git/x.wav")
    assert names(tmp_path) == ["a", "b/10", "b/2"]
    touch(
        tmp_path / "all", *(f"x{number:02}{ending}" for number, ending in enumerate(INPUT_SUFFIXES))
    )
    assert names(tmp_path / "all") == [f"x{number:02}" for number in range(len(INPUT_SUFFIXES))]
    with pytest.raises(ValueError, match=r"empty: no audio file \(.wav, .flac"):
        find_items([touch(tmp_path, "empty/a.txt") / "empty"])


def test_missing_paths_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone.wav: no such file or folder"):
        find_items([touch(tmp_path, "a.wav") / "a.wav", tmp_path / "gone.wav"])
    assert find_items([]) == []


def test_two_of_one_name_get_different_ones(tmp_path):
    touch(tmp_path, "A/talk.wav", "A/talk.mp3", "A/other.wav", "B/talk.wav", "B/more.wav")
    assert names(tmp_path / "A") == ["other", "talk.mp3", "talk.wav"]
    assert names(tmp_path / "A/talk.wav", tmp_path / "B/talk.wav") == ["A/talk", "B/talk"]
    assert sorted(names(tmp_path / "A", tmp_path / "B")) == [
        "A/talk", "B/talk", "more", "other", "talk.mp3",
    ]  # fmt: skip
    assert names(tmp_path) == ["A/other", "A/talk.mp3", "A/talk.wav", "B/more", "B/talk"]


def test_what_is_given_twice_is_named(tmp_path):
    touch(tmp_path, "A/talk.wav", "x/A/talk.wav")
    with pytest.raises(ValueError, match=r"A/talk.wav is given twice: there can be only one"):
        find_items([tmp_path / "A", tmp_path / "A" / "talk.wav"])
    with pytest.raises(ValueError, match=r"talk.wav and .*x/A/talk.wav: there can be only one"):
        find_items([tmp_path / "A", tmp_path / "x" / "A"])


ROWS = [
    {
        "audio": "a.wav",
        "id": "u1",
        "text": " GO  ON ",
        "speaker": "ann",
        "start": 1.5,
        "stop": 2.25,
    },
    {"audio": "day1/a.wav", "id": "u2", "channel": 1, "start": 3, "duration": 2},
    {"audio": "/data/b.wav"},
]


def test_manifests(tmp_path):
    columns = ["audio", "id", "text", "speaker", "start", "stop", "duration", "channel"]
    for ending, mark in (("csv", ","), ("tsv", "\t")):
        lines = [columns, *([str(row.get(c, "")) for c in columns] for row in ROWS)]
        (tmp_path / f"m.{ending}").write_text("".join(mark.join(line) + "\n" for line in lines))
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    for ending in ("csv", "tsv", "jsonl"):
        first, second, third = find_items([tmp_path / f"m.{ending}"])
        path = tmp_path / "a.wav"
        recording = path.as_posix().lstrip("/")
        assert first == Item("u1", path, 1.5, 2.25, 0, "GO ON", "ann", recording=recording)
        assert (second.path, second.start, second.stop) == (tmp_path / "day1/a.wav", 3.0, 5.0)
        assert (second.channel, second.text, second.speaker) == (1, None, None)
        assert (third.name, third.path, third.whole) == ("data-b", Path("/data/b.wav"), True)
        assert third.recording is None and third.channel == 0


def test_texts_may_be_missing(tmp_path):
    (tmp_path / "m.csv").write_text("audio\na.wav\nb.wav\n")
    assert [item.text for item in find_items([tmp_path / "m.csv"])] == [None, None]


def test_parts_of_one_recording_are_called_after_it(tmp_path):
    rows = [{"audio": "meeting.wav", "id": f"u{i}", "start": i} for i in range(3)]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert {item.recording for item in find_items([tmp_path / "m.jsonl"])} == {"meeting"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("text\nGO\n", "m.csv: no column audio; the first line has text"),
        ("audio,start\na.wav,soon\nb.wav,0\n,1\n", r"line 4: no audio \(and 1 more such rows\)"),
        ("audio,channel\na.wav,-1\n", "line 2: channel -1 is negative"),
        ("audio,id\na.wav,u\nb.wav,u\n", "m.csv: id u appears twice"),
        ("audio\n", "m.csv: no row names an audio file"),
        ("audio,id\na.wav,../../u\n", r"the name '../../u' must be relative"),
        ("", "m.csv: no column audio; the first line has nothing"),
    ],
)
def test_bad_manifests(tmp_path, text, message):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        find_items([tmp_path / "m.csv"])


def test_prepared_lists(tmp_path):
    path = tmp_path / "test.csv"
    write_csv(
        path,
        [
            Utterance("u1", 0.5, "/data/a.wav", 4001, 12001, 1, "ann", "OH YES"),
            Utterance("u2", 0.5, "/data/a.wav", 0, 4000, 0, "", ""),
        ],
    )
    first, second = find_items([path])
    assert first == Item(
        "u1", Path("/data/a.wav"), channel=1, text="OH YES", speaker="ann",
        samples=(4001, 12001), recording="a",
    )  # fmt: skip
    assert not first.whole and (second.text, second.speaker) == (None, None)
    write_csv(path, [Utterance("u1", 0.5, "", 0, 8000, 0, "ann", "YES")])
    with pytest.raises(ValueError, match="u1 has no recording, only its text"):
        find_items([path])
    path.write_text(",".join(COLUMNS) + "\nu1,0.5,a.wav,x,8000,0,ann,YES\n")
    with pytest.raises(ValueError, match="line 2: invalid literal"):
        find_items([path])


def test_two_lists_with_the_same_names(tmp_path):
    for name in ("dev", "test"):
        write_csv(tmp_path / f"{name}.csv", [Utterance("u1", 0.5, "a.wav", 0, 9, 0, "s", "A")])
    assert names(tmp_path / "dev.csv", tmp_path / "test.csv") == ["dev/u1", "test/u1"]


def test_the_lists_of_an4(tmp_path):
    prepared = prepare_corpus("an4", real_data("an4"), tmp_path)
    rows = read_csv(prepared.files["dev"])
    items = find_items([prepared.files["dev"]])
    assert len(items) == len(rows) > 50
    assert [i.name for i in items] == [row.id for row in rows]
    assert [i.text for i in items] == [row.words for row in rows]
    assert all(i.samples == (row.start, row.stop) for i, row in zip(items, rows, strict=True))


def test_real_folders():
    assert len(find_items([real_data("ami", "audio")])) == 11
    found = find_items([real_data("librispeech_mini")])
    assert found[0].name == "ogg/1088-134315-0000" and len({i.name for i in found}) == len(found)
