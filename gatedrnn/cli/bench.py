"""``gatedrnn bench``: our networks beside torch's and SpeechBrain's, in one run."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import torch

from gatedrnn.cells import find
from gatedrnn.experiments.bench.implementations import (
    Shape,
    ours,
    products,
    torch_lstm,
    torch_lstm_proj,
)
from gatedrnn.experiments.bench.measure import WORKS, measure
from gatedrnn.experiments.bench.memory import peak_memory
from gatedrnn.experiments.bench.report import as_growth, as_markdown, conditions, write
from gatedrnn.experiments.bench.suites import DISTANT, PLAIN_SHAPES, SUITES, Race

NAME = "bench"
HELP = "time the recurrences beside nn.LSTM, nn.GRU and LiGRU, interleaved, as ratios"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn bench``."""
    parser.add_argument(
        "recurrence", nargs="*", help="keys to time at --shape; without any, --suite decides"
    )
    parser.add_argument(
        "--suite", action="append", choices=[*SUITES, "memory"], help="may be repeated"
    )
    parser.add_argument(
        "--shape", default="8,200,512,1,0", metavar="B,T,K,L,N",
        help="batch, frames, cells, layers, projection (0: none); default 8,200,512,1,0",
    )  # fmt: skip
    parser.add_argument("--work", action="append", choices=WORKS, help="may be repeated")
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count, default 7")
    parser.add_argument(
        "--seconds", type=float, default=math.inf,
        help="begin no further round of a table after this long; default no limit",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, help="CPU threads; default torch's")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument(
        "--output", action="append", type=Path, default=[], metavar="FILE",
        help="also write FILE, which ends in .md, .json or .png; may be repeated",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Runs ``gatedrnn bench``."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.rounds < 1:
        raise ValueError(f"--rounds must be at least 1, not {arguments.rounds}")
    settings = conditions(arguments.device, DTYPES[arguments.dtype])
    suites = arguments.suite or ([] if arguments.recurrence else ["distant"])
    if "memory" in suites:
        print(_memory_table(arguments.device))
    races = _named_races(arguments) if arguments.recurrence else []
    races += [race for name in suites if name != "memory" for race in SUITES[name]()]
    results = []
    for number, race in enumerate(races, 1):
        print(f"{number}/{len(races)}: {race.work}, {race.shape}", file=sys.stderr)
        timings = measure(
            race.contenders,
            race.shape,
            race.work,
            rounds=arguments.rounds,
            least_seconds=0.05,
            most_seconds=arguments.seconds,
            device=arguments.device,
            dtype=DTYPES[arguments.dtype],
        )
        results.append((race, timings))
        for path in arguments.output:  # after every race: a long run may be stopped
            write(path, results, settings)
    if results:
        print(as_markdown(results, settings))
    if "scaling" in suites:
        print(as_growth(results))
    return 0


def _named_races(arguments: argparse.Namespace) -> list[Race]:
    """What the user named, at the user's shape."""
    try:
        batch, frames, hidden, layers, proj = (int(n) for n in arguments.shape.split(","))
    except ValueError as error:
        raise ValueError(
            f"--shape must be five whole numbers B,T,K,L,N such as 8,200,512,10,256, "
            f"not {arguments.shape!r}"
        ) from error
    shape = Shape(batch, frames, hidden, layers, proj)
    rival = torch_lstm_proj() if proj else torch_lstm()
    own = []
    for name in arguments.recurrence:
        key, *pairs = name.split(":")
        options = dict(pair.split("=", 1) for pair in pairs)
        own += [ours(find(key).key, **options)]
    floor = products(own[0].options["recurrence"], **_options(own[0].options))
    works = arguments.work or ["forward", "train"]
    return [
        Race((rival, *own, *([] if work == "stream" else [floor])), shape, work) for work in works
    ]


def _options(recorded: dict) -> dict:
    return {name: value for name, value in recorded.items() if name != "recurrence"}


def _memory_table(device: str) -> str:
    """Peak memory of training steps, against torch's LSTM of the same sizes."""
    lines = [
        "| training step | nn.LSTM MB | lstmp MB | ratio | lstmp recompute=True MB | ratio |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for shape in (*PLAIN_SHAPES, DISTANT):
        rival = torch_lstm_proj if shape.proj else torch_lstm
        contenders = (rival, _lstmp, _lstmp_again)
        theirs, *own = peak_memory(contenders, shape, device=device).values()
        cells = [f"{n / 1e6:.0f} | {n / theirs:.2f}" for n in own]
        lines.append(f"| {shape} | {theirs / 1e6:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _lstmp():
    """At the top level of the module, so that another process can find it."""
    return ours("lstmp")


def _lstmp_again():
    return ours("lstmp", recompute=True)
