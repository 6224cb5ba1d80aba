"""The tasks of the package: a task is its folder and its row in this table."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Task:
    """A task; ``module`` is its package, which is imported only when it is used."""

    name: str
    summary: str
    module: str

    def commands(self) -> tuple[Any, ...]:
        """Its subcommands (:class:`gatedrnn.tasks.command_line.Command`); empty without any."""
        if importlib.util.find_spec(f"{self.module}.cli") is None:
            return ()
        return importlib.import_module(f"{self.module}.cli").COMMANDS


TASKS = (
    Task("asr", "speech recognition", "gatedrnn.tasks.asr"),
    Task("language_modeling", "language models of text", "gatedrnn.tasks.language_modeling"),
    Task("captioning", "captions of images and sounds", "gatedrnn.tasks.captioning"),
    Task("translation", "translation of sentences", "gatedrnn.tasks.translation"),
    Task("classification", "classes of sequences", "gatedrnn.tasks.classification"),
    Task("music", "polyphonic music", "gatedrnn.tasks.music"),
)
