"""``gatedrnn doctor``: versions, devices, and the runner that each recurrence uses here."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
from typing import TYPE_CHECKING

from gatedrnn.tasks.command_line import Command, add_value

if TYPE_CHECKING:
    import torch

    from gatedrnn.cells import Cell

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
    add_value(parser, "--dtype", "of the weights", choices=DTYPES)


def run(arguments: argparse.Namespace) -> int:
    """Print versions and devices, and the runner that each recurrence uses here, and why.

    examples:
      gatedrnn doctor
      gatedrnn doctor --dtype bfloat16
    """
    import torch

    dtype = getattr(torch, arguments.dtype)
    print("\n".join([*versions(), "", *devices(), "", *runners(dtype)]))
    return 0


def versions() -> list[str]:
    """A line for each package that matters: its version, or that it is missing."""
    lines = [f"python       {platform.python_version()} on {platform.platform()}"]
    for package in PACKAGES:
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            version = "not installed"
        lines.append(f"{package:<12} {version}")
    return lines


def devices() -> list[str]:
    """A line for each device of torch, and one for the compiler of the CPU kernels."""
    import torch

    from gatedrnn.engine.cpu import build

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
    """A line for each recurrence, device and mode: the runner it uses, and why."""
    import torch

    from gatedrnn.cells import CELLS

    places = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    lines = [f"{'recurrence':<12} {'device':<6} {'mode':<9} runner, {dtype} weights"]
    for cell in CELLS:
        for place in places:
            evaluating, training = (_runner(cell, place, dtype, mode) for mode in (False, True))
            if evaluating == training:
                lines.append(f"{cell.key:<12} {place:<6} {'both':<9} {training}")
            else:
                lines.append(f"{cell.key:<12} {place:<6} {'evaluate':<9} {evaluating}")
                lines.append(f"{cell.key:<12} {place:<6} {'train':<9} {training}")
    return lines


def _runner(cell: type[Cell], place: str, dtype: torch.dtype, training: bool) -> str:
    from gatedrnn.engine import explain

    # Above the first layer: there a recurrence has all of its parts.
    example = cell(input_size=512, hidden_size=512, layer_index=1)
    name, reason = explain(example, place, dtype, training)
    return f"{name}: {reason}"


COMMAND = Command("doctor", add_arguments, run)
