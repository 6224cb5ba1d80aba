"""Resampling block by block: the samples that torchaudio gives for the whole, in bounded memory."""

from __future__ import annotations

import math

import torch
from torch import nn
from torchaudio.transforms import Resample

#: torchaudio's: zero crossings of the filter on each side, and where it cuts, of the lower rate.
_WIDTH, _ROLLOFF = 6, 0.99
#: Rates of which hardly any multiple is common to both make torchaudio's matrix huge.
_MAX_ENTRIES = 2**24


class BlockResampler:
    """Resamples a signal that comes in blocks.

    It gives what ``torchaudio.functional.resample`` gives for the whole signal, which is how
    training resamples: blocks overlap by the width of the filter.

    Arguments
    ---------
    source : int
        Samples per second of what comes.
    target : int
        Samples per second of what is wanted.

    Raises
    ------
    ValueError
        If a rate is not positive.

    Example
    -------
    >>> from torchaudio.functional import resample
    >>> signal = torch.randn(10_000)
    >>> resampler = BlockResampler(44_100, 16_000)
    >>> parts = [resampler.push(block) for block in signal.split(3_000)]
    >>> whole = torch.cat([*parts, resampler.flush()])
    >>> torch.allclose(whole, resample(signal, 44_100, 16_000), atol=1e-6)
    True
    """

    def __init__(self, source: int, target: int) -> None:
        if source <= 0 or target <= 0:
            raise ValueError(f"cannot resample from {source} to {target} samples per second")
        common = math.gcd(source, target)
        #: So many samples that come make so many that are wanted, exactly.
        self.unit, self.makes = source // common, target // common
        width = math.ceil(_WIDTH * self.unit / (min(self.unit, self.makes) * _ROLLOFF))
        # A whole number of units, so that what follows them falls on the same grid.
        self._context = math.ceil(width / self.unit) * self.unit
        self._apply = _filter(self.unit, self.makes, width)
        self._held = torch.zeros(0)
        # Of what is held, so much was resampled and is only kept as context.
        self._done = 0

    def push(self, samples: torch.Tensor) -> torch.Tensor:
        """Takes a block.

        Arguments
        ---------
        samples : torch.Tensor
            (samples,), any number.

        Returns
        -------
        torch.Tensor
            What can be told by now, (samples,): a little less than what has come.
        """
        if self.unit == self.makes:
            return samples
        self._held = torch.cat([self._held, samples])
        ready = (len(self._held) - self._context - self._done) // self.unit * self.unit
        if ready <= 0:
            return samples[:0]
        end = self._done + ready
        found = self._apply(self._held[: end + self._context])
        found = found[self._made(self._done) : self._made(end)]
        kept = max(0, end - self._context)
        self._held, self._done = self._held[kept:].clone(), end - kept
        return found

    def flush(self, samples: torch.Tensor | None = None) -> torch.Tensor:
        """Ends the signal; another one may follow.

        Arguments
        ---------
        samples : torch.Tensor or None
            The last block, (samples,), if it has not been pushed. A signal that is a single block
            is resampled by a single call of torchaudio's, as in training.

        Returns
        -------
        torch.Tensor
            The last samples, (samples,).
        """
        held, done = self._held, self._done
        if samples is not None:
            held = torch.cat([held, samples])
        self._held, self._done = torch.zeros(0), 0
        if self.unit == self.makes or len(held) == done:
            return held[done:]
        total = -(-len(held) * self.makes // self.unit)
        return self._apply(held)[self._made(done) : total]

    def _made(self, samples: int) -> int:
        return samples // self.unit * self.makes


def _filter(unit: int, makes: int, width: int) -> nn.Module:
    """What resamples a whole signal."""
    if unit == makes:
        return nn.Identity()
    if makes * (unit + 2 * width) > _MAX_ENTRIES:
        return _Sparse(unit, makes, width)
    # Single precision also for the filter, as in torchaudio.functional.
    return Resample(unit, makes, dtype=torch.float32)


class _Sparse(nn.Module):
    """torchaudio's resampling without the zeros of its matrix.

    Where two rates have hardly a common divisor (11127 and 16000 Hz), nearly all of that matrix is
    zeros, and it takes gigabytes.
    """

    def __init__(self, unit: int, makes: int, width: int) -> None:
        super().__init__()
        self.unit, self.makes, self.width = unit, makes, width
        phase = torch.arange(makes)
        first = phase * unit // makes - width
        taps = first[:, None] + torch.arange(2 * width + 2)
        # In the order of torchaudio's own steps: in single precision, order matters.
        base = min(unit, makes) * _ROLLOFF
        time = torch.arange(0, -makes, -1, dtype=torch.float32)[:, None] / makes + taps / unit
        time = (time * base).clamp_(-_WIDTH, _WIDTH)
        window = torch.cos(time * math.pi / _WIDTH / 2) ** 2
        time *= math.pi
        kernel = torch.where(time == 0, 1.0, time.sin() / time)
        self.kernel = kernel * (window * (base / unit))
        self.first = first

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        """Resamples (samples,)."""
        total = -(-len(signal) * self.makes // self.unit)
        padded = nn.functional.pad(signal, (self.width, self.width + self.unit + 2))
        windows = padded.unfold(0, self.kernel.shape[1], 1)
        found = []
        # So many at a time that the windows fit into a few megabytes.
        for places in torch.arange(total).split(2**22 // self.kernel.shape[1] + 1):
            phase = places % self.makes
            start = places // self.makes * self.unit + self.first[phase] + self.width
            found.append((windows[start] * self.kernel[phase]).sum(1))
        return torch.cat([signal[:0], *found])
