"""``gatedrnn compare``: a table of trainings, networks by seeds by data, in one run."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

from gatedrnn.data.files import write_atomically
from gatedrnn.experiments.compare.plain import as_argument
from gatedrnn.experiments.compare.plots import write_figures
from gatedrnn.experiments.compare.report import default_command, write_reports
from gatedrnn.experiments.compare.running import Outcome, Runner
from gatedrnn.experiments.compare.runs import Plan
from gatedrnn.experiments.compare.specification import Part, read_table

NAME = "compare"
HELP = "train networks by a recipe over seeds and data, tuned alike, and compare them"
#: Arguments after ``--`` are those of the runs.
HANDS_ON = True
#: File in the output folder with the arguments that were handed on.
_GIVEN = "compare.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn compare``."""
    parser.usage = "%(prog)s TABLE --output FOLDER [OPTIONS] [-- ARGUMENTS OF EVERY RUN]"
    parser.add_argument("table", type=Path, help="YAML file of the table")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, default 1")
    parser.add_argument(
        "--threads", type=int, default=1,
        help="threads of each run (OMP_NUM_THREADS), default 1; 0 leaves them as they are",
    )  # fmt: skip
    parser.add_argument(
        "--networks", nargs="+", metavar="NAME", help="run these alone; the report has all"
    )
    parser.add_argument("--data", nargs="+", metavar="NAME", help="run on these alone")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="SEED", help="run these alone")
    parser.add_argument("--list", action="store_true", help="print the commands, run nothing")
    parser.add_argument("--report", action="store_true", help="write the reports, run nothing")
    parser.add_argument(
        "--replace", action="store_true", help="delete runs of another command and run anew"
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs ``gatedrnn compare``."""
    table = read_table(arguments.table)
    given = arguments.output / _GIVEN
    extra = arguments.handed_on
    if (arguments.report or arguments.list) and not extra and given.is_file():
        extra = json.loads(given.read_text(encoding="utf-8"))["arguments"]
    plan = Plan(table, arguments.output, extra)
    data = _named("--data", arguments.data, table.data)
    networks = _named("--networks", arguments.networks, table.networks)
    seeds = arguments.seeds or table.seeds
    unknown = sorted(set(seeds) - set(table.seeds))
    if unknown:
        raise ValueError(f"--seeds: {unknown[0]} is not among those of {table.path}")
    if arguments.list:
        return _list(plan, data, networks, seeds)
    command = default_command(arguments.table, arguments.output, tuple(extra))
    problems = 0
    if not arguments.report:
        write_atomically(given, json.dumps({"arguments": list(extra)}, indent=1) + "\n")
        runner = Runner(arguments.jobs, arguments.threads, arguments.replace, _tell)
        try:
            problems = _run(plan, runner, data, networks, seeds)
        except KeyboardInterrupt:
            print("interrupted: the same command goes on", file=sys.stderr)
            return 130
    for missing in write_figures(write_reports(plan, command)):
        print(missing, file=sys.stderr)
    print((plan.output / "table.md").read_text(encoding="utf-8"))
    return 1 if problems else 0


def _run(
    plan: Plan, runner: Runner, data: list[Part], networks: list[Part], seeds: list[int]
) -> int:
    """Tunes, then trains; the number of runs that could not be made."""
    pairs = [(d, n) for d in data for n in networks]
    tuning = [(r, plan.table.selected(d)) for d, n in pairs for r in plan.tuning_runs(d, n)]
    problems = [outcome for outcome in runner.run(tuning) if outcome.problem]
    waiting = [(d, n) for d, n in pairs if plan.table.tuning and plan.choice(d, n) is None]
    for d, n in waiting:
        print(f"{d.name} / {n.name}: no seed can run before its tuning has ended", file=sys.stderr)
    # Seed by seed, so that a table that is not finished yet can be compared.
    runs = [(plan.seed_run(d, n, s), plan.table.measured(d)) for s in seeds for d, n in pairs]
    known = [(run, measure) for run, measure in runs if run is not None]
    problems += [outcome for outcome in runner.run(known) if outcome.problem]
    if problems:
        names = ", ".join(outcome.run.name for outcome in problems)
        print(f"{len(problems)} run(s) failed: {names}", file=sys.stderr)
    return len(problems) + len(waiting)


def _tell(outcome: Outcome, left: int) -> None:
    """A line for each run that has ended."""
    what = f"FAILED: {outcome.problem}" if outcome.problem else f"{outcome.value:.6g}"
    took = f" ({outcome.seconds:.0f} s)" if outcome.seconds else " (was there)"
    shown = took if not outcome.problem else ""
    print(f"{outcome.run.name}: {what}{shown}; {left} left", file=sys.stderr, flush=True)


def _list(plan: Plan, data: list[Part], networks: list[Part], seeds: list[int]) -> int:
    pairs = [(d, n) for d in data for n in networks]
    for d, n in pairs:
        for run in plan.tuning_runs(d, n):
            print(shlex.join(run.command))
    for seed in seeds:
        for d, n in pairs:
            run = plan.seed_run(d, n, seed)
            waiting = f"# {d.name} / {n.name} / seed-{seed}: after its tuning"
            print(waiting if run is None else shlex.join(run.command))
    return 0


def _named(option: str, names: list[str] | None, parts: tuple[Part, ...]) -> list[Part]:
    """The parts that an option names, all without one."""
    known = {part.name: part for part in parts}
    for name in names or ():
        if name not in known:
            raise ValueError(
                f"{option}: there is no {as_argument(name)}; there are: {', '.join(known)}"
            )
    return [part for part in parts if not names or part.name in names]
