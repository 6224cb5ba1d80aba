"""Small recognisers with random weights, and signals."""

from __future__ import annotations

from typing import Any

import torch

from gatedrnn.cells.registry import REGISTRY
from gatedrnn.tasks.asr.apply import Recognizer
from gatedrnn.tasks.asr.bundle import Bundle, RecognizerConfig, RecognizerSpec
from gatedrnn.tasks.asr.model import Frontend
from gatedrnn.tokens import Characters

#: Every recurrence that has a row in the registry.
NETWORKS = tuple(REGISTRY)
TOKENS = Characters.learn(["ABCD EFGH"])
STREAMING = {"features": {"dynamic_range": 0}, "normalisation": "global"}


def spec(network: str = "residual", **changes: Any) -> RecognizerSpec:
    """A small recogniser that can stream, unless the changes say otherwise."""
    acoustic = {
        "network": network,
        "num_layers": 3,
        "hidden_size": 12,
        "proj_size": 6,
        "network_options": {"init_range": 0.5},
        **changes.pop("acoustic", {}),
    }
    return RecognizerSpec(len(TOKENS), acoustic, **{**STREAMING, **changes})


def statistics() -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of features, made up."""
    return torch.linspace(-30, -10, 80), torch.linspace(5, 15, 80)


def bundle(described: RecognizerSpec, seed: int = 0, sharpness: float = 40.0) -> Bundle:
    """A bundle with random weights, whose scores are sharp enough to read something."""
    torch.manual_seed(seed)
    model = described.build().eval().requires_grad_(False)
    getattr(model, "acoustic", model).output.weight.mul_(sharpness)
    found = statistics() if described.normalisation == "global" else None
    return Bundle(
        RecognizerConfig(described), TOKENS, Frontend(described.build_features(), found), model
    )


def recogniser(described: RecognizerSpec | None = None, **kwargs: Any) -> Recognizer:
    """A recogniser with random weights."""
    return Recognizer(bundle(described or spec()), **kwargs)


def signal(seconds: float = 1.0, seed: int = 0) -> torch.Tensor:
    """Noise of changing loudness at 16 kHz."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(round(16000 * seconds), generator=generator)
    loudness = torch.linspace(0, 12, len(noise)).sin().abs()
    return 0.2 * noise * loudness
