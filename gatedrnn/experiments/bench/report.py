"""Timings as Markdown, JSON and a plot."""

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

from gatedrnn.data.files import write_atomically
from gatedrnn.data.plots import new_figure, write_figure
from gatedrnn.data.result_table import ResultTable, Section, render
from gatedrnn.experiments.bench.implementations import (
    DISTANT,
    GROWING,
    PLAIN_SHAPES,
    SCALING_BASE,
    Benchmark,
    Implementation,
    Timing,
    ours,
    peak_memory,
    torch_lstm,
    torch_lstm_proj,
)

#: Settings of the C allocator, which move times by tens of percent.
ALLOCATOR = ("LD_PRELOAD", "MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")


def conditions(device: str, dtype: torch.dtype) -> dict[str, Any]:
    """What a measurement depends on, for the record."""
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


#: A benchmark and the timings of its implementations, for each of a run.
Results = Sequence[tuple[Benchmark, Sequence[Timing]]]


def as_data(results: Results, settings: dict[str, Any]) -> dict[str, Any]:
    """All measurements, JSON-serialisable."""
    races = [
        {
            "shape": vars(benchmark.shape),
            "work": benchmark.work,
            "baseline": timings[0].name,
            "timings": [
                {"name": t.name, "seconds": t.seconds, "ratios": t.ratios, "ratio": t.ratio}
                for t in timings
            ],
        }
        for benchmark, timings in results
    ]
    return {"conditions": settings, "races": races}


def as_markdown(results: Results, settings: dict[str, Any]) -> str:
    """One table for each benchmark."""
    sections: list[Section] = [
        ("", [", ".join(f"{name} {value}" for name, value in settings.items())])
    ]
    for benchmark, timings in results:
        table = ResultTable(
            ["network", "median ms", "min", "max", f"/ {timings[0].name}"], digits=3
        )
        for t in timings:
            ms = [f"{1e3 * value:.4g}" for value in (t.median, min(t.seconds), max(t.seconds))]
            table.add(t.name, *ms, t.ratio)
        sections.append((f"{benchmark.work}, {benchmark.shape}", [table]))
    return render(sections, markdown=True, level=3)


def write(path: Path, results: Results, settings: dict[str, Any]) -> None:
    """Writes a report in the format of the file's ending: .md, .json or .png."""
    if path.suffix == ".md":
        write_atomically(path, as_markdown(results, settings) + "\n")
    elif path.suffix == ".json":
        write_atomically(path, json.dumps(as_data(results, settings), indent=1) + "\n")
    elif path.suffix == ".png":
        _plot(path, results)
    else:
        raise ValueError(f"{path}: a report ends in .md, .json or .png")


def _plot(path: Path, results: Results) -> None:
    """Ratios to the baseline as bars, one panel for each benchmark."""
    heights = [0.28 * len(timings) + 0.9 for _, timings in results]
    figure = new_figure(7, sum(heights))
    panels = figure.subplots(len(results), 1, squeeze=False, height_ratios=heights)[:, 0]
    for panel, (benchmark, timings) in zip(panels, results, strict=True):
        names, ratios = [t.name for t in timings], [t.ratio for t in timings]
        panel.barh(names, ratios, color=["0.6", *["C0"] * (len(names) - 1)])
        panel.axvline(1.0, color="0.3", linewidth=0.8)
        panel.invert_yaxis()
        panel.set_title(f"{benchmark.work}, {benchmark.shape}: time / {names[0]}", fontsize=9)
        panel.tick_params(labelsize=8)
    write_figure(path, figure)


def as_growth(results: Results) -> str:
    """Markdown table of the suite ``scaling``: time as one size grows, and time per unit of it.

    Where cost is linear, the last column stays at 1. Results of other suites are left out.
    """
    table = ResultTable(
        ["grows", "to", "recurrence", "ms", "time per unit, relative to the largest"],
        text_columns=3,
        digits={"ms": 1},
    )
    for name, values in GROWING.items():
        shapes = {replace(SCALING_BASE, **{name: v}): v for v in values}
        timed = [(shapes[b.shape], timings) for b, timings in results if b.shape in shapes]
        if not timed:
            continue
        top, last = max(timed, key=lambda item: item[0])
        for value, timings in timed:
            for timing, largest in zip(timings, last, strict=True):
                relative = timing.median / value / (largest.median / top)
                table.add(name, value, timing.name, timing.median * 1e3, relative)
    return table.markdown()


def memory_table(device: str) -> str:
    """Markdown table of the peak memory of training steps, ours relative to torch's LSTM."""
    own = {"lstmp": lstmp, "lstmp recompute=True": lstmp_recomputed}
    table = ResultTable(
        ["training step", "nn.LSTM MB", *(c for name in own for c in (f"{name} MB", "ratio"))]
    )
    for shape in (*PLAIN_SHAPES, DISTANT):
        baseline = torch_lstm_proj if shape.proj else torch_lstm
        first, *others = peak_memory((baseline, *own.values()), shape, device=device).values()
        cells = [cell for n in others for cell in (f"{n / 1e6:.0f}", n / first)]
        table.add(str(shape), f"{first / 1e6:.0f}", *cells)
    return table.markdown()


def lstmp() -> Implementation:
    """Our LSTMP; a function of the module, so that it can be pickled for another process."""
    return ours("lstmp")


def lstmp_recomputed() -> Implementation:
    """Our LSTMP that recomputes its activations in the backward pass."""
    return ours("lstmp", recompute=True)
