"""One simulated meeting: turns placed in time, spoken, and recorded in a room by microphones."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import lfilter

from gatedrnn.lazy import require
from gatedrnn.simulation.grammar import Token, Turn, closing, dialogue
from gatedrnn.simulation.voices import NEEDED_BY, SAMPLE_RATE, Voice, speak

ARRAY_SIZE = 8
ARRAY_RADIUS = 0.1  # metres
_HEADSET_DISTANCE = 0.04  # metres from the mouth
#: Reflections beyond these add nothing audible to a microphone 4 cm from the mouth.
_HEADSET_ORDER = 6
#: Levels of speech in the recordings, in full scales.
_ARRAY_LEVEL, _HEADSET_LEVEL = 0.04, 0.06
#: A headset hears the room's noise this much below its wearer, in dB.
_HEADSET_SNR = 45.0
_PEAK = 0.95


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
    """Samples a room and seats, with a reverberation time in the range ``rt60``, in seconds."""
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
    """
    length = len(signal) + kernels.shape[1] - 1
    size = next_fast_len(length, real=True)
    return irfft(rfft(signal, size) * rfft(kernels, size), size)[:, :length]


def noise(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Background noise of a room with ventilation: mostly low frequencies, power 1."""
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


@dataclass(frozen=True)
class Acoustics:
    """Acoustics of meetings.

    Arguments
    ---------
    microphones : tuple of str
        Channels to write: `Array1-01` to `Array1-08`, `Headset` (one each), `Mix-Headset`.
    rt60 : (float, float)
        Shortest and longest reverberation time, in seconds; every meeting has its own.
    snr : (float, float)
        Lowest and highest signal-to-noise ratio at the array, in dB; every meeting has its own.
    overlap : float
        Chance that a turn begins before the one before it has ended, and that a backchannel is
        spoken over the turn it answers.

    Example
    -------
    >>> Acoustics(microphones=("Array1-01", "Array1-05")).array_channels
    (0, 4)
    """

    microphones: tuple[str, ...] = ("Array1-01", "Headset", "Mix-Headset")
    rt60: tuple[float, float] = (0.2, 0.5)
    snr: tuple[float, float] = (15.0, 30.0)
    overlap: float = 0.1

    def __post_init__(self):
        array = tuple(f"Array1-{number:02d}" for number in range(1, ARRAY_SIZE + 1))
        known = (*array, "Headset", "Mix-Headset")
        unknown = [name for name in self.microphones if name not in known]
        if unknown or not self.microphones:
            raise ValueError(f"microphones are {', '.join(known)}, not {', '.join(unknown) or '-'}")
        if len(set(self.microphones)) < len(self.microphones):
            raise ValueError(f"a microphone is named twice: {', '.join(self.microphones)}")
        if not 0.15 <= self.rt60[0] <= self.rt60[1] <= 1.0:
            raise ValueError(f"rt60 must rise within 0.15 to 1.0 seconds, not {self.rt60}")
        if not self.snr[0] <= self.snr[1]:
            raise ValueError(f"snr must not fall: {self.snr}")
        if not 0.0 <= self.overlap <= 1.0:
            raise ValueError(f"overlap is a chance, between 0 and 1, not {self.overlap}")

    @property
    def array_channels(self) -> tuple[int, ...]:
        """Microphones of the array to write, counted from 0."""
        names = sorted(name for name in self.microphones if name.startswith("Array1-"))
        return tuple(int(name[-2:]) - 1 for name in names)


@dataclass(frozen=True)
class Participant:
    """A participant: global name such as `MEE001`, role (`PM`, `ID`, `UI`, `ME`: project manager,
    industrial designer, user interface, marketing) and voice."""

    name: str
    role: str
    voice: Voice


@dataclass(frozen=True)
class TimedTurn:
    """A turn with times, in seconds of the meeting: of every token, and of its segment, which
    starts a little before the first word. Speaker 0 is agent A."""

    speaker: int
    tokens: tuple[Token, ...]
    times: tuple[tuple[float, float], ...]
    start: float
    end: float


@dataclass(frozen=True)
class MeetingPlan:
    """All that determines a meeting: official name such as `ES2002a`, split, approximate length,
    seed of the corpus, participants and acoustics."""

    name: str
    split: str
    seconds: float
    seed: int
    participants: tuple[Participant, ...]
    acoustics: Acoustics

    def generator(self, purpose: str) -> np.random.Generator:
        """Random numbers of this meeting for one purpose, independent of all others."""
        return np.random.default_rng([self.seed, zlib.crc32(f"{self.name} {purpose}".encode())])


@dataclass(frozen=True)
class Meeting:
    """A simulated meeting: its utterances in order of time, and the signal (samples,), float32, of
    every channel: `Array1-01`, `Headset-0`, `Mix-Headset`."""

    plan: MeetingPlan
    utterances: tuple[TimedTurn, ...]
    channels: dict[str, np.ndarray]


def simulate_meeting(plan: MeetingPlan) -> Meeting:
    """Simulates a meeting; deterministic."""
    acoustics, speakers = plan.acoustics, len(plan.participants)
    rng = plan.generator("room")
    room = sample_room(rng, speakers, acoustics.rt60)
    snr = rng.uniform(*acoustics.snr)
    # Mix-Headset is made of headsets, and the noise is set by the first microphone of the array.
    array = acoustics.array_channels
    kernels = responses(room, array)
    utterances, signals = _hold(plan)
    samples = round((max(utterance.end for utterance in utterances) + 0.5) * SAMPLE_RATE)
    recorded = np.zeros((kernels.shape[1], samples), np.float32)
    for utterance, (begin, signal) in zip(utterances, signals, strict=True):
        wet = convolve(signal, kernels[utterance.speaker])[:, : samples - begin]
        recorded[:, begin : begin + wet.shape[1]] += wet
    talking = _talking(utterances, samples)
    rng = plan.generator("noise")
    far, near = recorded[: len(array)], recorded[len(array) :]
    if len(far):
        far *= _ARRAY_LEVEL / _rms(far[0][talking.any(0)])
        for channel in far:
            channel += np.float32(_ARRAY_LEVEL * 10 ** (-snr / 20)) * noise(rng, samples)
        far *= min(1.0, _PEAK / float(np.abs(far).max()))
    # All headsets have one gain: who speaks louder is louder in them.
    level = np.sqrt(np.mean([np.mean(near[k][talking[k]] ** 2) for k in _who(talking)]))
    near *= np.float32(_HEADSET_LEVEL / level)
    for channel in near:
        channel += np.float32(_HEADSET_LEVEL * 10 ** (-_HEADSET_SNR / 20)) * noise(rng, samples)
    near *= min(1.0, _PEAK / float(np.abs(near).max()))
    channels = {f"Array1-{number + 1:02d}": far[i] for i, number in enumerate(array)}
    if "Headset" in acoustics.microphones:
        channels |= {f"Headset-{k}": near[k] for k in range(speakers)}
    if "Mix-Headset" in acoustics.microphones:
        mix = near.sum(0)
        channels["Mix-Headset"] = mix * np.float32(min(1.0, _PEAK / np.abs(mix).max()))
    return Meeting(plan, tuple(utterances), channels)


def _hold(plan: MeetingPlan) -> tuple[list[TimedTurn], list[tuple[int, np.ndarray]]]:
    """Utterances, and for each its first sample and its signal."""
    text, timing = plan.generator("text"), plan.generator("timing")
    speakers = len(plan.participants)
    placed: list[tuple[TimedTurn, tuple[int, np.ndarray]]] = []
    free = [0.0] * speakers  # until when everybody is busy with their own words
    now, floor = 0.5, (0.0, 0.0)
    turns = dialogue(text, speakers)
    chair = None
    while chair is None or now < plan.seconds - 3.0:
        turn = next(turns)
        chair = turn.speaker if chair is None else chair
        start, over = _start(turn, now, floor, free, timing, plan.acoustics.overlap)
        entry = _place(plan, turn, start, free[turn.speaker])
        end = entry[0].end
        free[turn.speaker] = end
        placed.append(entry)
        if not over:
            floor = (start, end)
        now = max(now, end)
    placed.append(_place(plan, closing(text, chair), max(now + 0.3, free[chair]), free[chair]))
    placed.sort(key=lambda entry: entry[0].start)
    return [entry[0] for entry in placed], [entry[1] for entry in placed]


def _start(
    turn: Turn,
    now: float,
    floor: tuple[float, float],
    free: Sequence[float],
    rng: np.random.Generator,
    overlap: float,
) -> tuple[float, bool]:
    """When a turn starts, and whether it is a backchannel over another."""
    pause, early, inside, chance = (
        *(0.15 + rng.exponential(0.3), rng.uniform(0.1, 0.5)),
        *(rng.uniform(0.3, 0.9), rng.random()),
    )
    overlaps = chance < overlap and floor[1] > 0
    if overlaps and turn.backchannel:
        start = floor[0] + inside * (floor[1] - floor[0])
    else:
        start = now - early if overlaps else now + pause
    return max(start, free[turn.speaker] + 0.1), overlaps and turn.backchannel


def _place(
    plan: MeetingPlan, turn: Turn, start: float, free: float
) -> tuple[TimedTurn, tuple[int, np.ndarray]]:
    """A turn spoken at a time, with its first sample and its signal."""
    speech = speak(plan.participants[turn.speaker].voice, turn.tokens)
    begin = round(start * SAMPLE_RATE)
    times = tuple((begin / SAMPLE_RATE + a, begin / SAMPLE_RATE + b) for a, b in speech.times)
    first, last = times[0][0], times[-1][1]
    utterance = TimedTurn(turn.speaker, turn.tokens, times, max(first - 0.1, free), last + 0.1)
    return utterance, (begin, speech.samples)


def _talking(utterances: Sequence[TimedTurn], samples: int) -> np.ndarray:
    """(speakers, samples): who speaks when."""
    talking = np.zeros((1 + max(u.speaker for u in utterances), samples), bool)
    for utterance in utterances:
        for start, end in utterance.times:
            talking[utterance.speaker, round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] = True
    return talking


def _who(talking: np.ndarray) -> np.ndarray:
    """Speakers with at least one word."""
    return np.flatnonzero(talking.any(1))


def _rms(signal: np.ndarray) -> np.float32:
    """Root mean square."""
    return np.float32(np.sqrt(np.mean(signal**2)))
