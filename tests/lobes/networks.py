"""The networks that are put into SpeechBrain's places, and small helpers."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import nn

from gatedrnn.nnet import CLASSES

#: Every recurrence once, and those options that change shapes, parameters or links.
CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in CLASSES if not name.endswith("Cell")),
    ("LSTMP", {"proj_size": 3}),
    ("HighwayLSTM", {"proj_size": 3}),
    ("ResidualLSTM", {"proj_size": 3}),
    ("RAN", {"proj_size": 3}),
    ("DepthGatedLSTM", {"preset": "cnn"}),
    ("SlimLSTM", {"variant": "10"}),
    ("SlimLSTM", {"variant": "6"}),
]
IDS = ["-".join([name, *map(str, options.values())]) for name, options in CASES]
#: Those whose output is as wide as ``hidden_size``, as some of SpeechBrain's places require.
UNPROJECTED = [case for case in CASES if "proj_size" not in case[1]]
UNPROJECTED_IDS = ["-".join([name, *map(str, options.values())]) for name, options in UNPROJECTED]


def swappable(case: tuple[str, dict[str, Any]], suffix: str = "") -> Any:
    """The class as YAML's ``!name:`` gives it: bare, or with options, a partial."""
    name, options = case
    cls = CLASSES[name + suffix]
    return functools.partial(cls, **options) if options else cls


def lively(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in float64 evaluation mode, with weights that make every gate matter."""
    torch.manual_seed(seed)
    module = module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(-0.8, 0.8)
    return module


def padded(utterances: list[torch.Tensor], frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch whose padding is far from zero, and its relative lengths."""
    batch = 5.0 * torch.randn(len(utterances), frames, *utterances[0].shape[1:]).double()
    for row, utterance in zip(batch, utterances, strict=True):
        row[: len(utterance)] = utterance
    return batch, torch.tensor([len(u) / frames for u in utterances])


def same(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(a, b, rtol=0.0, atol=tolerance)
