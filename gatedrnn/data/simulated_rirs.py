"""Impulse responses made on the fly by pyroomacoustics, which is not required otherwise."""

from __future__ import annotations

import numpy as np
import torch

from gatedrnn.data.acoustics import ImpulseResponses
from gatedrnn.data.errors import MissingExtraError

#: Smallest and largest room, in metres.
_ROOM = ((3.5, 3.0, 2.4), (8.0, 6.0, 3.2))
#: Reverberation time, in seconds.
_RT60 = (0.2, 0.6)
#: From mouth to microphone, in metres.
_DISTANCE = (0.7, 3.0)
#: Distance from the walls, in metres.
_MARGIN = 0.4


def simulate_rooms(
    count: int, rate: int, seed: int = 1, per_room: int = 4, max_seconds: float = 0.8
) -> ImpulseResponses:
    """Makes impulse responses of box-shaped rooms by the image method.

    Arguments
    ---------
    count : int
        How many.
    rate : int
        Samples per second.
    seed : int
        Decides rooms and places.
    per_room : int
        Places of the speaker in each room.
    max_seconds : float
        Where responses are cut off.

    Returns
    -------
    ImpulseResponses

    Raises
    ------
    ImportError
        If pyroomacoustics is not installed.
    ValueError
        If ``count`` is not positive.
    """
    try:
        import pyroomacoustics
    except ImportError as error:
        raise MissingExtraError(
            "making impulse responses on the fly needs pyroomacoustics: pip install "
            "pyroomacoustics (or give a folder of impulse responses)"
        ) from error
    generator = np.random.default_rng(seed)
    responses: list[torch.Tensor] = []
    while len(responses) < count:
        size = generator.uniform(*_ROOM)
        microphone = generator.uniform(_MARGIN, size - _MARGIN)
        rt60 = generator.uniform(*_RT60)
        absorption, order = pyroomacoustics.inverse_sabine(rt60, size)
        room = pyroomacoustics.ShoeBox(
            size,
            fs=rate,
            materials=pyroomacoustics.Material(absorption),
            # The late reverberation is quiet: bounds the time that this takes.
            max_order=min(order, 30),
        )
        room.add_microphone(microphone)
        for _ in range(min(per_room, count - len(responses))):
            room.add_source(_speaker(size, microphone, generator))
        room.compute_rir()
        found = [torch.tensor(np.asarray(x), dtype=torch.float32) for x in room.rir[0]]
        responses += [x[: round(max_seconds * rate)] for x in found]
    return ImpulseResponses(responses, rate)


def _speaker(
    size: np.ndarray, microphone: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """A place in the room at a distance of the microphone."""
    while True:
        direction = generator.normal(size=3) * (1, 1, 0.2)
        distance = generator.uniform(*_DISTANCE)
        place = microphone + distance * direction / np.linalg.norm(direction)
        if (place > _MARGIN).all() and (place < size - _MARGIN).all():
            return place
