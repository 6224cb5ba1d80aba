"""Distant speech out of close speech: a room's impulse response, and noise.

What happens to an utterance follows from the seed, its name and the epoch alone: not from the
order of utterances, from workers or from ranks.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from scipy.fft import next_fast_len

from gatedrnn.data.acoustics import ImpulseResponses, Noises


class DistantSpeech:
    """Makes close speech sound distant.

    Arguments
    ---------
    responses : ImpulseResponses or None
        One is drawn for each utterance; None for no reverberation.
    noises : Noises or None
        A stretch is drawn for each utterance; None for no noise.
    snr : tuple of float
        Range of the ratio of reverberant speech to noise, in dB.
    share : float
        Part of the utterances that are changed; the others stay close.
    seed : int
        Decides all.

    Raises
    ------
    ValueError
        If a value is out of its range, or there is nothing to do.

    Example
    -------
    >>> responses = ImpulseResponses([torch.tensor([1.0, 0.0, 0.5])], rate=16000)
    >>> distant = DistantSpeech(responses)
    >>> signal = torch.randn(100)
    >>> near, far = distant(signal, "u1"), distant(signal, "u1")
    >>> near.shape, torch.equal(near, far), torch.equal(near, signal)
    (torch.Size([100]), True, False)
    """

    def __init__(
        self,
        responses: ImpulseResponses | None = None,
        noises: Noises | None = None,
        snr: tuple[float, float] = (5.0, 25.0),
        share: float = 1.0,
        seed: int = 1,
    ) -> None:
        if responses is None and noises is None:
            raise ValueError("distant speech needs impulse responses, noises, or both")
        if responses is not None and noises is not None and responses.rate != noises.rate:
            raise ValueError(
                f"impulse responses are at {responses.rate} Hz, noises at {noises.rate} Hz: must "
                "be the same"
            )
        if len(snr) != 2 or snr[0] > snr[1]:
            raise ValueError(f"snr {snr}: must be the lowest and the highest ratio, in dB")
        if not 0 <= share <= 1:
            raise ValueError(f"share {share}: must lie between 0 and 1")
        self.responses = responses
        self.noises = noises
        self.snr = (float(snr[0]), float(snr[1]))
        self.share = share
        self.seed = seed

    @property
    def rate(self) -> int:
        """Samples per second of what it works on."""
        return (self.responses or self.noises).rate

    def __call__(self, signal: torch.Tensor, name: str, epoch: int = 0) -> torch.Tensor:
        """Makes an utterance distant; its level and length stay.

        Arguments
        ---------
        signal : torch.Tensor
            (samples,).
        name : str
            The utterance's.
        epoch : int
            Another epoch, another room and noise.

        Returns
        -------
        torch.Tensor
            (samples,).
        """
        generator = self._generator(name, epoch)
        if generator.random() >= self.share:
            return signal
        distant = signal
        if self.responses is not None:
            response = self.responses[int(generator.integers(len(self.responses)))]
            distant = _convolve(signal, response.to(signal))
        if self.noises is not None:
            noise = self.noises.stretch(len(signal), generator).to(signal)
            snr = generator.uniform(*self.snr)
            distant = distant + noise * (_level(distant) / _level(noise) * 10 ** (-snr / 20))
        return distant * (_level(signal) / _level(distant))

    def _generator(self, name: str, epoch: int) -> np.random.Generator:
        """Random numbers of an utterance in an epoch."""
        digest = hashlib.sha256(f"{self.seed}\0{epoch}\0{name}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def _convolve(signal: torch.Tensor, response: torch.Tensor) -> torch.Tensor:
    """Causal convolution, as long as the signal."""
    # A length with a large prime factor, as lengths of utterances have, would be 5 times as slow.
    length = next_fast_len(len(signal) + len(response) - 1, real=True)
    spectrum = torch.fft.rfft(signal, length) * torch.fft.rfft(response, length)
    return torch.fft.irfft(spectrum, length)[: len(signal)]


def _level(signal: torch.Tensor) -> torch.Tensor:
    """Root mean square; never zero, so that silence stays silent."""
    return signal.square().mean().sqrt().clamp_min(1e-8)
