"""Tables are run, gone on with, and reported; the recipe is a process of its own."""

from __future__ import annotations

import csv
import fcntl
import json
import math
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gatedrnn.cli.main import main
from gatedrnn.experiments.compare.report import band
from gatedrnn.experiments.compare.runs import LOCK
from tests.experiments.compare.tables import TUNING, calls, write_table


@pytest.fixture(autouse=True)
def _few_plots(request, monkeypatch):
    """Plotting takes longer than all the rest."""
    if "plots" not in request.fixturenames:
        monkeypatch.setattr("gatedrnn.experiments.compare.report.write_plots", lambda gathered: [])


@pytest.fixture
def plots():
    """Lets the command write plots."""


def compare(path: Path, *arguments: str) -> int:
    """Runs the command; its exit status."""
    return main(["compare", str(path), "--output", str(path.parent / "out"), *arguments])


def rows(path: Path) -> list[dict[str, str]]:
    """The CSV table."""
    with open(path.parent / "out" / "table.csv", newline="") as file:
        return list(csv.DictReader(file))


def folders(path: Path) -> dict[str, int]:
    """Folder of a run -> how often it was run."""
    out = path.parent / "out"
    return {str(f.parent.relative_to(out)): len(calls(f.parent)) for f in out.rglob("calls.txt")}


def test_a_table_is_run_once(tmp_path, capsys, plots):
    path = write_table(tmp_path)
    assert compare(path, "--jobs", "2", "--", "--extra=a b") == 0
    expected = {f"h/{n}/seed-{s}": 1 for n in ("LSTM", "RAN-tanh") for s in (1, 2, 3)}
    assert folders(path) == expected
    call = calls(tmp_path / "out/h/RAN-tanh/seed-2")[0]
    folder = tmp_path / "out/h/RAN-tanh/seed-2"
    assert call["threads"] == "1"
    assert call["argv"] == [
        str(tmp_path / "h.yaml"), "--network=ran", "--options={output: tanh}", "--best_lr=2.0",
        "--seed=2", "--extra=a b", f"--output_folder={folder}",
    ]  # fmt: skip
    found = rows(path)
    assert [(r["network"], r["seed"]) for r in found] == [
        (n, s) for n in ("LSTM", "RAN tanh") for s in "123"
    ]
    assert shlex.split(found[4]["command"])[1:] == [str(tmp_path / "stand_in.py"), *call["argv"]]
    results = json.loads((folder / "results.json").read_text())
    assert float(found[4]["test error"]) == results["sets"]["test"]["error"]
    assert float(found[4]["value"]) == results["sets"]["test"]["error"]
    assert found[4]["parameters"] == "1000"
    for name in ("curves.png", "quality_parameters.png", "quality_time.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")
    table = (tmp_path / "out/table.md").read_text()
    assert f"tools/compare {path} --output {tmp_path / 'out'} -- '--extra=a b'" in table
    assert "All 6 runs of table.yaml are there." in table
    capsys.readouterr()
    for picture in (tmp_path / "out").glob("*.png"):
        picture.unlink()
    assert compare(path, "--", "--extra=a b") == 0
    assert folders(path) == expected
    assert capsys.readouterr().err.count("(was there)") == 6


def test_the_table_has_means_spreads_and_the_test(tmp_path):
    path = write_table(tmp_path, also=[{"key": ["dev", "error"], "name": "dev error"}])
    assert compare(path) == 0
    values = {}
    for row in rows(path):
        values.setdefault(row["network"], []).append(float(row["value"]))
    table = (tmp_path / "out/table.md").read_text()
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    head, lstm, ran = ([c.strip() for c in line.split("|")[1:-1]] for line in lines)
    assert head[:5] == ["network", "test error", "seeds", "dev error", "parameters"]
    mean = sum(values["LSTM"]) / 3
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values["LSTM"]) / 2)
    assert lstm[1] == f"**{mean:.2f} ± {deviation:.2f}**"
    assert lstm[2:] == ["3", lstm[3], "1,000", "2", "2", "200", "150", "-", "-"]
    difference = sum(values["RAN tanh"]) / 3 - mean
    assert ran[-2].startswith(f"{difference:+.1f} [")
    assert ran[-1].endswith("(n = 3)")
    assert "two-sided paired t-test against LSTM" in table
    assert "Runs at a time: 1; threads of each: 1." in table


