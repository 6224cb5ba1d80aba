"""Features of signals, normalised as in training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from speechbrain.processing.features import InputNormalization
from torch import nn

from gatedrnn.modules.features import LogMel, feature_lengths


class Frontend(nn.Module):
    """Features of signals, normalised as in training.

    features: the features
    statistics: mean and standard deviation of the training data, each (features,); None to
        normalise each utterance by its own
    """

    def __init__(
        self, features: LogMel, statistics: tuple[torch.Tensor, torch.Tensor] | None = None
    ) -> None:
        super().__init__()
        self.features = features
        self.statistics = statistics
        self.normalize = InputNormalization(
            norm_type="sentence" if statistics is None else "global"
        )
        if statistics is not None:
            self.normalize.glob_mean, self.normalize.glob_std = statistics
        self.eval()

    @property
    def sample_rate(self) -> int:
        """Samples per second of the signals."""
        return self.features.options["sample_rate"]

    def forward(self, signals: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Computes the features of a batch.

        Returns: (batch, frames, features).
        Returns: Relative lengths, (batch,).
        """
        longest = max(len(signal) for signal in signals)
        batch = torch.stack([nn.functional.pad(s, (0, longest - len(s))) for s in signals])
        lengths = torch.tensor([len(s) / longest for s in signals], device=batch.device)
        return self.of_batch(batch, lengths)

    def of_batch(
        self, batch: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Computes the features of signals that are padded already.

        batch: (batch, samples).
        lengths: Relative lengths in samples, (batch,).
        Returns: (batch, frames, features).
        Returns: Relative lengths in frames, (batch,).
        """
        features = self.features(batch)
        lengths = feature_lengths(lengths, batch.shape[1], features.shape[1], self.features.hop)
        return self.normalize(features, lengths), lengths

    def to(self, device: str | torch.device) -> Frontend:
        """Moves everything to a device."""
        super().to(device)
        # SpeechBrain's own ``to`` is not called for a module within a module.
        self.normalize.to(device)
        if self.statistics is not None:
            self.statistics = tuple(value.to(device) for value in self.statistics)
        return self
