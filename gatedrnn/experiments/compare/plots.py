"""Plots of a table: learning curves, and quality against cost."""

from __future__ import annotations

import functools
import importlib.util
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gatedrnn.data.plots import new_figure, write_figure
from gatedrnn.experiments.compare.report import (
    CPU_SECONDS,
    PARAMETERS,
    SECONDS,
    STEPS,
    Gathered,
    Row,
)
from gatedrnn.experiments.compare.specification import CPU, WALL, Part

#: The training log beside a run's results.
LOG = "train_log.txt"
#: Clock of a table -> key of the results, and label of the axis.
CLOCKS = {
    WALL: (SECONDS, "time of a training step"),
    CPU: (CPU_SECONDS, "CPU time of a training step"),
}
#: Height of a panel and its width, in inches.
_HEIGHT, _WIDTH = 3.8, 5.2


def write_plots(gathered: Gathered) -> list[str]:
    """Plots ``curves.png``, ``quality_parameters.png`` and ``quality_time.png``.

    Returns what could not be plotted, and why.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return ["no plots: they need matplotlib: pip install 'gatedrnn[plots]'"]
    clock, label = CLOCKS[gathered.plan.table.clock]
    parameters = _Cost("parameters", "", lambda row: row.results.get(PARAMETERS))
    step = _Cost(label, "s", lambda row: row.step(clock))
    plots = {
        "curves.png": (_curves, _curve_source(gathered)),
        "quality_parameters.png": (functools.partial(_quality, cost=parameters), PARAMETERS),
        "quality_time.png": (functools.partial(_quality, cost=step), f"{STEPS} and {clock}"),
    }
    return [
        f"no {name}: no finished run has left its {source}"
        for name, (panel, source) in plots.items()
        if not _plot(gathered, gathered.plan.output / name, panel)
    ]


@dataclass(frozen=True)
class _Cost:
    """The horizontal axis of a quality plot: label, unit, and the value of a run."""

    label: str
    unit: str
    value: Callable[[Row], float | None]


def epochs(text: str) -> list[dict[str, float]]:
    """The values of a training log, one dict per epoch, in their order."""
    by_epoch = {}
    for line in text.splitlines():
        values = {}
        for part in re.split(r" - |, ", line):
            name, _, value = part.rpartition(": ")
            try:
                values[name.strip()] = float(value)
            except ValueError:
                continue
        if "epoch" in values:
            by_epoch[values["epoch"]] = values
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]


def band(curves: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sample standard deviation of curves over epochs, as far as all of them reach."""
    shortest = min(map(len, curves))
    values = np.array([curve[:shortest] for curve in curves])
    spread = values.std(axis=0, ddof=1) if len(curves) > 1 else np.zeros(shortest)
    return values.mean(axis=0), spread


def _plot(gathered: Gathered, path: Path, panel: Callable[[Any, Gathered, Part], bool]) -> bool:
    """Writes a plot with a panel for each data set; whether there was anything to plot."""
    data = gathered.plan.table.data
    across = min(3, len(data))
    down = math.ceil(len(data) / across)
    figure = new_figure(_WIDTH * across, _HEIGHT * down)
    panels = figure.subplots(down, across, squeeze=False).flat
    plotted = False
    for axes, part in zip(panels, data, strict=False):
        plotted |= panel(axes, gathered, part)
        axes.set_title(part.name)
        axes.grid(alpha=0.25)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize=8)
    for axes in list(panels):
        axes.set_axis_off()
    if not plotted:
        path.unlink(missing_ok=True)
        return False
    write_figure(path, figure)
    return True


def _curves(axes: Any, gathered: Gathered, data: Part) -> bool:
    """Each network's mean over the seeds with a band of one standard deviation."""
    from matplotlib.ticker import MaxNLocator

    plotted, label = False, ""
    for colour, network in _coloured(gathered):
        logs = [_log(row) for row in gathered.finished(data, network).values()]
        name = _curve_name(gathered, data, logs)
        curves = [[row[name] for row in log if name in row] for log in logs]
        curves = [curve for curve in curves if curve]
        if not curves:
            continue
        plotted, label = True, name
        for curve in curves:
            axes.plot(range(1, len(curve) + 1), curve, color=colour, alpha=0.3, linewidth=0.7)
        mean, deviation = band(curves)
        at = np.arange(1, len(mean) + 1)
        axes.plot(at, mean, color=colour, label=network.name)
        axes.fill_between(at, mean - deviation, mean + deviation, color=colour, alpha=0.2)
    axes.set(xlabel="epoch", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return plotted


def _quality(axes: Any, gathered: Gathered, data: Part, cost: _Cost) -> bool:
    """Each run as a dot, and each network's mean with its standard deviation."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    plotted = False
    for colour, network in _coloured(gathered):
        rows = gathered.finished(data, network).values()
        points = [
            (x, row.value)
            for row in rows
            if (x := cost.value(row)) is not None and math.isfinite(row.value)
        ]
        if not points:
            continue
        plotted = True
        x, y = np.array(points).T
        axes.plot(x, y, ".", color=colour, alpha=0.4)
        spread = y.std(ddof=1) if len(y) > 1 else 0.0
        axes.errorbar(
            x.mean(), y.mean(), spread, fmt="o", color=colour, capsize=3, label=network.name
        )
    measure = gathered.plan.table.measured(data)
    axes.set(xlabel=cost.label, ylabel=f"{measure.name} ({measure.better} is better)")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(EngFormatter(cost.unit))
    return plotted


def _coloured(gathered: Gathered) -> list[tuple[Any, Part]]:
    """The networks with a colour each, the same in all plots."""
    from matplotlib import colormaps

    networks = gathered.plan.table.networks
    shades = colormaps["tab10" if len(networks) <= 10 else "tab20"].colors
    return [(shades[n % len(shades)], network) for n, network in enumerate(networks)]


def _curve_source(gathered: Gathered) -> str:
    """What curves are plotted from, and what there is in its place."""
    table = gathered.plan.table
    name = "" if table.curve is None else f" {table.curve!r}"
    rows = [
        row
        for data in table.data
        for network in table.networks
        for row in gathered.finished(data, network).values()
    ]
    known = list(dict.fromkeys(name for row in rows for epoch in _log(row) for name in epoch))
    there = f", but {', '.join(map(repr, known))}" if known else ""
    return f"{LOG} with the value{name} of the curve{there}"


def _log(row: Row) -> list[dict[str, float]]:
    path = row.run.folder / LOG
    return epochs(path.read_text(encoding="utf-8")) if path.is_file() else []


def _curve_name(
    gathered: Gathered, data: Part, logs: Sequence[Sequence[Mapping[str, float]]]
) -> str:
    """Key of the log to plot: that of the table, or the measure's in validation, or its loss."""
    table = gathered.plan.table
    if table.curve is not None:
        return table.curve
    measures = [m for m in (table.selected(data), table.measured(data)) if m is not None]
    known = {name for log in logs for row in log for name in row}
    names = [f"valid {measure.key[-1]}" for measure in measures]
    return next((name for name in names if name in known), "valid loss")