def test_what_fails_is_named_and_the_rest_goes_on(tmp_path, capsys, monkeypatch):
    path = write_table(tmp_path, arguments={"fail_at": 2})
    assert compare(path) == 1
    printed = capsys.readouterr()
    assert printed.err.count("FAILED: exit status 3; the end of") == 2
    assert "    the disk is full" in printed.err
    assert "2 run(s) failed: h / LSTM / seed-2, h / RAN tanh / seed-2" in printed.err
    assert "- h / LSTM / seed-2: failed" in printed.out
    assert [r["state"] for r in rows(path)] == ["done", "failed", "done"] * 2
    monkeypatch.setenv("CURED", "1")
    assert compare(path) == 0
    assert folders(path) == {
        f"h/{n}/seed-{s}": 1 + (s == 2) for n in ("LSTM", "RAN-tanh") for s in (1, 2, 3)
    }
    record = json.loads((tmp_path / "out/h/LSTM/seed-2/compare.json").read_text())
    assert [session["status"] for session in record["sessions"]] == [3, 0]


def test_results_without_the_figure_are_named(tmp_path, capsys):
    path = write_table(tmp_path, measure={"key": ["test", "BLEU"], "name": "BLEU"}, seeds=[1])
    assert compare(path) == 1
    assert "results.json has no number at test: BLEU (BLEU)" in capsys.readouterr().out
    path = write_table(tmp_path, arguments={"forgets_results": 1}, seeds=[5])
    assert compare(path) == 1
    assert "it ended without" in capsys.readouterr().err


def test_a_run_of_another_command_is_not_taken(tmp_path, capsys):
    path = write_table(tmp_path, seeds=[1])
    assert compare(path) == 0
    path = write_table(tmp_path, seeds=[1], arguments={"epochs": 5})
    assert compare(path) == 1
    printed = capsys.readouterr()
    assert "holds a run of another command (there nothing, now --epochs=5)" in printed.err
    assert "- h / LSTM / seed-1: of another command" in printed.out
    left = tmp_path / "out/h/LSTM/seed-1/old.txt"
    left.write_text("")
    assert compare(path, "--replace") == 0
    assert not left.exists()
    assert set(folders(path).values()) == {1}


def test_tuning_is_equal_and_chooses_by_development(tmp_path, capsys):
    path = write_table(tmp_path, **TUNING)
    assert compare(path, "--jobs", "2") == 0
    out = tmp_path / "out/h"
    tried = [calls(out / f"LSTM/tune-{n}")[0]["argv"] for n in (1, 2, 3)]
    assert all({"--epochs=1", "--seed=9"} <= set(argv) for argv in tried)
    assert [f"--lr={lr}" in argv for lr, argv in zip((0.5, 1.0, 2.0), tried, strict=True)] == [
        True, True, True
    ]  # fmt: skip
    for network, lr in (("LSTM", "1.0"), ("RAN-tanh", "2.0")):
        for seed in (1, 2, 3):
            argv = calls(out / f"{network}/seed-{seed}")[0]["argv"]
            assert f"--lr={lr}" in argv
            assert not any(a.startswith("--epochs") for a in argv)
    table = (tmp_path / "out/table.md").read_text()
    assert "Tuned for each network: 3 settings, seed 9, epochs 1; chosen by dev error" in table
    lines = {line.split("|")[1].strip(): line for line in table.split("| chosen |")[1].splitlines()
             if line.startswith("| ")}  # fmt: skip
    assert lines["LSTM"].endswith("| lr 1.0 | no |")
    assert lines["RAN tanh"].endswith("| lr 2.0 | lr 2.0 is the highest tried |")
    with pytest.raises(SystemExit):
        main(["compare", str(path)])
    capsys.readouterr()
    assert compare(path, "--", "--lr=3") == 2
    assert "--lr cannot be given for all runs" in capsys.readouterr().err
    assert compare(path, "--", "--seed=3") == 2


def test_seeds_wait_for_a_tuning_that_was_cut_off(tmp_path, capsys, monkeypatch):
    path = write_table(tmp_path, **TUNING, arguments={"killed_at": 9}, seeds=[1])
    assert compare(path, "--networks", "LSTM") == 1
    printed = capsys.readouterr()
    assert printed.err.count("FAILED: signal 9") == 3
    assert "h / LSTM: no seed can run before its tuning has ended" in printed.err
    assert "- h / LSTM: waits for its tuning" in printed.out
    assert not (tmp_path / "out/h/LSTM/seed-1").exists()
    monkeypatch.setenv("CURED", "1")
    assert compare(path, "--networks", "LSTM") == 0
    assert folders(path) == {**{f"h/LSTM/tune-{n}": 2 for n in (1, 2, 3)}, "h/LSTM/seed-1": 1}


def test_a_setting_that_fails_is_out(tmp_path, capsys):
    tuning = {**TUNING, "tuning": {"grid": {"fail_at": [1, 0], "lr": [1.0]}, "seed": 1}}
    path = write_table(tmp_path, **tuning, seeds=[4])
    assert compare(path) == 1
    table = capsys.readouterr().out
    assert "fail_at 1, lr 1.0: failed; fail_at 0, lr 1.0: 10" in table
    assert "fail_at 0 is the lowest tried" in table
    assert all(r["state"] == "done" for r in rows(path) if r["run"] == "seed-4")


