"""Corpora of simulated meetings: the official layout, times, repeatability, interruption."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import soundfile

from gatedrnn import lazy
from gatedrnn.simulation import corpus
from gatedrnn.simulation.corpus import SERIES, CorpusOptions, main, plan_corpus, simulate_corpus
from gatedrnn.simulation.grammar import vocabulary
from gatedrnn.simulation.meeting import Acoustics
from gatedrnn.simulation.voices import SPLITS
from gatedrnn.tasks.asr.corpora.ami.meetings import find_partition
from gatedrnn.tasks.asr.corpora.ami.prepare import AmiOptions, prepare_ami

SCRIPT = Path(__file__).parents[2] / "recipes" / "AMI" / "simulate_meetings.py"
NITE = "{http://nite.sourceforge.net/}"
OPTIONS = CorpusOptions(
    train_minutes=1.0,
    dev_minutes=0.5,
    eval_minutes=0.5,
    meeting_minutes=0.5,
    acoustics=Acoustics(
        microphones=("Array1-01", "Array1-05", "Headset", "Mix-Headset"), rt60=(0.2, 0.3)
    ),
)
MEETINGS = {"train": ["ES2002a", "ES2003a"], "dev": ["ES2011a"], "eval": ["ES2004a"]}


@pytest.fixture(name="packages", scope="module")
def _packages():
    for package in ("espeakng_loader", "pyroomacoustics"):
        pytest.importorskip(package, reason="the extra demo is not installed")


@pytest.fixture(name="made", scope="module")
def _made(packages, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("meetings")
    assert simulate_corpus(out, OPTIONS, progress=False) == 4
    return out


def digests(out: Path) -> dict[str, str]:
    return {
        str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(out.rglob("*"))
        if file.is_file()
    }


def elements(file: Path) -> list[ET.Element]:
    assert file.read_bytes().startswith(b'<?xml version="1.0" encoding="ISO-8859-1"')
    return list(ET.parse(file).getroot())


def test_names_are_those_of_the_official_partition():
    partition = find_partition("full-corpus-asr")
    for split, series in SERIES.items():
        names = [name + letter for name, letters in series for letter in letters]
        assert set(names) <= set(partition.of_split(split))
        assert len(set(names)) == len(names)


def test_plan_spreads_speakers_and_keeps_the_splits_apart():
    plans = plan_corpus(CorpusOptions(train_minutes=60, dev_minutes=5, eval_minutes=5))
    for split, minutes in (("train", 60), ("dev", 5), ("eval", 5)):
        seconds = [plan.seconds for plan in plans if plan.split == split]
        assert sum(seconds) == pytest.approx(60 * minutes)
    people = {split: {} for split in SPLITS}
    for plan in plans:
        for person in plan.participants:
            assert re.fullmatch(r"[MF][IET][ED]\d{3}([A-Z]{2})?", person.name)
            assert people[plan.split].setdefault(person.name, person.voice) == person.voice
    assert len(people["train"]) > 100
    voices = {split: {voice.name for voice in people[split].values()} for split in SPLITS}
    assert not voices["train"] & voices["eval"] and not voices["train"] & voices["dev"]
    assert not set(people["train"]) & set(people["eval"])
    assert plan_corpus(CorpusOptions(train_minutes=600))[0].seconds > 300, "names run out"


def test_layout_is_the_official_one(made):
    names = [name for split in SPLITS for name in MEETINGS[split]]
    channels = ["Array1-01", "Array1-05", "Mix-Headset", *(f"Headset-{k}" for k in range(4))]
    expected = {f"audio/{m}/audio/{m}.{channel}.wav" for m in names for channel in channels}
    expected |= {
        f"annotations/{kind}/{m}.{agent}.{kind}.xml"
        for m in names
        for kind in ("words", "segments")
        for agent in "ABCD"
    }
    expected |= {f"annotations/corpusResources/{n}.xml" for n in ("meetings", "participants")}
    assert set(digests(made)) == expected | {"simulation.json", "partition.json"}
    assert json.loads((made / "partition.json").read_text()) == MEETINGS
    for file in made.rglob("*.wav"):
        info = soundfile.info(file)
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
        assert 24 < info.duration < 40
        samples, _ = soundfile.read(file)
        assert 0.05 < np.abs(samples).max() < 1.0


def test_annotations_hold_together(made):
    meetings = elements(made / "annotations/corpusResources/meetings.xml")
    assert [m.get("observation") for m in meetings] == sum(MEETINGS.values(), [])
    people = elements(made / "annotations/corpusResources/participants.xml")
    known = {person.get(f"{NITE}id"): person.get("sex") for person in people}
    for meeting in meetings:
        name = meeting.get("observation")
        assert [(s.get("nxt_agent"), s.get("channel")) for s in meeting] == [
            *zip("ABCD", "0123", strict=True)
        ]
        for speaker in meeting:
            assert known[speaker.get("global_name")] == speaker.get("global_name")[0]
            stem = f"{name}.{speaker.get('nxt_agent')}"
            words = elements(made / f"annotations/words/{stem}.words.xml")
            ids = [word.get(f"{NITE}id") for word in words]
            assert ids == [f"{stem}.words{k}" for k in range(len(ids))]
            last = 0.0
            for word in words:
                assert word.tag in ("w", "vocalsound", "disfmarker", "gap")
                start, end = float(word.get("starttime")), float(word.get("endtime"))
                assert last <= start + 0.011 and start <= end
                last = end
                if word.tag == "w" and not word.get("punc") and not word.get("trunc"):
                    assert word.text.lower() in vocabulary()
            covered = []
            for segment in elements(made / f"annotations/segments/{stem}.segments.xml"):
                href = segment.find(f"{NITE}child").get("href")
                file, _, span = href.partition("#")
                assert file == f"{stem}.words.xml"
                inside = re.findall(r"id\(([^)]+)\)", span)
                first, final = ids.index(inside[0]), ids.index(inside[-1])
                covered += ids[first : final + 1]
                assert float(segment.get("transcriber_start")) < float(
                    words[first].get("starttime")
                )
                assert float(words[final].get("endtime")) < float(segment.get("transcriber_end"))
            assert covered == ids, "every word is in one segment"


def test_words_are_loud_where_the_times_say(made):
    ratios = []
    for name in sum(MEETINGS.values(), []):
        for channel, agent in enumerate("ABCD"):
            samples, rate = soundfile.read(
                made / f"audio/{name}/audio/{name}.Headset-{channel}.wav"
            )
            spoken = np.zeros(len(samples), bool)
            segment = np.zeros(len(samples), bool)
            for word in elements(made / f"annotations/words/{name}.{agent}.words.xml"):
                span = (round(float(word.get(k)) * rate) for k in ("starttime", "endtime"))
                spoken[slice(*span)] = True
            for one in elements(made / f"annotations/segments/{name}.{agent}.segments.xml"):
                span = (float(one.get(f"transcriber_{k}")) * rate for k in ("start", "end"))
                segment[slice(*map(round, span))] = True
            if spoken.any():
                level = np.sqrt(np.mean(samples[spoken] ** 2))
                ratios.append(level / np.sqrt(np.mean(samples[~segment] ** 2)))
    assert len(ratios) > 8
    assert min(ratios) > 4, "words stand out of what a headset hears besides"


def test_the_array_hears_everybody(made):
    name = "ES2002a"
    array, rate = soundfile.read(made / f"audio/{name}/audio/{name}.Array1-01.wav")
    loud = []
    for agent in "ABCD":
        for word in elements(made / f"annotations/words/{name}.{agent}.words.xml"):
            span = [round(float(word.get(k)) * rate) for k in ("starttime", "endtime")]
            if span[1] > span[0] + 0.1 * rate:
                loud.append(np.sqrt(np.mean(array[slice(*span)] ** 2)))
    assert np.median(loud) == pytest.approx(0.04, rel=0.5)


def test_ami_preparation_reads_it_without_a_fault(made, tmp_path):
    for mic in ("sdm", "ihm", "mix", "Array1-05"):
        for partition in ("full-corpus-asr", str(made / "partition.json")):
            out = tmp_path / mic / Path(partition).stem
            options = AmiOptions(mic=mic, partition=partition)
            prepare_ami(made / "annotations", out, made / "audio", options)
            report = json.loads((out / "report.json").read_text())
            report = report.get("report", report)
            assert set(report["issues"]) <= {"meeting-unannotated"}, report["issues"]
            for split in SPLITS:
                with open(out / f"{split}.csv", newline="") as file:
                    rows = list(csv.DictReader(file))
                assert {row["ID"].split("_")[0] for row in rows} == set(MEETINGS[split])
                assert all(row["wrd"] for row in rows)


def test_same_seed_same_bytes_with_any_number_of_jobs(made, tmp_path):
    assert simulate_corpus(tmp_path / "two", OPTIONS, jobs=2, progress=False) == 4
    assert digests(tmp_path / "two") == digests(made)


def test_another_run_keeps_what_stands(made):
    before = {file: file.stat().st_mtime_ns for file in made.rglob("*.wav")}
    assert simulate_corpus(made, OPTIONS, progress=False) == 0
    assert before == {file: file.stat().st_mtime_ns for file in made.rglob("*.wav")}


def test_kill_and_go_on(made, tmp_path):
    """Killed while a meeting is half written; the same command completes the corpus."""
    out = tmp_path / "killed"
    command = [sys.executable, str(SCRIPT), "--out", str(out), "--quiet"]
    command += ["--train-minutes", "1", "--dev-minutes", "0.5", "--eval-minutes", "0.5"]
    command += ["--meeting-minutes", "0.5", "--rt60", "0.2", "0.3"]
    command += ["--microphones", *OPTIONS.acoustics.microphones]
    process = subprocess.Popen(command, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(out.glob(".partial/*/*/audio/*.wav")) and time.monotonic() < deadline:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    standing = list((out / "audio").iterdir()) if (out / "audio").exists() else []
    assert len(standing) < 4
    assert all(len(list(meeting.rglob("*.wav"))) == 7 for meeting in standing)
    # The same command, by the same code, in this process.
    assert main(command[2:]) == 0
    assert digests(out) == digests(made)


def test_other_options_and_foreign_folders_are_refused(made, tmp_path, capsys):
    with pytest.raises(ValueError, match="other options"):
        simulate_corpus(made, CorpusOptions(train_minutes=2), progress=False)
    (tmp_path / "ami" / "audio").mkdir(parents=True)
    with pytest.raises(ValueError, match="not simulated"):
        simulate_corpus(tmp_path / "ami", OPTIONS, progress=False)
    assert main(["--out", str(tmp_path / "x"), "--microphones", "Array9-01"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Array9-01" in error
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"train_minutes": 0, "dev_minutes": 0, "eval_minutes": 0},
        {"dev_minutes": -1},
        {"train_minutes": float("nan")},
        {"meeting_minutes": 0},
        {"seed": -1},
    ],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError):
        CorpusOptions(**options)


@pytest.mark.parametrize(
    "options",
    [{"overlap": 1.5}, {"snr": (10, 5)}, {"rt60": (0.0, 0.2)}, {"microphones": ()}],
)
def test_impossible_acoustics_are_refused(options):
    with pytest.raises(ValueError):
        Acoustics(**options)


def test_missing_packages_are_one_clear_error(tmp_path, monkeypatch, capsys):
    def absent(name: str):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(lazy.importlib, "import_module", absent)
    with pytest.raises(ImportError, match=r'pip install "gatedrnn\[demo\]"'):
        corpus.simulate_corpus(tmp_path / "out", OPTIONS)
    assert main(["--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        'simulate_meetings: simulated meetings need espeakng_loader: pip install "gatedrnn[demo]"\n'
    )
    assert not (tmp_path / "out").exists()
