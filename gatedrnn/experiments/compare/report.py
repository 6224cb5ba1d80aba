"""The reports of a table: results of its runs, statistics over seeds, CSV, Markdown and plots."""

from __future__ import annotations

import functools
import importlib.util
import json
import math
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import ttest_rel

from gatedrnn.data.files import write_atomically
from gatedrnn.data.plots import new_figure, write_figure
from gatedrnn.data.result_table import ResultTable
from gatedrnn.experiments.compare.runs import DONE, SEED, Choice, Plan, Run, read_value, run_state
from gatedrnn.experiments.compare.specification import CPU, WALL, Measure, Part, as_argument

#: Coverage of an interval.
LEVEL = 0.95
#: Of the results of every training, see :class:`gatedrnn.training.checkpoints.Cost`.
PARAMETERS = "parameters"
SECONDS, CPU_SECONDS, STEPS = "train seconds", "train cpu seconds", "steps"
#: Parameters that differ by more than this fraction from the baseline's are listed.
_UNMATCHED = 0.02


# ---- results of the runs -----------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A run and its results.

    ``value``: the measure (of a tuning run: the one that settings are chosen by), None if the run
    has not ended well; ``results``: all numbers of its results, by the keys that lead to them;
    ``problem``: what is wrong with its results.
    """

    run: Run
    state: str
    value: float | None
    results: Mapping[str, float]
    problem: str = ""

    def step(self, seconds: str) -> float | None:
        """Seconds of a training step by ``SECONDS`` or ``CPU_SECONDS``; None if unknown."""
        steps, total = self.results.get(STEPS), self.results.get(seconds)
        return total / steps if steps and total is not None else None


@dataclass(frozen=True)
class Gathered:
    """The results of a table.

    ``rows``: its runs, as far as tuning lets them be known; ``choices``: (data name, network name)
    -> result of tuning, None while it is not finished.
    """

    plan: Plan
    rows: tuple[Row, ...]
    choices: Mapping[tuple[str, str], Choice | None]

    def finished(self, data: Part, network: Part) -> dict[int, Row]:
        """Seed -> run, of the runs of the seeds that have ended well."""
        return {
            row.run.seed: row
            for row in self.rows
            if row.run.kind == SEED
            and (row.run.data.name, row.run.network.name) == (data.name, network.name)
            and row.value is not None
        }


def gather_runs(plan: Plan) -> Gathered:
    """Reads the results of the runs that are there."""
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
    state = run_state(run, measure)
    if state != DONE:
        return Row(run, state, None, {})
    try:
        value = read_value(run.folder, measure)
        results = json.loads((run.folder / measure.file).read_text(encoding="utf-8"))
    except ValueError as error:
        return Row(run, state, None, {}, str(error))
    return Row(run, state, value, dict(_numbers(results)))


def _numbers(results: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[str, float]]:
    """All numbers in nested mappings, by the keys that lead to them."""
    if isinstance(results, Mapping):
        for key, value in results.items():
            yield from _numbers(value, (*place, str(key)))
    elif isinstance(results, int | float) and not isinstance(results, bool):
        yield " ".join(place[1:] if place[:1] == ("sets",) else place), results


def further(row: Row, measure: Measure) -> float | None:
    """The value of another measure of a run that has ended well; None without it."""
    try:
        return read_value(row.run.folder, measure)
    except (ValueError, FileNotFoundError):
        return None


# ---- statistics over seeds ---------------------------------------------------------------------


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (None for one seed) over seeds."""

    mean: float
    deviation: float | None
    count: int


@dataclass(frozen=True)
class Paired:
    """A network compared with the baseline, seed by seed.

    ``difference``: mean of its values minus the baseline's; ``low``, ``high``: 95 % confidence
    interval by Student's t, None for one seed; ``p``: two-sided paired t-test, None without
    variance; ``count``: common seeds.
    """

    difference: float
    low: float | None
    high: float | None
    p: float | None
    count: int


def spread(values: Sequence[float]) -> Spread | None:
    """Mean and sample standard deviation; None without values."""
    if not values:
        return None
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), deviation, len(values))


def paired(values: Mapping[int, float], baseline: Mapping[int, float]) -> Paired | None:
    """The paired t-test over the common seeds of two networks (seed -> value).

    None without a common seed, or if a value is not finite.
    """
    seeds = sorted(set(values) & set(baseline))
    mine, theirs = [values[s] for s in seeds], [baseline[s] for s in seeds]
    if not seeds or not all(map(math.isfinite, mine + theirs)):
        return None
    differences = np.subtract(mine, theirs)
    mean = float(differences.mean())
    if len(seeds) == 1:
        return Paired(mean, None, None, None, 1)
    if np.ptp(differences) <= 1e-12 * max(1.0, np.abs(mine + theirs).max()):
        return Paired(mean, mean, mean, None, len(seeds))
    test = ttest_rel(mine, theirs)
    low, high = test.confidence_interval(LEVEL)
    return Paired(mean, float(low), float(high), float(test.pvalue), len(seeds))


