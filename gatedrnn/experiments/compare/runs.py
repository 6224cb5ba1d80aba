"""The runs of a table: their commands, their folders, what they left, and what was chosen."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatedrnn.experiments.compare.plain import as_argument
from gatedrnn.experiments.compare.specification import OWN_ARGUMENTS, Measure, Part, Table

#: Name of the file in a run's folder that says what was run.
RECORD = "compare.json"
#: Name of the file that holds what the recipe printed.
OUTPUT = "compare.log"
#: Kinds of runs.
TUNE, SEED = "tune", "seed"
#: States of runs: ended well, ended with an error, ended from outside or not at all, not begun, and
#: a folder that holds something else.
DONE, FAILED, CUT, NEW, OTHER = "done", "failed", "interrupted", "not run", "of another command"


@dataclass(frozen=True)
class Run:
    """One training.

    Arguments
    ---------
    data, network : Part
        What is trained, and on what.
    kind : str
        ``"tune"`` or ``"seed"``.
    setting : Mapping
        The tuned arguments.
    seed : int
        Its seed.
    folder : Path
        Where it writes.
    identity : tuple of str
        Its command, without what depends on the machine.
    command : tuple of str
        Its command.
    """

    data: Part
    network: Part
    kind: str
    setting: Mapping[str, Any]
    seed: int
    folder: Path
    identity: tuple[str, ...]
    command: tuple[str, ...]

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.data.name} / {self.network.name} / {self.folder.name}"

    def record(self) -> dict[str, Any]:
        """What its folder says of it; empty if it has not begun."""
        path = self.folder / RECORD
        if not path.is_file():
            return {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return {**found, "identity": list(found["identity"]), "sessions": found["sessions"]}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not the record of a run: {error}") from error


@dataclass(frozen=True)
class Choice:
    """What tuning has chosen.

    Arguments
    ---------
    setting : Mapping
        The best one.
    scores : list of float or None
        The figure of each setting; ``None`` where the run failed.
    edges : tuple of str
        What lies at the edge of its grid, in words.
    """

    setting: Mapping[str, Any]
    scores: list[float | None]
    edges: tuple[str, ...]


class Plan:
    """All runs of a table in a folder.

    Arguments
    ---------
    table : Table
        The table.
    output : str or Path
        The folder: ``DATA/NETWORK/tune-NUMBER`` and ``DATA/NETWORK/seed-SEED`` are in it.
    extra : sequence of str
        Arguments of the command line for every run; they come before those of the table.

    Raises
    ------
    ValueError
        If ``extra`` names an argument that the table sets for each run.
    """

    def __init__(self, table: Table, output: str | Path, extra: Sequence[str] = ()) -> None:
        self.table, self.output = table, Path(output).resolve()
        self.extra = (*table.command_line, *extra)
        self._given = {a[2:].partition("=")[0] for a in self.extra if a.startswith("--")}
        tuned = {
            key
            for data in table.data
            for network in table.networks
            if (tuning := table.tuned(data, network)) is not None
            for key in tuning.grid
        }
        each = {*OWN_ARGUMENTS}.union(*(part.arguments for part in (*table.networks, *table.data)))
        for name in sorted(self._given & {*each, *tuned}):
            why = "tunes it" if name in tuned else "sets it for each run"
            raise ValueError(f"--{name} cannot be given for all runs: {table.path} {why}")

    def tuning_runs(self, data: Part, network: Part) -> list[Run]:
        """The runs that tune a network, in the order of its settings.

        Arguments
        ---------
        data : Part
            Of the table.
        network : Part
            Of the table.

        Returns
        -------
        list of Run
        """
        tuning = self.table.tuned(data, network)
        if tuning is None:
            return []
        return [
            self._run(data, network, TUNE, number, tuning.seed, setting, tuning.arguments)
            for number, setting in enumerate(tuning.settings(), 1)
        ]

    def seed_run(self, data: Part, network: Part, seed: int) -> Run | None:
        """A run that counts; ``None`` before the network is tuned.

        Arguments
        ---------
        data : Part
            Of the table.
        network : Part
            Of the table.
        seed : int
            Its seed.

        Returns
        -------
        Run or None
        """
        setting: Mapping[str, Any] = {}
        if self.table.tuning is not None:
            choice = self.choice(data, network)
            if choice is None:
                return None
            setting = choice.setting
        return self._run(data, network, SEED, seed, seed, setting, {})

    def choice(self, data: Part, network: Part) -> Choice | None:
        """What tuning has chosen for a network; ``None`` while it is not finished.

        Arguments
        ---------
        data : Part
            Of the table.
        network : Part
            Of the table.

        Returns
        -------
        Choice or None
            A setting whose run ended with an error is out; one that was interrupted is waited for.
        """
        tuning, select = self.table.tuned(data, network), self.table.selected(data)
        runs = self.tuning_runs(data, network)
        states = [state(run, select) for run in runs]
        if DONE not in states or not set(states) <= {DONE, FAILED}:
            return None
        scores = [
            figure(run.folder, select) if found == DONE else None
            for run, found in zip(runs, states, strict=True)
        ]
        ranked = [
            math.inf if score is None or math.isnan(score) else select.sign * score
            for score in scores
        ]
        best = min(range(len(runs)), key=ranked.__getitem__)
        if ranked[best] == math.inf:
            return None
        return Choice(runs[best].setting, scores, edges(tuning.grid, runs[best].setting))

    def _run(
        self,
        data: Part,
        network: Part,
        kind: str,
        number: int,
        seed: int,
        setting: Mapping[str, Any],
        shortened: Mapping[str, Any],
    ) -> Run:
        table = self.table
        folder = self.output / data.folder / network.folder / f"{kind}-{number}"
        merged = {
            **table.arguments,
            **data.arguments,
            **network.arguments,
            **shortened,
            **setting,
            "seed": seed,
        }
        files = [table.recipe, network.hparams or data.hparams or table.hparams]
        files = [path for path in files if path is not None]
        arguments = [
            f"--{name}={as_argument(value)}"
            for name, value in merged.items()
            if name not in self._given
        ]
        here = table.path.parent.resolve()
        return Run(
            data, network, kind, setting, seed, folder,
            identity=(*(Path(os.path.relpath(f, here)).as_posix() for f in files),
                      *arguments, *self.extra),
            command=(sys.executable, *map(str, files), *arguments, *self.extra,
                     f"--output_folder={folder}"),
        )  # fmt: skip


def edges(grid: Mapping[str, Sequence[Any]], setting: Mapping[str, Any]) -> tuple[str, ...]:
    """Which of the chosen numbers are the lowest or highest that were tried.

    Arguments
    ---------
    grid : Mapping
        Argument -> values.
    setting : Mapping
        Argument -> the chosen value.

    Returns
    -------
    tuple of str

    Example
    -------
    >>> edges({"lr": [1.0, 0.5, 2.0], "rule": ["sgd", "adam"]}, {"lr": 2.0, "rule": "sgd"})
    ('lr 2.0 is the highest tried',)
    """
    found = []
    for name, values in grid.items():
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        if not numbers or len(set(values)) < 2:
            continue
        for bound, word in ((min(values), "lowest"), (max(values), "highest")):
            if setting[name] == bound:
                found.append(f"{name} {bound} is the {word} tried")
    return tuple(found)


def figure(folder: Path, measure: Measure) -> float:
    """A figure that a run has left.

    Arguments
    ---------
    folder : Path
        The run's.
    measure : Measure
        Which figure.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If its file does not hold it; the message names the file and the key.
    """
    path = folder / measure.file
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    starts = [results, results.get("sets")] if isinstance(results, dict) else [results]
    for found in starts:
        for key in measure.key:
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, int | float) and not isinstance(found, bool):
            return float(found)
    raise ValueError(f"{path} has no number at {': '.join(measure.key)} ({measure.name})")


def state(run: Run, measure: Measure) -> str:
    """How far a run has come.

    Arguments
    ---------
    run : Run
        The run.
    measure : Measure
        What it has to leave.

    Returns
    -------
    str
        ``DONE``, ``FAILED``, ``CUT``, ``NEW`` or ``OTHER``.
    """
    record = run.record()
    if not record:
        return OTHER if (run.folder / measure.file).exists() else NEW
    if tuple(record["identity"]) != run.identity:
        return OTHER
    if (run.folder / measure.file).is_file():
        return DONE
    status = record["sessions"][-1].get("status") if record["sessions"] else None
    return FAILED if status is not None and status > 0 else CUT
