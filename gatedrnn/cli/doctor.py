"""``gatedrnn doctor``: what this installation is made of, and how fast a way each cell takes."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform

import torch

from gatedrnn.cells import CELLS, Cell
from gatedrnn.engine import explain
from gatedrnn.engine.cpu import build

NAME = "doctor"
HELP = "print versions and devices, and the runner each recurrence takes here and why"

DTYPES = ("float32", "float64", "bfloat16", "float16")
PACKAGES = (
    "gatedrnn",
    "torch",
    "torchaudio",
    "speechbrain",
    "hyperpyyaml",
    "numpy",
    "triton",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn doctor``."""
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="default float32")


def run(arguments: argparse.Namespace) -> int:
    """Runs ``gatedrnn doctor``."""
    dtype = getattr(torch, arguments.dtype)
    print("\n".join([*versions(), "", *devices(), "", *runners(dtype)]))
    return 0


def versions() -> list[str]:
    """A line for each package that matters: its version, or that it is missing.

    Returns
    -------
    list of str

    Example
    -------
    >>> [line.split()[0] for line in versions()][:3]
    ['python', 'gatedrnn', 'torch']
    """
    lines = [f"python       {platform.python_version()} on {platform.platform()}"]
    for package in PACKAGES:
        try:
            found = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found = "not installed"
        lines.append(f"{package:<12} {found}")
    return lines


def devices() -> list[str]:
    """A line for each device torch can use, and one for the compiler of the CPU's cells.

    Returns
    -------
    list of str

    Example
    -------
    >>> devices()[0].startswith("cpu ")
    True
    """
    threads = f"{torch.get_num_threads()} threads"
    lines = [
        f"cpu          {threads}, {torch.backends.cpu.get_cpu_capability()}",
        f"compiler     {build.describe()}",
    ]
    for index in range(torch.cuda.device_count()):
        lines.append(f"cuda:{index}       {torch.cuda.get_device_name(index)}")
    if not torch.cuda.is_available():
        lines.append("cuda         none")
    return lines


def runners(dtype: torch.dtype) -> list[str]:
    """A line for each recurrence, device and mode: the runner it takes, and why.

    Arguments
    ---------
    dtype : torch.dtype
        Of the weights.

    Returns
    -------
    list of str

    Example
    -------
    >>> any(line.startswith("residual") for line in runners(torch.float32))
    True
    """
    places = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    lines = [f"{'recurrence':<12} {'device':<6} {'mode':<9} runner, {dtype} weights"]
    for cell in CELLS:
        for place in places:
            answers = [_answer(cell, place, dtype, training) for training in (False, True)]
            if answers[0] == answers[1]:
                lines.append(f"{cell.key:<12} {place:<6} {'both':<9} {answers[0]}")
            else:
                lines.append(f"{cell.key:<12} {place:<6} {'evaluate':<9} {answers[0]}")
                lines.append(f"{cell.key:<12} {place:<6} {'train':<9} {answers[1]}")
    return lines


def _answer(cell: type[Cell], place: str, dtype: torch.dtype, training: bool) -> str:
    # Above the first layer: that is where a recurrence has all of its parts.
    example = cell(input_size=512, hidden_size=512, layer_index=1)
    name, reason = explain(example, place, dtype, training)
    return f"{name}: {reason}"
