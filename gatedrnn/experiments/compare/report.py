"""A table of trainings as CSV and Markdown."""

from __future__ import annotations

import csv
import io
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatedrnn.data.files import write_atomically
from gatedrnn.experiments.compare.collect import (
    CPU_SECONDS,
    PARAMETERS,
    SECONDS,
    Gathered,
    Row,
    further,
    gather_runs,
)
from gatedrnn.experiments.compare.plain import as_argument
from gatedrnn.experiments.compare.runs import DONE, Plan
from gatedrnn.experiments.compare.specification import Part
from gatedrnn.experiments.compare.statistics import Paired, Spread, paired, spread

#: Parameters that differ by more than this share from the baseline's are pointed out.
_UNMATCHED = 0.02


def write_reports(plan: Plan, command: str) -> Gathered:
    """Writes ``table.csv`` and ``table.md`` into the table's folder.

    Arguments
    ---------
    plan : Plan
        The table and its folder.
    command : str
        What makes the table, for the record.

    Returns
    -------
    Gathered
        What they were written from.
    """
    gathered = gather_runs(plan)
    write_atomically(plan.output / "table.csv", as_csv(gathered))
    write_atomically(plan.output / "table.md", as_markdown(gathered, command))
    return gathered


def as_csv(gathered: Gathered) -> str:
    """A row per run, with all of its figures and its command.

    Arguments
    ---------
    gathered : Gathered
        The runs.

    Returns
    -------
    str
    """
    top = ["data", "network", "run", "seed", "setting", "state", "value"]
    found = dict.fromkeys(name for row in gathered.rows for name in row.figures)
    names = [name for name in found if name not in top]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*top, *names, "seconds of all sessions", "command"])
    for row in gathered.rows:
        run = row.run
        sessions = run.record().get("sessions", []) if row.state == DONE else []
        writer.writerow(
            [
                run.data.name,
                run.network.name,
                run.folder.name,
                run.seed,
                as_argument(dict(run.setting)) if run.setting else "",
                row.state,
                "" if row.value is None else row.value,
                *(row.figures.get(name, "") for name in names),
                round(sum(s.get("seconds", 0.0) for s in sessions), 3) if sessions else "",
                shlex.join(run.command),
            ]
        )
    return file.getvalue()


def as_markdown(gathered: Gathered, command: str) -> str:
    """A section per data set, with a row per network.

    Arguments
    ---------
    gathered : Gathered
        The runs.
    command : str
        What makes the table.

    Returns
    -------
    str
    """
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
    found = {network.name: gathered.finished(data, network) for network in table.networks}
    values = {name: _values(rows) for name, rows in found.items()}
    means = {name: spread(list(v.values())) for name, v in values.items()}
    best = min(
        (measure.sign * s.mean for s in means.values() if s and math.isfinite(s.mean)),
        default=None,
    )
    head = [
        "network", measure.name, "seeds", *(m.name for m in table.also), "parameters",
        "training, s", "CPU, s", "step, ms", "CPU, ms", f"less {table.baseline} [95 %]", "p",
    ]  # fmt: skip
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    parameters = {name: _mean(rows, PARAMETERS) for name, rows in found.items()}
    for name, rows in found.items():
        mean = means[name]
        shown = _spread(mean)
        if mean is not None and measure.sign * mean.mean == best:
            shown = f"**{shown}**"
        against = None if name == table.baseline else paired(values[name], values[table.baseline])
        cells = [
            name,
            shown,
            str(len(rows)),
            *(_spread(spread([v for row in rows.values() if (v := further(row, m)) is not None]))
              for m in table.also),
            _number(parameters[name], "{:,.0f}"),
            _number(_mean(rows, SECONDS), "{:,.0f}"),
            _number(_mean(rows, CPU_SECONDS), "{:,.0f}"),
            *(_number(_step(rows, clock), "{:.3g}") for clock in (SECONDS, CPU_SECONDS)),
            *_against(against),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"{measure.name}: {measure.better} is better.", ""]
    return [*lines, *_unmatched(table.baseline, parameters)]


def _notes(gathered: Gathered) -> list[str]:
    """What a reader has to know of all sections."""
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
    """Says where parameters are not those of the baseline."""
    reference = parameters[baseline]
    found = [
        f"{name} {100 * (count / reference - 1):+.1f} %"
        for name, count in parameters.items()
        if count and reference and abs(count / reference - 1) > _UNMATCHED
    ]
    return [f"Parameters not those of {baseline}: {', '.join(found)}.", ""] if found else []


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
        f"| network | tried, with {select.name} | chosen | at the edge |",
        "|---|---|---|---|",
    ]
    for network in table.networks:
        choice = gathered.choices[data.name, network.name]
        if choice is None:
            lines.append(f"| {network.name} | not finished | | |")
            continue
        settings = [run.setting for run in plan.tuning_runs(data, network)]
        tried = "; ".join(
            f"{_setting(s)}: {'failed' if score is None else _significant(score)}"
            for s, score in zip(settings, choice.scores, strict=True)
        )
        edges = ", ".join(choice.edges) or "no"
        lines.append(f"| {network.name} | {tried} | {_setting(choice.setting)} | {edges} |")
    return lines


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
    """The mean of a figure, if every run has left it."""
    return _all([row.figures.get(name) for row in rows.values()])


def _step(rows: Mapping[int, Row], clock: str) -> float | None:
    """The mean time of a step in ms, if every run has left it."""
    found = _all([row.step(clock) for row in rows.values()])
    return None if found is None else 1e3 * found


def _all(found: list[float | None]) -> float | None:
    return None if not found or None in found else sum(found) / len(found)


def _setting(setting: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {as_argument(value)}" for name, value in setting.items())


def _spread(found: Spread | None) -> str:
    if found is None:
        return "-"
    if found.deviation is None or not math.isfinite(found.deviation):
        return _significant(found.mean)
    digits = _digits(found.mean, found.deviation)
    return f"{found.mean:.{digits}f} ± {found.deviation:.{digits}f}"


def _against(found: Paired | None) -> tuple[str, str]:
    """The difference with its interval, and p."""
    if found is None:
        return "-", "-"
    if found.low is None:
        return f"{_signed(found.difference, 2)} (n = {found.count})", "-"
    digits = _digits(found.difference, found.high - found.low)
    shown = [_signed(v, digits) for v in (found.difference, found.low, found.high)]
    p = "-" if found.p is None else f"{found.p:.2g} (n = {found.count})"
    return f"{shown[0]} [{shown[1]}, {shown[2]}]", p


def _digits(value: float, width: float) -> int:
    """Digits behind the point that show two figures of the width, and three of the value."""
    needed = [1 - math.floor(math.log10(abs(width)))] if width else []
    needed += [2 - math.floor(math.log10(abs(value)))] if value else []
    return max(0, min(6, max(needed, default=2)))


def _significant(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else str(value)


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def default_command(path: Path, output: Path, extra: tuple[str, ...]) -> str:
    """The command that makes a table.

    Arguments
    ---------
    path : Path
        Its file.
    output : Path
        Its folder.
    extra : tuple of str
        What every run gets.

    Returns
    -------
    str

    Example
    -------
    >>> default_command(Path("a.yaml"), Path("out"), ("--device=cpu",))
    'tools/compare a.yaml --output out -- --device=cpu'
    """
    command = ["tools/compare", str(path), "--output", str(output)]
    return shlex.join([*command, *(["--", *extra] if extra else [])])