def test_a_part_is_run_listed_and_reported(tmp_path, capsys):
    path = write_table(tmp_path, data={"A": {}, "B": {"base": 3.0}})
    assert compare(path, "--list", "--seeds", "2") == 0
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == 4
    assert shlex.split(listed[0])[:2] == [sys.executable, str(tmp_path / "stand_in.py")]
    assert "'--options={output: tanh}'" in listed[1]
    assert not (tmp_path / "out").exists()
    part = ("--networks", "RAN tanh", "--seeds", "2", "3", "--data", "B")
    assert compare(path, *part, "--", "--x=1") == 0
    assert set(folders(path)) == {"B/RAN-tanh/seed-2", "B/RAN-tanh/seed-3"}
    # What the folder was made with is what is listed.
    capsys.readouterr()
    assert compare(path, "--list", "--seeds", "2") == 0
    assert all("--x=1" in line for line in capsys.readouterr().out.splitlines())
    (tmp_path / "out/table.md").unlink()
    assert compare(path, "--report") == 0
    assert "| RAN tanh | **" in (tmp_path / "out/table.md").read_text()
    assert [r["state"] for r in rows(path)].count("done") == 2
    for wrong, message in (
        (["--networks", "GRU"], "--networks: there is no GRU; there are: LSTM, RAN tanh"),
        (["--seeds", "7"], "--seeds: 7 is not among those of"),
        (["--jobs", "0"], "--jobs must be at least 1, not 0"),
        (["--", "--network=gru"], "--network cannot be given for all runs"),
        (["--", "--base=4"], "sets it for each run"),
    ):
        capsys.readouterr()
        assert compare(path, *wrong) == 2
        assert message in capsys.readouterr().err


def test_a_run_in_work_is_left_alone(tmp_path, capsys):
    path = write_table(tmp_path, seeds=[1])
    folder = tmp_path / "out/h/LSTM/seed-1"
    folder.mkdir(parents=True)
    with open(folder / LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert compare(path) == 1
    assert "h / LSTM / seed-1: FAILED: another process is running it" in capsys.readouterr().err
    assert compare(path) == 0


#: What the command does, without the imports of all other commands.
RUN = """
import signal
import sys
# A shell has what it starts in the background ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
from gatedrnn.experiments.compare.runs import Plan, Runner
from gatedrnn.experiments.compare.specification import read_table
table = read_table(sys.argv[1])
plan = Plan(table, sys.argv[2])
runs = [plan.seed_run(table.data[0], network, 1) for network in table.networks]
Runner().run([(run, table.measure) for run in runs])
"""


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_ending_the_command_ends_its_runs(tmp_path, end):
    path = write_table(tmp_path, seeds=[1], arguments={"wait": 300})
    process = subprocess.Popen([sys.executable, "-c", RUN, path, tmp_path / "out"])
    folder = tmp_path / "out/h/LSTM/seed-1"
    while not calls(folder):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(end)
    assert process.wait(60) == (143 if end == signal.SIGTERM else -end)
    with open(folder / LOCK) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not (folder / "results.json").exists()
    assert not calls(tmp_path / "out/h/RAN-tanh/seed-1")


def test_a_killed_command_leaves_its_run_to_itself(tmp_path, capsys):
    """The training has the lock: nobody else trains in its folder."""
    path = write_table(tmp_path, seeds=[1], arguments={"wait": 300})
    process = subprocess.Popen([sys.executable, "-c", RUN, path, tmp_path / "out"])
    folder = tmp_path / "out/h/LSTM/seed-1"
    while not calls(folder):
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    try:
        assert compare(path, "--networks", "LSTM") == 1
        assert "another process is running it" in capsys.readouterr().err
    finally:
        os.kill(calls(folder)[0]["pid"], signal.SIGKILL)


def test_a_plot_without_values_is_named(tmp_path, capsys, plots):
    path = write_table(tmp_path, seeds=[1], curve="valid BLEU", networks={"LSTM": {}})
    assert compare(path) == 0
    printed = capsys.readouterr().err
    assert (
        "no curves.png: no finished run has left its train_log.txt with the value 'valid BLEU' of "
        "the curve, but 'epoch', 'lr', 'train loss', 'valid loss', 'valid error'\n"
    ) in printed
    assert not (tmp_path / "out/curves.png").exists()
    assert (tmp_path / "out/quality_time.png").exists()


def test_the_band_goes_as_far_as_all_seeds():
    mean, deviation = band([[4.0, 2.0, 1.0], [2.0, 2.0]])
    assert mean.tolist() == [3.0, 2.0]
    assert deviation.tolist() == pytest.approx([math.sqrt(2), 0.0])
