"""What the runs of a table have left, gathered for its reports."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gatedrnn.experiments.compare.runs import DONE, SEED, Choice, Plan, Run, figure, state
from gatedrnn.experiments.compare.specification import Measure, Part

#: Of the results of every training, see :class:`gatedrnn.training.cost.Cost`.
PARAMETERS = "parameters"
SECONDS, CPU_SECONDS, STEPS = "train seconds", "train cpu seconds", "steps"


@dataclass(frozen=True)
class Row:
    """A run and what it has left.

    Arguments
    ---------
    run : Run
        The run.
    state : str
        How far it has come.
    value : float or None
        The measure (of tuning: what is chosen by); ``None`` if it has not ended well.
    figures : Mapping
        All numbers of its results, by the keys that lead to them.
    problem : str
        What is wrong with its results.
    """

    run: Run
    state: str
    value: float | None
    figures: Mapping[str, float]
    problem: str = ""

    def step(self, seconds: str) -> float | None:
        """Time of a training step.

        Arguments
        ---------
        seconds : str
            ``SECONDS`` or ``CPU_SECONDS``.

        Returns
        -------
        float or None
            In seconds; ``None`` if the results do not have it.
        """
        steps, total = self.figures.get(STEPS), self.figures.get(seconds)
        return total / steps if steps and total is not None else None


@dataclass(frozen=True)
class Gathered:
    """All of a table.

    Arguments
    ---------
    plan : Plan
        The table and its folder.
    rows : tuple of Row
        Its runs, as far as tuning lets them be known.
    choices : Mapping
        (name of data, name of network) -> what was chosen, or ``None`` if that is not finished.
    """

    plan: Plan
    rows: tuple[Row, ...]
    choices: Mapping[tuple[str, str], Choice | None]

    def finished(self, data: Part, network: Part) -> dict[int, Row]:
        """The runs that count, of those that have ended well.

        Arguments
        ---------
        data : Part
            Of the table.
        network : Part
            Of the table.

        Returns
        -------
        dict
            Seed -> run.
        """
        return {
            row.run.seed: row
            for row in self.rows
            if row.run.kind == SEED
            and (row.run.data.name, row.run.network.name) == (data.name, network.name)
            and row.value is not None
        }


def gather_runs(plan: Plan) -> Gathered:
    """Reads what is there.

    Arguments
    ---------
    plan : Plan
        The table and its folder.

    Returns
    -------
    Gathered
    """
    rows: list[Row] = []
    choices: dict[tuple[str, str], Choice | None] = {}
    for data in plan.table.data:
        for network in plan.table.networks:
            if plan.table.tuning is not None:
                choices[data.name, network.name] = plan.choice(data, network)
                select = plan.table.selected(data)
                rows += [_row(run, select) for run in plan.tuning_runs(data, network)]
            runs = [plan.seed_run(data, network, seed) for seed in plan.table.seeds]
            rows += [_row(run, plan.table.measured(data)) for run in runs if run is not None]
    return Gathered(plan, tuple(rows), choices)


def _row(run: Run, measure: Measure) -> Row:
    found = state(run, measure)
    if found != DONE:
        return Row(run, found, None, {})
    try:
        value = figure(run.folder, measure)
        results = json.loads((run.folder / measure.file).read_text(encoding="utf-8"))
    except ValueError as error:
        return Row(run, found, None, {}, str(error))
    return Row(run, found, value, dict(_numbers(results)))


def _numbers(found: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[str, float]]:
    """All numbers in plain data, by the keys that lead to them."""
    if isinstance(found, Mapping):
        for key, value in found.items():
            yield from _numbers(value, (*place, str(key)))
    elif isinstance(found, int | float) and not isinstance(found, bool):
        yield " ".join(place[1:] if place[:1] == ("sets",) else place), found


def further(row: Row, measure: Measure) -> float | None:
    """A further figure of a run.

    Arguments
    ---------
    row : Row
        A run that has ended well.
    measure : Measure
        Which figure.

    Returns
    -------
    float or None
        ``None`` if it has not left it.
    """
    try:
        return figure(row.run.folder, measure)
    except (ValueError, FileNotFoundError):
        return None
