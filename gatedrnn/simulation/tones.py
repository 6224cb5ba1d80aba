"""Utterances of a synthetic tone language: the smallest task that looks like speech recognition.

Words are short sequences of two-formant sounds; every speaker has a pitch, a vocal-tract length
and a tempo of their own; a room adds an echo and noise. It is not speech: it serves where a recipe
must run at once, on any machine, with nothing to download.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

SAMPLE_RATE = 16000
#: Formants, in Hz, of the sounds that words are made of.
SOUNDS = {"a": (700, 1200), "e": (500, 1900), "i": (300, 2300), "o": (450, 800), "u": (320, 1000)}
WORDS = ("ai", "ea", "io", "oe", "ua", "aiu", "eou", "iae", "oui", "uea")


@dataclass(frozen=True)
class ToneUtterance:
    """A synthetic utterance: its signal (samples,), float32, at 16 kHz, and its words."""

    samples: torch.Tensor
    words: tuple[str, ...]


def make_utterance(
    seed: int, *, speaker: int, max_words: int = 5, snr: float = 15.0
) -> ToneUtterance:
    """Synthesizes an utterance.

    Arguments
    ---------
    seed : int
        Seed of the words; the same seed and speaker give the same utterance.
    speaker : int
        Seed of pitch, formants, tempo and room.
    max_words : int
        Longest utterance, in words.
    snr : float
        Signal-to-noise ratio, in dB.

    Returns
    -------
    ToneUtterance

    Example
    -------
    >>> make_utterance(0, speaker=1).words == make_utterance(0, speaker=2).words
    True
    """
    text = torch.Generator().manual_seed(seed)
    voice = torch.Generator().manual_seed(10_000_019 + speaker)
    pitch, tract, tempo, echo = torch.rand(4, generator=voice).tolist()
    count = int(torch.randint(1, max_words + 1, (), generator=text))
    words = tuple(WORDS[i] for i in torch.randint(len(WORDS), (count,), generator=text).tolist())
    pieces = [torch.zeros(800)]
    for word in words:
        for sound in word:
            seconds = 0.06 + 0.04 * tempo + 0.02 * float(torch.rand((), generator=text))
            pieces.append(_sound(sound, 90 + 140 * pitch, 0.85 + 0.3 * tract, seconds))
        pieces.append(torch.zeros(int(SAMPLE_RATE * (0.03 + 0.03 * tempo))))
    clean = torch.cat(pieces)
    delay = 400 + int(1200 * echo)
    wet = clean.clone()
    wet[delay:] += 0.4 * clean[:-delay]
    noise = torch.randn(len(wet), generator=text)
    noise *= wet.pow(2).mean().sqrt() * 10 ** (-snr / 20)
    return ToneUtterance(0.1 * (wet + noise), words)


def _sound(name: str, pitch: float, tract: float, seconds: float) -> torch.Tensor:
    """Harmonics of a pitch under two formant resonances."""
    time = torch.arange(int(SAMPLE_RATE * seconds)) / SAMPLE_RATE
    harmonics = torch.arange(1, int(4000 / pitch) + 1) * pitch
    level = sum(
        torch.exp(-(((harmonics - formant * tract) / 120.0) ** 2)) for formant in SOUNDS[name]
    )
    signal = (level[:, None] * torch.sin(2 * math.pi * harmonics[:, None] * time)).sum(0)
    return signal * torch.hann_window(len(time), periodic=False).sqrt()
