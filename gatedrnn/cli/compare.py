"""``gatedrnn compare``: a table of trainings, networks by seeds by data, in one run."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gatedrnn.data.files import write_atomically
from gatedrnn.tasks.command_line import Command, add_flag, add_option, add_value, say

if TYPE_CHECKING:
    from gatedrnn.experiments.compare.runs import Outcome, Plan, Runner
    from gatedrnn.experiments.compare.specification import Part

#: File in the output folder with the arguments after ``--``.
_ARGUMENTS = "compare.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn compare``."""
    parser.usage = "%(prog)s TABLE --output FOLDER [OPTIONS] [-- ARGUMENTS OF EVERY RUN]"
    parser.add_argument("table", type=Path, help="YAML file of the table")
    text = "folder of the runs and the reports; the same command resumes it"
    add_option(parser, "output", required=True, metavar="FOLDER", help=text)
    add_value(parser, "--jobs", "runs at a time", 1)
    text = "CPU threads of each run (OMP_NUM_THREADS), 0: not set; default 1"
    add_option(parser, "threads", default=1, help=text)
    text = "run only these; the report has all"
    parser.add_argument("--networks", nargs="+", metavar="NAME", help=text)
    parser.add_argument("--data", nargs="+", metavar="NAME", help="run only on these")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="SEED", help="run only these")
    add_flag(parser, "--list", "print the commands, run nothing")
    add_flag(parser, "--report", "write the reports, run nothing")
    add_flag(parser, "--replace", "delete runs of another command and run anew")


def run(arguments: argparse.Namespace) -> int:
    """Train networks by a recipe over seeds and data sets, tuned alike, and compare them.

    examples:
      gatedrnn compare recipes/LM/tables/ami.yaml --output results/ami --jobs 2
      gatedrnn compare table.yaml --output results --list
      gatedrnn compare table.yaml --output results --networks residual --seeds 1 2 -- --device=cuda
    """
    from gatedrnn.experiments.compare.report import default_command, write_plots, write_reports
    from gatedrnn.experiments.compare.runs import Plan, Runner
    from gatedrnn.experiments.compare.specification import read_table

    table = read_table(arguments.table)
    arguments_file = arguments.output / _ARGUMENTS
    extra = arguments.rest
    if (arguments.report or arguments.list) and not extra and arguments_file.is_file():
        extra = json.loads(arguments_file.read_text(encoding="utf-8"))["arguments"]
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
        write_atomically(arguments_file, json.dumps({"arguments": list(extra)}, indent=1) + "\n")

        def tell(outcome: Outcome, left: int) -> None:
            if outcome.problem:
                print(_outcome_line(outcome, left), file=sys.stderr, flush=True)
            else:
                say(arguments, _outcome_line(outcome, left))

        runner = Runner(arguments.jobs, arguments.threads, arguments.replace, tell)
        try:
            problems = _run(plan, runner, data, networks, seeds)
        except KeyboardInterrupt:
            print("interrupted: the same command resumes", file=sys.stderr)
            return 130
    for missing in write_plots(write_reports(plan, command)):
        print(missing, file=sys.stderr)
    print((plan.output / "table.md").read_text(encoding="utf-8"))
    return 1 if problems else 0


def _run(
    plan: Plan, runner: Runner, data: list[Part], networks: list[Part], seeds: list[int]
) -> int:
    """Tunes, then trains; the number of runs that failed or have to wait."""
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


def _outcome_line(outcome: Outcome, left: int) -> str:
    if outcome.problem:
        return f"{outcome.run.name}: FAILED: {outcome.problem}; {left} left"
    seconds = f"{outcome.seconds:.0f} s" if outcome.seconds else "was there"
    return f"{outcome.run.name}: {outcome.value:.6g} ({seconds}); {left} left"


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
    """The parts that an option names; all if it is not given."""
    from gatedrnn.experiments.compare.specification import as_argument

    known = {part.name: part for part in parts}
    for name in names or ():
        if name not in known:
            raise ValueError(
                f"{option}: there is no {as_argument(name)}; there are: {', '.join(known)}"
            )
    return [part for part in parts if not names or part.name in names]


COMMAND = Command("compare", add_arguments, run, takes_rest=True)
