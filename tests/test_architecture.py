"""The structure of the package, from its imports: layers, circles, tasks, files of a task."""

import importlib.machinery
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _load():
    path = str(ROOT / "tools" / "structure")
    loader = importlib.machinery.SourceFileLoader("structure", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("structure", loader))
    loader.exec_module(module)
    return module


structure = _load()
GRAPH = structure.imports(structure.modules())
TASKS = sorted(p.parent.name for p in (structure.PACKAGE / "tasks").glob("*/__init__.py"))


def test_every_folder_has_a_layer():
    known = {name for names in structure.LAYERS for name in names}
    folders = {p.parent.name for p in structure.PACKAGE.glob("*/__init__.py")}
    assert folders == known


def test_imports_go_down():
    assert structure.arrows_up(GRAPH) == []


def test_no_circles():
    assert structure.circles(GRAPH) == []


def test_no_two_layers_import_each_other():
    assert structure.two_way_pairs(GRAPH) == []


@pytest.mark.parametrize("task", TASKS)
def test_files_of_a_task(task):
    folder = structure.PACKAGE / "tasks" / task
    missing = [name for name in structure.TASK_FILES if not (folder / name).is_file()]
    assert missing == []
    assert (folder / "data.py").is_file() or (folder / "corpora").is_dir()


def test_tasks_are_those_of_the_registry():
    from gatedrnn.tasks.registry import TASKS as rows

    assert sorted(task.name for task in rows) == TASKS


def test_arrows_are_found():
    """The checks see what they are to see."""
    graph = {
        "gatedrnn.data.files": {"gatedrnn.tasks.asr.model"},
        "gatedrnn.tasks.asr.model": {"gatedrnn.tasks.music.model", "gatedrnn.data.files"},
        "gatedrnn.tasks.asr.apply": {"gatedrnn.tasks.language_modeling.apply"},
        "gatedrnn.tasks.music.model": set(),
        "gatedrnn.tasks.language_modeling.apply": set(),
    }
    assert structure.arrows_up(graph) == [
        "gatedrnn.data.files -> gatedrnn.tasks.asr.model",
        "gatedrnn.tasks.asr.model -> gatedrnn.tasks.music.model",
    ]
    assert structure.circles(graph) == [["gatedrnn.data.files", "gatedrnn.tasks.asr.model"]]
    assert structure.two_way_pairs(graph) == ["data <-> tasks"]
