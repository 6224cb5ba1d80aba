"""``gatedrnn list``: the recurrences, their papers, options and parameter counts."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from gatedrnn.data.result_table import ResultTable
from gatedrnn.tasks.command_line import Command, add_flag, add_option, add_value

if TYPE_CHECKING:
    from gatedrnn.cells import Cell


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn list``."""
    parser.add_argument("recurrence", nargs="*", help="keys or class names; default: all")
    add_value(parser, "--input-size", "features of a frame", 80)
    add_value(parser, "--hidden-size", "cells of a layer", 1024)
    add_value(parser, "--proj-size", "output projection, where there is one; 0: none", 0)
    add_value(parser, "--num-layers", "layers", 1)
    add_flag(parser, "--bidirectional", "two directions in each layer")
    add_option(parser, "format", choices=tuple(FORMATS))


def run(arguments: argparse.Namespace) -> int:
    """Print the recurrences, their papers, options and parameter counts for given sizes.

    example:
      gatedrnn list residual --input-size 80 --hidden-size 1024 --proj-size 512 --num-layers 10
    """
    from gatedrnn.cells import CELLS, find

    cells = [find(name) for name in arguments.recurrence] or list(CELLS)
    sizes = {
        "input_size": arguments.input_size,
        "hidden_size": arguments.hidden_size,
        "proj_size": arguments.proj_size,
        "num_layers": arguments.num_layers,
        "bidirectional": arguments.bidirectional,
    }
    print(FORMATS[arguments.format]([describe(cell, **sizes) for cell in cells], sizes))
    return 0


def count_stack(
    cell: type[Cell],
    *,
    input_size: int,
    hidden_size: int,
    proj_size: int = 0,
    num_layers: int = 1,
    bidirectional: bool = False,
    **options: Any,
) -> int:
    """Number of parameters of a stack, without building it.

    ``proj_size`` is ignored for a recurrence without projection; ``options`` are the recurrence's.

    Example
    -------
    >>> from gatedrnn.cells import ResidualLSTM
    >>> sizes = {"input_size": 80, "hidden_size": 1024, "proj_size": 512, "num_layers": 10}
    >>> count_stack(ResidualLSTM, **sizes)
    45734912
    """
    if num_layers < 1:
        raise ValueError(f"num_layers must be at least 1, not {num_layers}")
    directions = 2 if bidirectional else 1
    projection = {"proj_size": proj_size} if cell.has_projection else {}
    total = 0
    for index in range(num_layers):
        layer = cell(
            input_size=input_size,
            hidden_size=hidden_size,
            layer_index=index,
            **projection,
            **options,
        )
        total += layer.num_parameters() * directions
        input_size = layer.output_size * directions
    return total


def describe(cell: type[Cell], **sizes: Any) -> dict[str, Any]:
    """Name, paper, options and parameter counts of a recurrence, JSON-serialisable."""
    rows = [
        {"options": dict(variant), "parameters": count_stack(cell, **sizes, **variant)}
        for variant in cell.variants
    ]
    return {
        "key": cell.key,
        "class": f"gatedrnn.nnet.{cell.__name__}",
        "summary": cell.summary,
        "paper": cell.paper,
        "projection": cell.has_projection,
        "options": cell.options(),
        "variants": rows,
    }


def _sizes_line(sizes: dict[str, Any]) -> str:
    shown = ", ".join(f"{name}={value}" for name, value in sizes.items())
    return f"Parameters of a stack with {shown} (proj_size where there is a projection)."


def _options_line(options: dict[str, Any]) -> str:
    return ", ".join(f"{n}={v!r}" for n, v in options.items()) or "-"


def as_text(items: list[dict[str, Any]], sizes: dict[str, Any]) -> str:
    """The recurrences as indented text."""
    lines = [_sizes_line(sizes)]
    for item in items:
        lines += [
            "",
            f"{item['key']}  ({item['class']})",
            f"  {item['summary']}",
            f"  paper:   {item['paper']}",
            f"  options: {_options_line(item['options'])}",
        ]
        for row in item["variants"]:
            label = _options_line(row["options"]) if row["options"] else "defaults"
            lines.append(f"  {row['parameters']:>14,}  {label}")
    return "\n".join(lines)


def as_markdown(items: list[dict[str, Any]], sizes: dict[str, Any]) -> str:
    """The recurrences as a Markdown table."""
    table = ResultTable(["recurrence", "paper", "options", "parameters"], text_columns=3)
    for item in items:
        for row in item["variants"]:
            label = _options_line(row["options"]) if row["options"] else "defaults"
            table.add(f"`{item['class']}`", item["paper"], label, f"{row['parameters']:,}")
    return f"{_sizes_line(sizes)}\n\n{table.markdown()}"


def as_json(items: list[dict[str, Any]], sizes: dict[str, Any]) -> str:
    """The recurrences as JSON."""
    return json.dumps({"sizes": sizes, "recurrences": items}, indent=2)


FORMATS = {"text": as_text, "markdown": as_markdown, "json": as_json}

COMMAND = Command("list", add_arguments, run)
