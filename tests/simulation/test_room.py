"""Rooms: direct paths, reverberation, convolution."""

from __future__ import annotations

import numpy as np
import pytest

from gatedrnn.simulation.meeting import ARRAY_RADIUS, convolve, noise, responses, sample_room
from gatedrnn.simulation.voices import SAMPLE_RATE

SPEED_OF_SOUND = 343.0


@pytest.fixture(name="acoustics")
def _acoustics():
    return pytest.importorskip("pyroomacoustics", reason="the extra demo is not installed")


def decay(response: np.ndarray) -> float:
    """Reverberation time from the decay between -5 and -25 dB."""
    energy = np.cumsum(response[::-1].astype(np.float64) ** 2)[::-1]
    level = 10 * np.log10(energy / energy[0])
    return 3 * (np.argmax(level < -25) - np.argmax(level < -5)) / SAMPLE_RATE


@pytest.mark.parametrize("seed", range(5))
def test_everybody_sits_in_the_room_at_a_distance(seed):
    room = sample_room(np.random.default_rng(seed))
    for position in (*room.mouths, *room.array, *room.headsets):
        assert all(0.2 < x < size - 0.2 for x, size in zip(position, room.size, strict=True))
    mouths, array = np.array(room.mouths), np.array(room.array)
    centre = array.mean(0)
    assert np.linalg.norm(array - centre, axis=1) == pytest.approx(ARRAY_RADIUS, abs=0.002)
    assert np.all(np.linalg.norm(mouths - centre, axis=1) > 0.8)
    apart = np.linalg.norm(mouths[:, None] - mouths[None], axis=-1) + 9 * np.eye(4)
    assert apart.min() > 0.5
    assert np.linalg.norm(mouths - room.headsets, axis=1) == pytest.approx(0.04, abs=0.002)


def test_direct_paths_arrive_when_they_should(acoustics):
    room = sample_room(np.random.default_rng(1), rt60=(0.2, 0.2))
    table = responses(room, (0, 4))
    microphones = [room.array[0], room.array[4], *room.headsets]
    for speaker, mouth in enumerate(room.mouths):
        for k, microphone in enumerate(microphones):
            distance = np.linalg.norm(np.subtract(mouth, microphone))
            begin = int(
                np.argmax(np.abs(table[speaker, k]) > 0.3 * np.abs(table[speaker, k]).max())
            )
            assert abs(begin - distance / SPEED_OF_SOUND * SAMPLE_RATE) < 2.5, (speaker, k)
        own = np.abs(table[speaker, 2 + speaker]).max()
        others = [np.abs(table[speaker, 2 + k]).max() for k in range(4) if k != speaker]
        assert own > 10 * max(others), "the headset hears its wearer best"


@pytest.mark.parametrize("rt60", [0.2, 0.45])
def test_rooms_reverberate_as_long_as_asked(acoustics, rt60):
    room = sample_room(np.random.default_rng(2), rt60=(rt60, rt60))
    assert decay(responses(room)[0, 0]) == pytest.approx(rt60, rel=0.25)


def test_responses_are_the_same_every_time(acoustics):
    room = sample_room(np.random.default_rng(3), rt60=(0.2, 0.2))
    assert np.array_equal(responses(room), responses(room))


def test_convolution_is_numpys():
    rng = np.random.default_rng(0)
    signal, kernels = rng.standard_normal(301), rng.standard_normal((3, 77))
    expected = np.stack([np.convolve(signal, kernel) for kernel in kernels])
    assert convolve(signal, kernels) == pytest.approx(expected)
    assert convolve(np.float32(signal), np.float32(kernels)).dtype == np.float32


def test_noise_is_mostly_low_and_seeded():
    one, two = (noise(np.random.default_rng(seed), 16000) for seed in (0, 0))
    assert np.array_equal(one, two)
    spectrum = np.abs(np.fft.rfft(one)) ** 2
    assert spectrum[:2000].sum() > 10 * spectrum[-2000:].sum()


def test_impossible_rooms_are_refused():
    with pytest.raises(ValueError, match="reverberation times"):
        sample_room(np.random.default_rng(0), rt60=(0.5, 0.2))
