"""``gatedrnn list`` and the command itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from gatedrnn import __version__, nnet
from gatedrnn.cells import CELLS
from gatedrnn.cli.main import main

SIZES = ["--input-size", "80", "--hidden-size", "1024", "--proj-size", "512", "--num-layers", "10"]


def test_every_recurrence_with_paper_options_and_count(capsys):
    assert main(["list", *SIZES]) == 0
    text = capsys.readouterr().out
    for cell in CELLS:
        assert f"{cell.key}  (gatedrnn.nnet.{cell.__name__})" in text
        assert cell.paper in text
        assert cell.summary in text
        for option in cell.options():
            assert f"{option}=" in text
    assert "45,734,912  defaults" in text  # residual, 45.73 M
    assert "50,234,368  defaults" in text  # highway, 50.23 M


def test_json_counts_are_those_of_the_built_stacks(capsys):
    sizes = {"input_size": 6, "hidden_size": 9, "num_layers": 3}
    assert main(
        ["list", "--format", "json", "--input-size", "6", "--hidden-size", "9", "--num-layers",
         "3", "--proj-size", "4", "--bidirectional"]
    ) == 0  # fmt: skip
    data = json.loads(capsys.readouterr().out)
    assert [item["key"] for item in data["recurrences"]] == [cell.key for cell in CELLS]
    for item in data["recurrences"]:
        for row in item["variants"]:
            name = item["class"].rpartition(".")[2]
            proj = {"proj_size": 4} if item["projection"] else {}
            net = nnet.CLASSES[name](**sizes, **proj, **row["options"], bidirectional=True)
            assert row["parameters"] == sum(p.numel() for p in net.parameters()), (name, row)


def test_markdown_of_one_recurrence(capsys):
    assert main(["list", "SlimLSTM", "--format", "markdown", "--hidden-size", "100",
                 "--input-size", "28"]) == 0  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("| `gatedrnn.nnet.SlimLSTM`") for line in lines) == 12
    assert lines[-1].endswith("| variant='C6' | 3,000 |")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "rann"], "there is no recurrence 'rann'; there are: lstmp"),
        (["list", "--hidden-size", "0"], "hidden_size must be a positive integer, not 0"),
        (["list", "--num-layers", "0"], "num_layers must be at least 1, not 0"),
    ],
)
def test_bad_input_is_named_and_fails(arguments, message, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_installed_command():
    done = subprocess.run(
        [sys.executable, "-m", "gatedrnn.cli.main", "--version"], capture_output=True, text=True
    )
    assert done.stdout.strip() == f"gatedrnn {__version__}"


def test_a_command_is_needed(capsys):
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 2
    printed = capsys.readouterr().err
    assert "list" in printed or "COMMAND" in printed


def test_who_has_seen_enough_of_the_output_is_no_error():
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "gatedrnn.cli.main", "list", "--format", "json"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")
