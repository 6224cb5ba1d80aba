"""The scripts of tools/ install what they need and hand their arguments on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("script", "extras", "command"),
    [
        ("demo", ".[demo,plots,vad]", "python recipes/AMI/demo.py"),
        ("test", ".[test]", "python -m pytest"),
        ("bench", ".[plots]", "gatedrnn bench"),
        ("compare", ".[plots]", "gatedrnn compare"),
    ],
)
def test_installs_and_hands_arguments_on(tmp_path, script, extras, command):
    """In a checkout with an environment, whose programs only record their calls."""
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "ruff", "yamllint", "gatedrnn"):
        (folder / name).write_text(f'#!/bin/sh\necho {name} "$@" >> "{tmp_path}/calls"\n')
        (folder / name).chmod(0o755)
    done = subprocess.run(
        [tmp_path / "tools" / script, "--one=1", "two words"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0].endswith(f"--editable {extras}")
    assert calls[-1].startswith(command)
    assert calls[-1].endswith("--one=1 two words")


@pytest.mark.parametrize("script", ["demo", "test", "bench", "compare"])
def test_help_installs_nothing(tmp_path, script):
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    done = subprocess.run(
        [tmp_path / "tools" / script, "--help"], capture_output=True, text=True, cwd="/"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: tools/{script} " in done.stdout and done.stdout.startswith("Creates")
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("script", ["demo", "test", "bench", "compare", "environment.sh"])
def test_is_bash(script):
    done = subprocess.run(["bash", "-n", ROOT / "tools" / script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
