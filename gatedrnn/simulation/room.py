"""Meeting rooms: positions of speakers and microphones, and the impulse responses between them.

Impulse responses come from the image method (pyroomacoustics). Speakers sit around a table; a
circular array of eight microphones lies at its centre, and every speaker wears a headset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import lfilter

from gatedrnn.data.errors import require
from gatedrnn.simulation.voices import NEEDED_BY, SAMPLE_RATE

ARRAY_SIZE = 8
ARRAY_RADIUS = 0.1  # metres
_HEADSET_DISTANCE = 0.04  # metres from the mouth
#: Reflections beyond these add nothing audible to a microphone 4 cm from the mouth.
_HEADSET_ORDER = 6


@dataclass(frozen=True)
class Room:
    """A shoe-box room with people at a table: length, width and height; time, in seconds, in which
    sound decays by 60 dB; positions of mouths, array and headset microphones, in metres."""

    size: tuple[float, float, float]
    rt60: float
    mouths: tuple[tuple[float, float, float], ...]
    array: tuple[tuple[float, float, float], ...]
    headsets: tuple[tuple[float, float, float], ...]


def sample_room(
    rng: np.random.Generator, speakers: int = 4, rt60: tuple[float, float] = (0.2, 0.5)
) -> Room:
    """Samples a room and seats, with a reverberation time in the range ``rt60``, in seconds.

    Example
    -------
    >>> room = sample_room(np.random.default_rng(0))
    >>> len(room.mouths), len(room.array), 0.2 <= room.rt60 <= 0.5
    (4, 8, True)
    """
    if not 0.15 <= rt60[0] <= rt60[1] <= 1.0:
        raise ValueError(f"reverberation times must rise within 0.15 to 1.0 seconds, not {rt60}")
    size = rng.uniform((4.0, 3.5, 2.5), (6.5, 5.0, 3.0))
    centre = np.array([*(size[:2] / 2 + rng.uniform(-0.3, 0.3, 2)), 0.75])
    turn = rng.uniform(0, 2 * np.pi)
    seats = turn + (np.arange(speakers) + rng.uniform(-0.2, 0.2, speakers)) * 2 * np.pi / speakers
    distance, height = rng.uniform(0.8, 1.2, speakers), rng.uniform(1.1, 1.3, speakers)
    out = np.stack([np.cos(seats), np.sin(seats), np.zeros(speakers)], 1)
    mouths = centre * [1, 1, 0] + out * distance[:, None] + height[:, None] * [0, 0, 1]
    # Beside the mouth, a little to the front.
    aside = np.stack([-out[:, 1], out[:, 0], np.zeros(speakers)], 1)
    headsets = mouths + _HEADSET_DISTANCE * (0.8 * aside - 0.6 * out)
    ring = np.arange(ARRAY_SIZE) * 2 * np.pi / ARRAY_SIZE
    array = centre + np.stack(
        [ARRAY_RADIUS * np.cos(ring), ARRAY_RADIUS * np.sin(ring), np.full(ARRAY_SIZE, 0.03)], 1
    )
    return Room(
        size=_triple(size),
        rt60=round(float(rng.uniform(*rt60)), 3),
        mouths=tuple(_triple(mouth) for mouth in mouths),
        array=tuple(_triple(microphone) for microphone in array),
        headsets=tuple(_triple(headset) for headset in headsets),
    )


def responses(room: Room, array_channels: tuple[int, ...] = (0,)) -> np.ndarray:
    """Impulse responses from every mouth to microphones of the array and to all headsets.

    Returns: (speakers, microphones, samples), float32, at 16 kHz: the array's first, then the
        headsets.

    Example
    -------
    >>> import pytest
    >>> _ = pytest.importorskip("pyroomacoustics")
    >>> responses(sample_room(np.random.default_rng(0), 2, (0.2, 0.2))).shape[:2]
    (2, 3)
    """
    acoustics = require("pyroomacoustics", *NEEDED_BY)
    # One thread: meetings are what runs side by side.
    acoustics.constants.set("num_threads", 1)
    absorption, order = acoustics.inverse_sabine(room.rt60, room.size)
    far = _image_method(acoustics, room, absorption, order, [room.array[i] for i in array_channels])
    near = _image_method(acoustics, room, absorption, min(order, _HEADSET_ORDER), room.headsets)
    length = max(len(response) for row in (*far, *near) for response in row)
    table = np.zeros((len(room.mouths), len(array_channels) + len(room.headsets), length))
    for speaker in range(len(room.mouths)):
        for microphone, response in enumerate([*far[speaker], *near[speaker]]):
            table[speaker, microphone, : len(response)] = response
    # What lies beyond the reverberation time is 60 dB down and costs as much as the rest.
    return table[:, :, : round(room.rt60 * SAMPLE_RATE)].astype(np.float32)


def convolve(signal: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """One signal through several impulse responses, by FFT.

    kernels: (microphones, taps), float32.

    Example
    -------
    >>> convolve(np.float32([1, 2]), np.float32([[0, 1], [2, 0]])).round(6).tolist()
    [[0.0, 1.0, 2.0], [2.0, 4.0, 0.0]]
    """
    length = len(signal) + kernels.shape[1] - 1
    size = next_fast_len(length, real=True)
    return irfft(rfft(signal, size) * rfft(kernels, size), size)[:, :length]


def noise(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Background noise of a room with ventilation: mostly low frequencies, power 1.

    Example
    -------
    >>> bool(abs(noise(np.random.default_rng(0), 16000).std() - 1) < 0.01)
    True
    """
    white = rng.standard_normal(samples, dtype=np.float32)
    coloured = lfilter(np.float32([1.0, 0.4]), np.float32([1.0, -0.85]), white)
    return (coloured / np.sqrt(np.mean(coloured**2))).astype(np.float32)


def _image_method(acoustics, room: Room, absorption: float, order: int, microphones) -> list[list]:
    """Impulse responses [speaker][microphone] without the delay of the interpolation filters."""
    box = acoustics.ShoeBox(
        room.size,
        fs=SAMPLE_RATE,
        materials=acoustics.Material(absorption),
        max_order=order,
        air_absorption=False,
    )
    for mouth in room.mouths:
        box.add_source(mouth)
    box.add_microphone_array(np.array(microphones).T)
    box.compute_rir()
    delay = acoustics.constants.get("frac_delay_length") // 2
    return [
        [box.rir[microphone][mouth][delay:] for microphone in range(len(microphones))]
        for mouth in range(len(room.mouths))
    ]


def _triple(position) -> tuple[float, float, float]:
    """Python numbers, rounded to a millimetre."""
    x, y, z = (round(float(value), 3) for value in position)
    return x, y, z
