"""The tasks of the package: a task is its folder and its row in this table."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Task:
    """A task; ``module`` is its package, which is imported only when it is used."""

    name: str
    summary: str
    module: str

    def cli(self) -> ModuleType:
        """Its module of the command line, which imports nothing heavy."""
        return importlib.import_module(f"{self.module}.cli")

    def commands(self) -> tuple[Any, ...]:
        """Its subcommands (:class:`gatedrnn.tasks.command_line.Command`)."""
        return self.cli().COMMANDS

    def bundle_kinds(self) -> tuple[Any, ...]:
        """Its kinds of bundles (:class:`gatedrnn.bundle.kind.BundleKind`)."""
        return getattr(importlib.import_module(f"{self.module}.bundle"), "BUNDLE_KINDS", ())


TASKS = (
    Task("asr", "speech recognition", "gatedrnn.tasks.asr"),
    Task("language_modeling", "language models of text", "gatedrnn.tasks.language_modeling"),
    Task("captioning", "captions of images and sounds", "gatedrnn.tasks.captioning"),
    Task("translation", "translation of sentences", "gatedrnn.tasks.translation"),
    Task("classification", "classes of sequences", "gatedrnn.tasks.classification"),
    Task("music", "polyphonic music", "gatedrnn.tasks.music"),
)


def bundle_kinds() -> tuple[Any, ...]:
    """The kinds of bundles of all tasks; imports torch."""
    return tuple(kind for task in TASKS for kind in task.bundle_kinds())


def export(results: str | Path, folder: str | Path, overwrite: bool = False, **options: Any) -> Any:
    """Writes a bundle of a training of any task; see :func:`gatedrnn.bundle.kind.export`.

    Returns its config.
    """
    from gatedrnn.bundle.kind import export as export_with

    return export_with(results, folder, bundle_kinds(), overwrite, **options)[1].config
