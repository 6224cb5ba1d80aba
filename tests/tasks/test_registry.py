"""A task is its folder and its row in the registry: without both, all others work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gatedrnn.tasks.registry import TASKS, bundle_kinds

ROOT = Path(__file__).parents[2]
#: Tasks that no other task imports; language_modeling is a part of asr.
REMOVABLE = [task.name for task in TASKS if task.name != "language_modeling"]
EVERYTHING = """
import importlib, pathlib, sys
import gatedrnn
from gatedrnn.cli.main import main

root = pathlib.Path(gatedrnn.__file__).parent
assert root.parent == pathlib.Path(sys.argv[1]), root
for path in sorted(root.rglob("*.py")):
    parts = path.relative_to(root.parent).with_suffix("").parts
    if "triton" not in parts and parts[-1] != "__main__":
        importlib.import_module(".".join(parts).removesuffix(".__init__"))
assert main(["list"]) == 0
assert main(["export", sys.argv[2], sys.argv[3]]) == 0
try:
    main(["--help"])
except SystemExit as end:
    assert not end.code
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(ROOT / "gatedrnn", folder / "gatedrnn")
    return folder


@pytest.mark.parametrize("task", REMOVABLE)
def test_a_task_can_be_deleted(copy, task, tmp_path):
    package = tmp_path / "package"
    shutil.copytree(copy, package)
    shutil.rmtree(package / "gatedrnn" / "tasks" / task)
    registry = package / "gatedrnn" / "tasks" / "registry.py"
    rows = re.compile(rf'^    Task\("{task}",.*\n', re.M)
    text, count = rows.subn("", registry.read_text())
    assert count == 1
    registry.write_text(text)
    training = "translation" if task == "captioning" else "captions"
    results = ROOT / "tests" / "released" / "data" / "trainings" / training
    found = subprocess.run(
        [sys.executable, "-c", EVERYTHING, package, results, tmp_path / "bundle"],
        env={**os.environ, "PYTHONPATH": str(package)}, cwd=tmp_path, capture_output=True,
        text=True,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "bundle" / "config.json").is_file()


def test_every_task_has_its_files():
    for task in TASKS:
        folder = ROOT.joinpath(*task.module.split("."))
        assert folder.name == task.name
        for name in ("__init__", "model", "train", "decode", "bundle"):
            assert (folder / f"{name}.py").is_file(), f"{task.name} has no {name}.py"


def test_every_task_has_a_kind_of_bundle():
    kinds = bundle_kinds()
    assert [kind.task for kind in kinds] == [task.name for task in TASKS]
    formats = [kind.config.FORMAT for kind in kinds]
    assert len(set(formats)) == len(formats)
    for kind in kinds:
        described = [k.noun for k in kinds if k.describes({"task": kind.task})]
        assert described == [kind.noun]
