"""Every variant and option of every recurrence, as keyword arguments of its stack."""

from __future__ import annotations

import itertools
from typing import Any

import torch

from gatedrnn import nnet
from gatedrnn.cells import CELLS

#: Option combinations beyond the rows that the recurrences list themselves.
EXTRA: dict[str, list[dict[str, Any]]] = {
    "LSTMP": [{"bias": False}],
    "HighwayLSTM": [{"bias": False}],
    "DepthGatedLSTM": [
        {"coupled_forget": True, "peephole": "full"},
        {"coupled_forget": True, "first_layer": "input"},
        {"peephole": "full", "first_layer": "input"},
        {"peephole": "none", "first_layer": "input", "bias": False},
    ],
    "ResidualLSTM": [
        {"output_peephole": "none", "first_layer_shortcut": "none"},
        {"bias": False},
    ],
    "SlimLSTM": [
        {"variant": "4a", "forget_const": 0.5},
        {"variant": "6", "forget_const": -0.4},
        {"variant": "base", "gate_activation": "hard_sigmoid"},
        {"variant": "5", "gate_activation": "hard_sigmoid", "activation": "sigmoid"},
        {"variant": "11", "activation": "relu"},
        {"variant": "1", "bias": False},
        {"variant": 2},
    ],
    "BetaLSTM": [{"variant": "5g", "bias": False}],
    "RAN": [{"bias": False}],
}

#: Recurrences without a cell beside the output, which have tests of their own.
ALONE = ("ChoGRU",)


def all_cases() -> list[tuple[str, dict[str, Any]]]:
    """Class name and options, for every row; projected too where there is a projection."""
    cases = []
    for cell in CELLS:
        if cell.__name__ in ALONE:
            continue
        rows = [*cell.variants, *EXTRA.get(cell.__name__, [])]
        for options, proj in itertools.product(rows, (None, 3) if cell.has_projection else (None,)):
            cases.append((cell.__name__, options | ({"proj_size": proj} if proj else {})))
    # K == N with a projection, and a residual layer whose input is already as wide as its output.
    cases.append(("ResidualLSTM", {"proj_size": 5, "output_peephole": "diag"}))
    cases.append(("ResidualLSTM", {"proj_size": 4}))
    return cases


def case_id(case: tuple[str, dict[str, Any]]) -> str:
    name, options = case
    return "-".join([name, *(f"{k}={v}" for k, v in options.items())])


CASES = all_cases()
IDS = [case_id(case) for case in CASES]


def build(
    name: str,
    options: dict[str, Any],
    *,
    layers: int = 3,
    bidirectional: bool = False,
    seed: int = 0,
) -> nnet.RecurrentStack:
    """A small float64 stack with weights large enough to saturate some gates."""
    torch.manual_seed(seed)
    net = nnet.CLASSES[name](
        5, input_size=4, num_layers=layers, bidirectional=bidirectional, **options
    ).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.uniform_(-1.0, 1.0)
    return net.eval()


def random_state(net: nnet.RecurrentStack, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A random initial state of a stack."""
    cell = net.layer(0).cell
    rows = net.num_layers * net.num_directions
    return (
        torch.rand(rows, batch, cell.output_size, dtype=torch.float64) - 0.5,
        torch.rand(rows, batch, cell.hidden_size, dtype=torch.float64) - 0.5,
    )
