"""``gatedrnn bench``: times our networks and those of torch and SpeechBrain in one run."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from gatedrnn.tasks.command_line import (
    Command,
    add_option,
    add_value,
    check_device,
    say,
    set_threads,
)

if TYPE_CHECKING:
    from gatedrnn.experiments.bench.implementations import Benchmark

#: Names of gatedrnn.experiments.bench, whose import needs torch.
SUITES = ("distant", "plain", "deep", "beta", "ligru", "stream", "scaling")
WORKS = ("forward", "train", "stream")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn bench``."""
    text = "keys of gatedrnn list to time at --shape, with options as KEY:OPTION=VALUE"
    parser.add_argument("recurrence", nargs="*", help=text)
    text = "named benchmarks, may be repeated; default distant, if no recurrence is given"
    parser.add_argument("--suite", action="append", choices=[*SUITES, "memory"], help=text)
    text = "batch, frames, cells, layers, projection (0: none)"
    add_value(parser, "--shape", text, "8,200,512,1,0", metavar="B,T,K,L,N")
    text = "may be repeated; default forward and train"
    parser.add_argument("--work", action="append", choices=WORKS, help=text)
    add_value(parser, "--rounds", "rounds that count", 7)
    text = "start no further round of a table after this long"
    add_value(parser, "--seconds", text, math.inf)
    add_option(parser, "threads")
    add_option(parser, "device")
    types = ("float32", "bfloat16", "float16")
    add_value(parser, "--dtype", "of weights and input", choices=types)
    text = "also write the report to this file, which ends in .md, .json or .png; may be repeated"
    add_option(parser, "output", action="append", default=[], help=text)


def run(arguments: argparse.Namespace) -> int:
    """Time the recurrences and nn.LSTM, nn.GRU and LiGRU, interleaved, and print ratios.

    examples:
      gatedrnn bench residual slim:variant=10 --shape 8,200,512,2,0
      gatedrnn bench --suite distant --suite memory --output report.md --output report.png
    """
    import torch

    from gatedrnn.experiments.bench import implementations, report
    from gatedrnn.experiments.bench.implementations import measure

    set_threads(arguments.threads)
    check_device(arguments.device)
    if arguments.rounds < 1:
        raise ValueError(f"--rounds must be at least 1, not {arguments.rounds}")
    dtype = getattr(torch, arguments.dtype)
    settings = report.conditions(arguments.device, dtype)
    suites = arguments.suite or ([] if arguments.recurrence else ["distant"])
    if "memory" in suites:
        print(report.memory_table(arguments.device))
    benchmarks = _named_benchmarks(arguments) if arguments.recurrence else []
    for name in suites:
        if name != "memory":
            benchmarks += implementations.SUITES[name]()
    results = []
    for number, benchmark in enumerate(benchmarks, 1):
        say(arguments, f"{number}/{len(benchmarks)}: {benchmark.work}, {benchmark.shape}")
        timings = measure(
            benchmark.implementations,
            benchmark.shape,
            benchmark.work,
            rounds=arguments.rounds,
            min_seconds=0.05,
            max_seconds=arguments.seconds,
            device=arguments.device,
            dtype=dtype,
        )
        results.append((benchmark, timings))
        for path in arguments.output:  # after every benchmark: a long run may be stopped
            report.write(path, results, settings)
    if results:
        print(report.as_markdown(results, settings))
    if "scaling" in suites:
        print(report.as_growth(results))
    return 0


def _named_benchmarks(arguments: argparse.Namespace) -> list[Benchmark]:
    """The recurrences of the command line, at its shape."""
    import yaml

    from gatedrnn.cells import find
    from gatedrnn.experiments.bench.implementations import (
        Benchmark,
        Shape,
        ours,
        products,
        torch_lstm,
        torch_lstm_proj,
    )

    try:
        batch, frames, hidden, layers, proj = (int(n) for n in arguments.shape.split(","))
    except ValueError as error:
        raise ValueError(
            f"--shape must be five whole numbers B,T,K,L,N such as 8,200,512,10,256, "
            f"not {arguments.shape!r}"
        ) from error
    shape = Shape(batch, frames, hidden, layers, proj)
    own, all_options = [], []
    for name in arguments.recurrence:
        key, *pairs = name.split(":")
        cell = find(key)
        options = {}
        for pair in pairs:
            option, equals, value = pair.partition("=")
            defaults = cell.options()
            if not equals or option not in defaults:
                raise ValueError(
                    f"{name}: {pair!r} is no option of {key}; write OPTION=VALUE with one of: "
                    f"{', '.join(defaults) or 'none'}"
                )
            # slim's variants are text, though some look like numbers.
            text = isinstance(defaults[option], str)
            options[option] = value if text else yaml.safe_load(value)
        own.append(ours(cell.key, **options))
        all_options.append((cell.key, options))
    key, options = all_options[0]
    baseline, floor = torch_lstm_proj() if proj else torch_lstm(), products(key, **options)
    return [
        Benchmark((baseline, *own, *([] if work == "stream" else [floor])), shape, work)
        for work in arguments.work or ["forward", "train"]
    ]


COMMAND = Command("bench", add_arguments, run)