# ---- tables ------------------------------------------------------------------------------------


def write_reports(plan: Plan, command: str) -> Gathered:
    """Writes ``table.csv`` and ``table.md``; ``command`` is for the record."""
    gathered = gather_runs(plan)
    write_atomically(plan.output / "table.csv", as_csv(gathered))
    write_atomically(plan.output / "table.md", as_markdown(gathered, command))
    return gathered


def as_csv(gathered: Gathered) -> str:
    """A row per run, with all numbers of its results and its command."""
    first = ["data", "network", "run", "seed", "setting", "state", "value"]
    keys = dict.fromkeys(name for row in gathered.rows for name in row.results)
    names = [name for name in keys if name not in first]
    table = ResultTable([*first, *names, "seconds of all sessions", "command"])
    for row in gathered.rows:
        run = row.run
        sessions = run.record().get("sessions", []) if row.state == DONE else []
        table.add(
            run.data.name,
            run.network.name,
            run.folder.name,
            run.seed,
            as_argument(dict(run.setting)) if run.setting else None,
            row.state,
            row.value,
            *(row.results.get(name) for name in names),
            round(sum(s.get("seconds", 0.0) for s in sessions), 3) if sessions else None,
            shlex.join(run.command),
        )
    return table.csv()


def as_markdown(gathered: Gathered, command: str) -> str:
    """A section per data set, with a row per network."""
    table = gathered.plan.table
    lines = [f"# {table.path.stem}", "", f"    {command}", "", *_notes(gathered), ""]
    for data in table.data:
        lines += [f"## {data.name}", "", *_section(gathered, data)]
        if table.tuning is not None:
            lines += [*_tuning(gathered, data), ""]
    lines += _absent(gathered)
    return "\n".join(lines).rstrip() + "\n"


def _section(gathered: Gathered, data: Part) -> list[str]:
    table = gathered.plan.table
    measure = table.measured(data)
    finished = {network.name: gathered.finished(data, network) for network in table.networks}
    values = {name: _values(rows) for name, rows in finished.items()}
    means = {name: spread(list(v.values())) for name, v in values.items()}
    best = min(
        (measure.sign * s.mean for s in means.values() if s and math.isfinite(s.mean)),
        default=None,
    )
    result = ResultTable(
        [
            "network",
            measure.name,
            "seeds",
            *(m.name for m in table.also),
            "parameters",
            "training, s",
            "CPU, s",
            "step, ms",
            "CPU, ms",
            f"less {table.baseline} [95 %]",
            "p",
        ]
    )
    parameters = {name: _mean(rows, PARAMETERS) for name, rows in finished.items()}
    for name, rows in finished.items():
        mean = means[name]
        shown = _spread(mean)
        if mean is not None and measure.sign * mean.mean == best:
            shown = f"**{shown}**"
        against = None if name == table.baseline else paired(values[name], values[table.baseline])
        also = (
            spread([v for row in rows.values() if (v := further(row, m)) is not None])
            for m in table.also
        )
        result.add(
            name,
            shown,
            len(rows),
            *map(_spread, also),
            _number(parameters[name], "{:,.0f}"),
            _number(_mean(rows, SECONDS), "{:,.0f}"),
            _number(_mean(rows, CPU_SECONDS), "{:,.0f}"),
            *(_number(_step(rows, clock), "{:.3g}") for clock in (SECONDS, CPU_SECONDS)),
            *_against(against),
        )
    lines = [result.markdown(), "", f"{measure.name}: {measure.better} is better.", ""]
    return [*lines, *_unmatched(table.baseline, parameters)]


def _notes(gathered: Gathered) -> list[str]:
    """What a reader has to know about all sections."""
    table = gathered.plan.table
    compared = len(table.networks) - 1
    few = "With few seeds the interval says more."
    if compared > 1:
        few = f"p is not corrected for {compared} comparisons; w{few[1:]}"
    sessions = [
        session
        for row in gathered.rows
        if row.state == DONE
        for session in row.run.record()["sessions"]
    ]
    jobs = sorted({session["jobs"] for session in sessions})
    threads = sorted({session["threads"] or 0 for session in sessions})
    lines = [
        "Mean ± sample standard deviation over seeds; parameters and times are means. Times are "
        "those of the training loop, by the wall and on the cores (CPU). p: two-sided paired "
        f"t-test against {table.baseline} over the n seeds that both have; in brackets the 95 % "
        f"confidence interval of the mean paired difference. {few}",
    ]
    if sessions:
        each = ", ".join(str(n) if n else "not limited" for n in threads)
        lines += ["", f"Runs at a time: {', '.join(map(str, jobs))}; threads of each: {each}."]
    return lines


