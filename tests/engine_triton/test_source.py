"""Printed kernels as files: shared caches, several processes, broken files."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gatedrnn.cells import LSTMP, RAN
from gatedrnn.engine.trace import trace
from gatedrnn.engine.triton import dispatch, source
from gatedrnn.engine.triton.layout import Layout
from tests.tasks.asr.tiny import PROCESSES


def print_file(folder, answer):
    """Prints a kernel as a process of its own does."""
    os.environ["GATEDRNN_CACHE"] = folder
    layout = Layout(trace(RAN(input_size=3, hidden_size=21)))
    answer.send(source.load(source.print_module(layout, False, torch.float32, True)).__file__)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    pytest.importorskip("triton", reason="triton is not installed")
    monkeypatch.setenv("GATEDRNN_CACHE", str(tmp_path))
    return tmp_path / "triton"


def text_of(hidden_size):
    layout = Layout(trace(RAN(input_size=3, hidden_size=hidden_size)))
    return source.print_module(layout, False, torch.float32, True)


def test_processes_at_once_make_one_file(cache):
    answers, processes = [], []
    for _ in range(2):
        receiver, sender = PROCESSES.Pipe(duplex=False)
        process = PROCESSES.Process(target=print_file, args=(str(cache.parent), sender))
        process.start()
        sender.close()
        answers.append(receiver)
        processes.append(process)
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0, 0]
    paths = {answer.recv() for answer in answers}
    assert paths == {str(path) for path in cache.iterdir()} and len(paths) == 1


def test_a_broken_file_is_made_again(cache):
    text = text_of(22)
    path = source.load(text).__file__
    del sys.modules[path.rpartition("/")[2].removesuffix(".py")]
    with open(path, "w") as file:
        file.write("this is no Python")
    module = source.load(text)
    assert module.__file__ == path and hasattr(module, "forward_0")


def test_a_folder_that_cannot_be_written(cache, tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("GATEDRNN_CACHE", str(blocked))
    assert hasattr(source.load(text_of(23)), "forward_0")


def test_the_package_does_not_import_triton():
    # Other parts of torch may; ours must not need it.
    code = "import sys, gatedrnn; assert not any(n == 'triton' for n in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    folder = Path(source.__file__).parent
    for path in folder.glob("*.py"):
        statements = ast.walk(ast.parse(path.read_text()))
        imports = [n for n in statements if isinstance(n, (ast.Import, ast.ImportFrom))]
        names = {a.name for n in imports for a in n.names} | {
            n.module for n in imports if isinstance(n, ast.ImportFrom)
        }
        assert not any(n == "triton" or n.startswith("triton.") for n in names), path


def test_without_triton_it_says_so(monkeypatch):
    monkeypatch.setattr(dispatch.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    cell = LSTMP(input_size=3, hidden_size=4)
    found = dispatch.obstacle(cell, torch.device("cpu"), torch.float32)
    assert found.startswith("triton is not installed")


def test_obstacles_on_a_cpu():
    cell = LSTMP(input_size=3, hidden_size=4)
    found = dispatch.obstacle(cell, torch.device("cpu"), torch.float32)
    assert found == "it runs on CUDA devices only"


@pytest.mark.parametrize("forced", ("elementwise", "fastest"))
def test_a_path_that_cannot_be(forced, monkeypatch):
    monkeypatch.setenv(dispatch.VARIABLE, forced)
    layout = Layout(trace(LSTMP(input_size=3, hidden_size=4)))
    with pytest.raises(ValueError, match="GATEDRNN_TRITON_PATH"):
        dispatch.path(layout, torch.device("cuda"), torch.float32)


def test_nothing_takes_the_persistent_path_by_itself(monkeypatch):
    monkeypatch.delenv(dispatch.VARIABLE, raising=False)
    for cell in (LSTMP(input_size=3, hidden_size=4), RAN(input_size=3, hidden_size=4)):
        layout = Layout(trace(cell))
        assert dispatch.path(layout, torch.device("cuda"), torch.float32) == dispatch.STEP
