"""A bundle in SpeechBrain's own ``EncoderASR``: what ``hyperparams.yaml`` of a bundle names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gatedrnn.tasks.asr.bundle import Bundle, read_bundle
from gatedrnn.tasks.asr.model import CTCModel
from gatedrnn.tokens import BLANK


class BundleEncoder(nn.Module):
    """Signals to log-probabilities, as ``EncoderASR`` calls it; empty until a bundle is read."""

    def __init__(self) -> None:
        super().__init__()
        self.model: nn.Module | None = None
        self.frontend: nn.Module | None = None

    def fill(self, bundle: Bundle) -> None:
        """Takes the model of a bundle; raises a ValueError if its head is not CTC."""
        if not isinstance(bundle.model, CTCModel):
            raise ValueError(
                f"EncoderASR decodes by CTC alone, and this bundle's head is "
                f"{bundle.config.model.head}: use gatedrnn.tasks.asr.apply.Recognizer"
            )
        self.model, self.frontend = bundle.model, bundle.frontend

    def forward(self, signals: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Log-probabilities (batch, frames, tokens) of signals (batch, samples).

        ``lengths`` are relative, in samples, (batch,). Past an utterance's end all is blank, since
        SpeechBrain counts frames from relative lengths in samples, and may be one off.
        """
        self.frontend.to(signals.device)
        features, lengths = self.frontend.of_batch(signals, lengths)
        log_probs, counts, _ = self.model(features, lengths)
        frames = torch.arange(log_probs.shape[1], device=log_probs.device)
        past = (frames >= counts.unsqueeze(1)).unsqueeze(2)
        silence = torch.full_like(log_probs[0, 0], -torch.inf)
        silence[BLANK] = 0.0
        return torch.where(past, silence, log_probs)


class BundleTokenizer:
    """Tokens to text, as ``EncoderASR`` calls it; empty until a bundle is read."""

    def __init__(self) -> None:
        self.tokens: Any = None

    def decode_ids(self, tokens: Sequence[int]) -> str:
        """Text of tokens, without blanks."""
        return self.tokens.decode(tokens)


class BundleReader:
    """In place of SpeechBrain's ``Pretrainer``: fills encoder and tokenizer from safetensors."""

    def __init__(self, encoder: BundleEncoder, tokenizer: BundleTokenizer) -> None:
        self.encoder, self.tokenizer = encoder, tokenizer
        self.source: Path | None = None

    def set_collect_in(self, folder: str | Path | None) -> None:
        """Does nothing: a bundle is read where it lies."""

    def collect_files(self, default_source: str | Path, **kwargs: Any) -> None:
        """Remembers the bundle's folder; raises a ValueError if it is not a folder."""
        self.source = Path(default_source)
        if not self.source.is_dir():
            raise ValueError(f"{default_source} is not a folder: download the bundle first")

    def load_collected(self) -> None:
        """Reads the bundle."""
        bundle = read_bundle(self.source)
        self.encoder.fill(bundle)
        self.tokenizer.tokens = bundle.tokens
