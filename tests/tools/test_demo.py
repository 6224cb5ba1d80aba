"""The demonstration from simulated meetings to its table and its plots, as small as possible."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = [
    "--train-minutes=0.8", "--dev-minutes=0.3", "--eval-minutes=0.3", "--processes=1",
    "--num_layers=2", "--hidden_size=8", "--proj_size=4", "--pieces=60", "--number_of_epochs=1",
    "--network=highway", "--network_options={}", "--beam_size=2", "--noprogressbar",
]  # fmt: skip


@pytest.fixture(name="demo")
def _demo(monkeypatch):
    """The script's main function, whose commands run in this process: starting takes longer."""
    for package in ("espeakng_loader", "pyroomacoustics", "matplotlib"):
        pytest.importorskip(package, reason="the extras demo and plots are not installed")

    def run(command, check, env):
        assert command[0] == sys.executable and check and env["OMP_NUM_THREADS"]
        monkeypatch.setattr(sys, "argv", command[1:])
        try:
            runpy.run_path(command[1], run_name="__main__")
        except SystemExit as end:
            if end.code:
                raise subprocess.CalledProcessError(end.code, command) from end

    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(subprocess, "run", run)
    # One job, for the same reason.
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0}, raising=False)
    return runpy.run_path("recipes/AMI/demo.py")["main"]


def test_ends_with_a_table_transcripts_and_plots(tmp_path, demo, capfd, learning_curves):
    assert demo(["--results", str(tmp_path), *SMALL]) == 0
    printed = capfd.readouterr().out
    folder = tmp_path / "highway-2-1"
    for name in ("array.png", "learning_curve.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    results = json.loads((folder / "results.json").read_text())
    assert set(results["sets"]) == {"dev", "eval", "eval-close"}
    summary = (folder / "summary.txt").read_text()
    assert summary in printed
    rescored = results["rescored"]["sets"]
    assert set(rescored) == set(results["sets"])
    for name, metrics in results["sets"].items():
        after = rescored[name]
        rows = {f"{name} ": metrics, f"{name}, rescored ": after}
        for begin, row in rows.items():
            (line,) = (line for line in summary.splitlines() if line.startswith(begin))
            assert line.split()[-4] == f"{row['WER']:.2f}"
        assert f"{name}: oracle WER {after['oracle WER']:.2f} %" in summary
        assert (folder / "rescored" / f"wer_{name}.txt").is_file()
    assert "only on the transcripts of the training meetings" in summary
    text = json.loads((tmp_path / "language_model" / "report.json").read_text())
    rows = (tmp_path / "prepared-Array1-01" / "train.csv").read_text().splitlines()
    assert text["statistics"]["texts"]["train"]["lines"] == len(rows) - 1
    assert "  reference   " in summary and "CPU seconds" in summary
    for command in (
        "recipes/Manifest/ASR/train.py",
        "recipes/AMI/ami_prepare.py",
        f"gatedrnn export {folder}",
    ):
        assert command in printed.split("Next", 1)[1]


def test_fails_when_a_step_fails(tmp_path, demo, capfd):
    """Meetings that were not simulated are refused."""
    (tmp_path / "meetings" / "audio").mkdir(parents=True)
    assert demo(["--results", str(tmp_path), *SMALL]) == 2
    printed = capfd.readouterr()
    assert "simulate_meetings.py" in printed.err and "=== preparation" not in printed.out
