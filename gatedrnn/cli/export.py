"""``gatedrnn export``: a training's folder becomes a bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from gatedrnn.tasks.command_line import Command
from gatedrnn.tasks.registry import TASKS, bundle_kinds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn export``; the tasks bring options of their own."""
    parser.add_argument("results", metavar="RESULTS_FOLDER", help="output folder of a training")
    parser.add_argument("bundle", metavar="BUNDLE", help="folder to write the bundle to")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing bundle")
    for task in TASKS:
        if hasattr(task.cli(), "add_export_arguments"):
            task.cli().add_export_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Export a training's output folder to a bundle: files that any machine can load.

    examples:
      gatedrnn export results/residual/1 bundle
      gatedrnn export results/residual/1 bundle --lm lm --lm-setting rescored --onnx
    """
    from gatedrnn.bundle.kind import export

    options = {}
    for task in TASKS:
        if hasattr(task.cli(), "export_options"):
            options |= task.cli().export_options(arguments)
    kind, bundle = export(
        arguments.results, arguments.bundle, bundle_kinds(), arguments.overwrite, **options
    )
    config = bundle.config
    size = sum(entry.bytes for entry in config.files.values())
    print(f"{Path(arguments.bundle)}: {kind.headline(config)}, {size:,} bytes")
    for line in kind.details(config):
        print(f"  {line}")
    for name, metrics in (config.training.get("sets") or {}).items():
        print(f"  {name}: {kind.result.format(metrics)} in the training's own test")
    if kind.command:
        print(f"  gatedrnn {kind.command.format(arguments.bundle)}")
    return 0


COMMAND = Command("export", add_arguments, run)
