"""Files that earlier code has written are read as before, and give what they gave.

``data/`` holds trainings, bundles, lists and tables of commit 2f171d6, and what the commands
printed from them; see README.md. Everything is read by the ``gatedrnn`` command, the recipes'
scripts and SpeechBrain, as users do.
"""

from __future__ import annotations

import json
import re
import runpy
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatedrnn.cli.main import main

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DATA = HERE / "data"
COMMANDS = sorted(path.stem for path in (DATA / "commands").glob("*.json"))
RESUMED = sorted(path.stem for path in (DATA / "resumed").glob("*.json"))
NUMBER = re.compile(r"(?<![\w.])([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?![\w.]*\w)")
#: Durations that differ from run to run.
DURATION = re.compile(r"\d+(?:\.\d+)?(?= (?:s|ms|seconds|milliseconds)\b)")
#: Command -> a term in what it printed then, and the present one.
TERMS = {"rescore": (r"(?<=\d utterances, )(\d+) readings(?=, \d+ unknown; )", r"\1 hypotheses")}
#: The first cell of a table's row, if it is a path.
PATH_CELL = r"\{\w+\}/\S+ {2,}"
#: Largest difference of numbers, relative to those above 1.
TOLERANCE = 1e-4


def assert_same(found: str, expected: str, tolerance: float = TOLERANCE) -> None:
    """Compares texts: words and layout exactly, numbers to the tolerance or the last digit."""
    found, expected = (DURATION.sub("TIME", text) for text in (found, expected))
    found, expected = (without_path_widths(text) for text in (found, expected))
    if found == expected:
        return
    pieces, wanted = NUMBER.split(found), NUMBER.split(expected)
    assert pieces[::2] == wanted[::2], f"{found}\n--- is not ---\n{expected}"
    for number, want in zip(pieces[1::2], wanted[1::2], strict=True):
        value = float(want)
        allowed = tolerance * max(1.0, abs(value))
        if "." in want and "e" not in want.lower():
            # Rounding may fall on either side.
            allowed += 10.0 ** -len(want.partition(".")[2])
        assert abs(float(number) - value) <= allowed, f"{number}, not {want}, in\n{found}"


def without_path_widths(text: str) -> str:
    """A first column of paths is as wide as those of this machine: its padding is left out."""
    text = re.sub(rf"^ +(?=[^\n]*\n{PATH_CELL})", "", text, flags=re.MULTILINE)
    return re.sub(rf"^{PATH_CELL}", lambda cell: f"{cell[0].rstrip()}  ", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_prints_and_writes_what_it_did(tmp_path, capsys, name):
    case = json.loads((DATA / "commands" / f"{name}.json").read_text())
    places = {"data": str(DATA), "out": str(tmp_path / "out"), "made": str(tmp_path / "made")}
    for key in ("out", "made"):
        (tmp_path / key).mkdir()
    for arguments in case["before"]:
        command = [a.format(**places) for a in arguments]
        if command[0] == "copy":
            shutil.copytree(*command[1:])
        else:
            assert main(command) == 0
    capsys.readouterr()
    status = main([a.format(**places) for a in case["argv"]])
    printed = capsys.readouterr()
    assert status == case["status"], printed.err

    def neutral(text: str) -> str:
        for place, path in places.items():
            text = text.replace(path, f"{{{place}}}")
        return text

    expected = "\n".join(case["stdout"])
    if case["argv"][0] in TERMS:
        expected = re.sub(*TERMS[case["argv"][0]], expected)
    assert_same("\n".join(neutral(printed.out).splitlines()), expected)
    out = tmp_path / "out"
    written = [str(p.relative_to(out)) for p in sorted(out.rglob("*")) if p.is_file()]
    assert set(case["files"]) <= set(written)
    for file in case["files"]:
        kept = (DATA / "written" / name / file).read_text()
        assert_same(neutral((out / file).read_text()), kept)


@pytest.mark.parametrize("training", sorted(p.name for p in (DATA / "trainings").glob("*")))
def test_a_training_is_exported_or_refused(tmp_path, capsys, training):
    """Classifiers and models of music have no bundle."""
    status = main(["export", str(DATA / "trainings" / training), str(tmp_path / "bundle")])
    refused = training in ("images", "sentences", "music")
    assert status == (2 if refused else 0), capsys.readouterr().err
    assert (tmp_path / "bundle" / "config.json").is_file() != refused


@pytest.mark.parametrize("name", RESUMED)
def test_a_training_goes_on(tmp_path, monkeypatch, name):
    """One more epoch than it had, with the losses that the code of that time had."""
    case = json.loads((DATA / "resumed" / f"{name}.json").read_text())
    shutil.copytree(DATA / "trainings" / name, tmp_path / name)
    shutil.copytree(DATA / "texts", tmp_path / "texts")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", str(ROOT / case["hparams"]), *case["arguments"]])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / case["script"]), run_name="__main__")
    assert end.value.code == 0
    lines = (tmp_path / name / "train_log.txt").read_text().splitlines()
    log = [line for line in lines if line.startswith("epoch: ")]
    assert log[:-1] == case["log"][:-1]
    assert_same(log[-1], case["log"][-1], 1e-3)
    sets = json.loads((tmp_path / name / "results.json").read_text())["sets"]
    assert dict(numbers(sets)) == pytest.approx(dict(numbers(case["sets"])), rel=1e-3, abs=1e-3)


def numbers(figures: dict, prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in nested mappings, without durations."""
    for key, value in figures.items():
        name = f"{prefix}/{key}"
        if isinstance(value, dict):
            yield from numbers(value, name)
        elif isinstance(value, int | float) and "second" not in key:
            yield name, float(value)


@pytest.mark.parametrize("name", sorted(json.loads((DATA / "speechbrain.json").read_text())))
def test_speechbrain_opens_a_bundle(tmp_path, monkeypatch, name):
    """Its ``hyperparams.yaml`` names classes of this package by their dotted paths."""
    from speechbrain.inference.ASR import EncoderASR

    expected = json.loads((DATA / "speechbrain.json").read_text())[name]
    monkeypatch.chdir(tmp_path)
    source = shutil.copytree(DATA / "bundles" / name, tmp_path / name)
    asr = EncoderASR.from_hparams(source=str(source), run_opts={"device": "cpu"})
    for file, text in expected.items():
        assert asr.transcribe_file(str(DATA / "audio" / file)) == text