def _unmatched(baseline: str, parameters: Mapping[str, float | None]) -> list[str]:
    """Networks whose parameters differ from the baseline's."""
    reference = parameters[baseline]
    differing = [
        f"{name} {100 * (count / reference - 1):+.1f} %"
        for name, count in parameters.items()
        if count and reference and abs(count / reference - 1) > _UNMATCHED
    ]
    return [f"Parameters not those of {baseline}: {', '.join(differing)}.", ""] if differing else []


def _tuning(gathered: Gathered, data: Part) -> list[str]:
    plan, table = gathered.plan, gathered.plan.table
    select = table.selected(data)
    shortened = ", ".join(f"{k} {as_argument(v)}" for k, v in table.tuning.arguments.items())
    effort = len(table.tuning.settings())
    lines = [
        f"Tuned for each network: {effort} settings, seed {table.tuning.seed}"
        f"{f', {shortened}' if shortened else ''}; chosen by {select.name} ({select.better} is "
        "better).",
        "",
    ]
    result = ResultTable(
        ["network", f"tried, with {select.name}", "chosen", "at the edge"],
        text_columns=4,
        missing="",
    )
    for network in table.networks:
        choice = gathered.choices[data.name, network.name]
        if choice is None:
            result.add(network.name, "not finished", None, None)
            continue
        settings = [run.setting for run in plan.tuning_runs(data, network)]
        tried = "; ".join(
            f"{_setting(s)}: {'failed' if score is None else _significant(score)}"
            for s, score in zip(settings, choice.scores, strict=True)
        )
        edges = ", ".join(choice.edges) or "no"
        result.add(network.name, tried, _setting(choice.setting), edges)
    return [*lines, result.markdown()]


def _absent(gathered: Gathered) -> list[str]:
    """The runs that are not in the table, and why."""
    plan = gathered.plan
    lines = [
        f"- {row.run.name}: {row.problem or row.state}"
        for row in gathered.rows
        if row.state != DONE or row.problem
    ]
    lines += [
        f"- {data} / {network}: waits for its tuning"
        for (data, network), choice in gathered.choices.items()
        if choice is None
    ]
    if not lines:
        total = len([row for row in gathered.rows if row.state == DONE])
        return [f"All {total} runs of {plan.table.path.name} are there."]
    return ["## Not in the table", "", *lines]


def _values(rows: Mapping[int, Row]) -> dict[int, float]:
    return {seed: row.value for seed, row in rows.items() if row.value is not None}


def _mean(rows: Mapping[int, Row], name: str) -> float | None:
    """The mean of a number of the results, if every run has it."""
    return _mean_of_all([row.results.get(name) for row in rows.values()])


def _step(rows: Mapping[int, Row], clock: str) -> float | None:
    """The mean time of a step in ms, if every run has it."""
    seconds = _mean_of_all([row.step(clock) for row in rows.values()])
    return None if seconds is None else 1e3 * seconds


def _mean_of_all(values: list[float | None]) -> float | None:
    return None if not values or None in values else sum(values) / len(values)


def _setting(setting: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {as_argument(value)}" for name, value in setting.items())


def _spread(result: Spread | None) -> str | None:
    if result is None:
        return None
    if result.deviation is None or not math.isfinite(result.deviation):
        return _significant(result.mean)
    digits = _digits(result.mean, result.deviation)
    return f"{result.mean:.{digits}f} ± {result.deviation:.{digits}f}"


def _against(result: Paired | None) -> tuple[str | None, str | None]:
    """The difference with its interval, and p."""
    if result is None:
        return None, None
    if result.low is None:
        return f"{_signed(result.difference, 2)} (n = {result.count})", None
    digits = _digits(result.difference, result.high - result.low)
    shown = [_signed(v, digits) for v in (result.difference, result.low, result.high)]
    p = None if result.p is None else f"{result.p:.2g} (n = {result.count})"
    return f"{shown[0]} [{shown[1]}, {shown[2]}]", p


def _digits(value: float, width: float) -> int:
    """Decimals that show two digits of the width and three of the value."""
    needed = [1 - math.floor(math.log10(abs(width)))] if width else []
    needed += [2 - math.floor(math.log10(abs(value)))] if value else []
    return max(0, min(6, max(needed, default=2)))


def _significant(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else str(value)


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}"


def _number(value: float | None, form: str) -> str | None:
    return None if value is None else form.format(value)


def default_command(path: Path, output: Path, extra: tuple[str, ...]) -> str:
    """The command that makes a table; ``extra`` are the arguments of every run.

    Example
    -------
    >>> default_command(Path("a.yaml"), Path("out"), ("--device=cpu",))
    'tools/compare a.yaml --output out -- --device=cpu'
    """
    command = ["tools/compare", str(path), "--output", str(output)]
    return shlex.join([*command, *(["--", *extra] if extra else [])])


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
