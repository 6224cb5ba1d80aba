"""``gatedrnn doctor``: what this installation is made of, and how fast a way each cell takes."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform

import torch

NAME = "doctor"
HELP = "print versions and devices, and the runner each recurrence takes here and why"

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
    """Adds the arguments of ``gatedrnn doctor``: there are none."""


def run(arguments: argparse.Namespace) -> int:
    """Runs ``gatedrnn doctor``."""
    print("\n".join([*versions(), "", *devices()]))
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
    """A line for each device torch can use.

    Returns
    -------
    list of str

    Example
    -------
    >>> devices()[0].startswith("cpu ")
    True
    """
    lines = [
        f"cpu          {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    ]
    for index in range(torch.cuda.device_count()):
        lines.append(f"cuda:{index}       {torch.cuda.get_device_name(index)}")
    if not torch.cuda.is_available():
        lines.append("cuda         none")
    return lines
