"""The examples of the README and of docs/ run, and what they name exists."""

from __future__ import annotations

import os
import pkgutil
import re
from pathlib import Path

import pytest
from hyperpyyaml import load_hyperpyyaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: Also with links and commands, but without examples.
WITH_LINKS = [*DOCUMENTS, ROOT / "CHANGELOG.md", *sorted(ROOT.glob("recipes/**/*.md"))]


def blocks(language: str) -> list:
    """Code blocks of all documents: (document, source)."""
    return [
        pytest.param(path, source, id=f"{path.stem}-{number}")
        for path in DOCUMENTS
        for number, source in enumerate(
            re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
        )
    ]


@pytest.mark.parametrize(("path", "source"), blocks("python"))
def test_python_example(path, source):
    exec(compile(source, str(path), "exec"), {"__name__": "example"})


@pytest.mark.parametrize(("path", "source"), blocks("yaml"))
def test_yaml_example(path, source):
    loaded = load_hyperpyyaml(source)
    assert type(loaded["encoder"]).__name__ == "ResidualLSTM"
    assert loaded["encoder"].num_layers == 10


def test_there_are_examples():
    assert len(blocks("python")) == 11 and len(blocks("yaml")) == 1


@pytest.mark.parametrize("command", ["demo", "test"])
def test_commands_are_executable(command):
    assert f"./tools/{command}" in README
    assert os.access(ROOT / "tools" / command, os.X_OK)


@pytest.mark.parametrize("path", WITH_LINKS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_and_recipes_exist(path):
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (path.parent / target).exists(), target
    for target in re.findall(r"(?<![\w/.])(?:recipes|hparams)/[\w/]+\.(?:py|yaml)\b", text):
        near = (path.parent / target).is_file()  # in a recipe: hparams/x.yaml
        assert near or (ROOT / target).is_file() or "NAME" in target, target


def with_dotted_names() -> list[Path]:
    """Documents and YAML files; the change log also has names of earlier releases."""
    places = [*WITH_LINKS, *ROOT.glob("recipes/**/*.yaml"), *ROOT.glob("hparams/**/*.yaml")]
    return sorted({path for path in places if path.name != "CHANGELOG.md"})


@pytest.mark.parametrize("path", with_dotted_names(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_dotted_names_exist(path):
    for name in set(re.findall(r"\bgatedrnn(?:\.\w+)+", path.read_text(encoding="utf-8"))):
        assert pkgutil.resolve_name(name) is not None, name


def test_folders_of_the_architecture_exist():
    table = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("A task imports")
    folders = [
        folder
        for cell in re.findall(r"^\| (`[a-z].*?) \|", table[0], re.MULTILINE)
        for folder in re.findall(r"`([^`]+)`", cell)
    ]
    assert len(folders) > 10
    for folder in folders:
        assert (ROOT / folder).is_dir(), folder


def test_files_to_add_something_to_exist():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("## Where to add")
    for target in re.findall(r"`(gatedrnn/[\w/]+(?:\.py)?)`", text[1]):
        if "NAME" not in target:
            assert (ROOT / target).exists(), target
