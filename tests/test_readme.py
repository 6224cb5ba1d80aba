"""The README's examples run as they stand, and its commands are there."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hyperpyyaml import load_hyperpyyaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("source", blocks("python"), ids=lambda s: s.split("\n")[1][:40])
def test_python_example(source):
    exec(compile(source, "README.md", "exec"), {"__name__": "readme"})


@pytest.mark.parametrize("source", blocks("yaml"), ids=lambda s: s[:20])
def test_yaml_example(source):
    loaded = load_hyperpyyaml(source)
    assert type(loaded["encoder"]).__name__ == "ResidualLSTM"
    assert loaded["encoder"].num_layers == 10


@pytest.mark.parametrize("command", ["demo", "test"])
def test_commands_are_executable(command):
    assert f"./tools/{command}" in README
    assert os.access(ROOT / "tools" / command, os.X_OK)


def test_folders_of_the_table_exist():
    for cell in re.findall(
        r"^\| (`[a-z].*?) \|", README.split("## How it is built")[1], re.MULTILINE
    ):
        for folder in re.findall(r"`([^`]+)`", cell):
            assert (ROOT / folder).is_dir(), folder
