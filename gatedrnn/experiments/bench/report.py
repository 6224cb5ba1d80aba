"""Timings as Markdown, JSON and a picture."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gatedrnn.experiments.bench.measure import Timing
from gatedrnn.experiments.bench.suites import GROWING, SCALING_BASE, Race

#: Settings of the C allocator, which move times by tens of per cent.
ALLOCATOR = ("LD_PRELOAD", "MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")


def conditions(device: str, dtype: torch.dtype) -> dict[str, Any]:
    """What a figure depends on, for the record.

    Arguments
    ---------
    device : str
        Where the networks run.
    dtype : torch.dtype
        Of weights and input.

    Returns
    -------
    dict

    Example
    -------
    >>> conditions("cpu", torch.float32)["dtype"]
    'float32'
    """
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else _processor()
    settings = {variable: os.environ[variable] for variable in ALLOCATOR if variable in os.environ}
    return {
        "date": datetime.date.today().isoformat(),
        "device": f"{device}: {name}",
        "threads": torch.get_num_threads(),
        "dtype": str(dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "runner": os.environ.get("GATEDRNN_RUNNER", "auto"),
        "allocator": settings or "the C library's default",
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                capability = torch.backends.cpu.get_cpu_capability()
                return f"{line.partition(':')[2].strip()}, {capability}"
    except FileNotFoundError:
        pass
    return platform.processor() or platform.machine()


def as_data(results: list[tuple[Race, list[Timing]]], settings: dict[str, Any]) -> dict[str, Any]:
    """Everything measured, as plain data."""
    races = [
        {
            "shape": vars(race.shape),
            "work": race.work,
            "baseline": timings[0].name,
            "timings": [
                {"name": t.name, "seconds": t.seconds, "ratios": t.ratios, "ratio": t.ratio}
                for t in timings
            ],
        }
        for race, timings in results
    ]
    return {"conditions": settings, "races": races}


def as_markdown(results: list[tuple[Race, list[Timing]]], settings: dict[str, Any]) -> str:
    """One table for each race.

    Arguments
    ---------
    results : list of (Race, list of Timing)
        What was measured.
    settings : dict
        Of :func:`conditions`.

    Returns
    -------
    str
    """
    lines = [", ".join(f"{name} {value}" for name, value in settings.items())]
    for race, timings in results:
        lines += ["", f"### {race.work}, {race.shape}", ""]
        lines += [
            f"| network | median ms | min | max | / {timings[0].name} |",
            "|---|---:|---:|---:|---:|",
        ]
        for t in timings:
            ms = [1e3 * value for value in (t.median, min(t.seconds), max(t.seconds))]
            lines.append(f"| {t.name} | {ms[0]:.4g} | {ms[1]:.4g} | {ms[2]:.4g} | {t.ratio:.3f} |")
    return "\n".join(lines)


def write(path: Path, results: list[tuple[Race, list[Timing]]], settings: dict[str, Any]) -> None:
    """Writes a report in the format that the file's ending names.

    Arguments
    ---------
    path : Path
        Ends in .md, .json or .png.
    results : list of (Race, list of Timing)
        What was measured.
    settings : dict
        Of :func:`conditions`.

    Raises
    ------
    ValueError
        If the ending is another, or a picture is asked for without matplotlib.
    """
    if path.suffix == ".md":
        path.write_text(as_markdown(results, settings) + "\n", encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(as_data(results, settings), indent=1) + "\n", encoding="utf-8")
    elif path.suffix == ".png":
        _draw(path, results)
    else:
        raise ValueError(f"{path}: a report ends in .md, .json or .png")


def _draw(path: Path, results: list[tuple[Race, list[Timing]]]) -> None:
    """Ratios to the baseline as bars, one panel for each race."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError(
            f"{path}: pictures need matplotlib: pip install 'gatedrnn[plots]'"
        ) from error
    heights = [0.28 * len(timings) + 0.9 for _, timings in results]
    figure = Figure(figsize=(7, sum(heights)), layout="constrained")
    panels = figure.subplots(len(results), 1, squeeze=False, height_ratios=heights)[:, 0]
    for panel, (race, timings) in zip(panels, results, strict=True):
        names, ratios = [t.name for t in timings], [t.ratio for t in timings]
        panel.barh(names, ratios, color=["0.6", *["C0"] * (len(names) - 1)])
        panel.axvline(1.0, color="0.3", linewidth=0.8)
        panel.invert_yaxis()
        panel.set_title(f"{race.work}, {race.shape}: time / {names[0]}", fontsize=9)
        panel.tick_params(labelsize=8)
    figure.savefig(path, dpi=110)


def as_growth(results: Sequence[tuple[Race, Sequence[Timing]]]) -> str:
    """What the suite ``scaling`` found: time as one size grows, and time for each unit of it.

    Arguments
    ---------
    results : sequence of (Race, sequence of Timing)
        Those of other suites are left out.

    Returns
    -------
    str
        A Markdown table. Where cost is linear, the last column stays at 1.
    """
    lines = [
        "| grows | to | recurrence | ms | time for one, of that at the largest |",
        "|---|---:|---|---:|---:|",
    ]
    for name, values in GROWING.items():
        shapes = {replace(SCALING_BASE, **{name: v}): v for v in values}
        found = [(shapes[race.shape], timings) for race, timings in results if race.shape in shapes]
        if not found:
            continue
        top, last = max(found, key=lambda one: one[0])
        for value, timings in found:
            for mine, largest in zip(timings, last, strict=True):
                relative = mine.median / value / (largest.median / top)
                lines.append(
                    f"| {name} | {value} | {mine.name} | {mine.median * 1e3:.1f} | {relative:.2f} |"
                )
    return "\n".join(lines)
