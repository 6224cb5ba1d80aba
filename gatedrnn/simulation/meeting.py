"""One simulated meeting: turns placed in time, spoken, and recorded by every microphone."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gatedrnn.simulation.grammar import Token, Turn, closing, dialogue
from gatedrnn.simulation.room import ARRAY_SIZE, convolve, noise, responses, sample_room
from gatedrnn.simulation.voices import SAMPLE_RATE, Voice, speak

#: Levels of speech in the recordings, in full scales.
_ARRAY_LEVEL, _HEADSET_LEVEL = 0.04, 0.06
#: A headset hears the room's noise this much below its wearer, in dB.
_HEADSET_SNR = 45.0
_PEAK = 0.95


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

    Raises
    ------
    ValueError
        If a value is impossible.

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
