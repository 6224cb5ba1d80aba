"""Voices of simulated speakers, and speech with word times, by espeak-ng.

A voice is an accent and a variant of espeak-ng with a pitch, a pitch range, a rate and a
vocal-tract length of its own. Pairs of accent and variant belong to train, dev or eval: an
evaluation speaker never has a training speaker's voice.
"""

from __future__ import annotations

import _ctypes
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import gcd

import numpy as np
from scipy.signal import resample_poly

from gatedrnn.lazy import require
from gatedrnn.simulation.grammar import Token

SAMPLE_RATE = 16000
#: For :func:`~gatedrnn.lazy.require`.
NEEDED_BY = ("simulated meetings", "demo")
SPLITS = ("train", "dev", "eval")
ACCENTS = (
    "en-us",
    "en",
    "en-gb-scotland",
    "en-029",
    "en-gb-x-rp",
    "en-us-nyc",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
)
VARIANTS = {
    "M": (
        *("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"),
        *("Andy", "Gene", "Lee", "Michael", "Mike", "Denis", "Alex", "ed", "rob", "travis", "max"),
    ),
    "F": (
        *("f1", "f2", "f3", "f4", "f5"),
        *("Annie", "Alicia", "linda", "belinda", "aunty", "steph", "Andrea"),
    ),
}
#: Level of speech within words, in full scales, before rooms and microphones change it.
SPEECH_LEVEL = 0.05
#: A word lasts as long as the signal stays above this share of the utterance's peak.
_AUDIBLE = 0.02
_FRAME = 80  # samples: 5 ms
# AUDIO_OUTPUT_SYNCHRONOUS: samples go to the callback, from the calling thread, and no thread is
# started that would outlive the library.
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT: bad data is an error code, not the end of us
_UTF8, _PHONEMES = 0x1, 0x100  # of espeak_Synth: text encoding, mnemonics in [[...]]
_EVENT_END, _EVENT_WORD = 0, 1
_PARAMETERS = {"rate": 1, "pitch": 3, "pitch_range": 4}


@dataclass(frozen=True)
class Voice:
    """Voice of a speaker: `sex` (`M` or `F`), accent and variant of espeak-ng, pitch and its range
    (0 to 99, 50 is the variant's own), rate (words per minute), tract (scale of all frequencies:
    over 1 is a shorter vocal tract) and level (dB relative to the usual loudness)."""

    sex: str
    accent: str
    variant: str
    pitch: int
    pitch_range: int
    rate: int
    tract: float
    level: float

    @property
    def name(self) -> str:
        """What espeak-ng calls accent and variant."""
        return f"{self.accent}+{self.variant}"


@dataclass(frozen=True)
class Speech:
    """An utterance: samples (time,), float32, at 16 kHz, and start and end of every token, in
    seconds; a silent token starts and ends where the word before it ends."""

    samples: np.ndarray
    times: tuple[tuple[float, float], ...]


def pool(split: str, sex: str) -> tuple[tuple[str, str], ...]:
    """Pairs of accent and variant of a split: 70 % of them are for train, 15 % each for dev and
    eval.
    """
    if split not in SPLITS or sex not in VARIANTS:
        raise ValueError(f"no voices for split {split!r} and sex {sex!r}")
    pairs = [(accent, variant) for accent in ACCENTS for variant in VARIANTS[sex]]
    # Not the user's seed: two corpora of different seeds must not swap evaluation voices.
    order = np.random.default_rng(0).permutation(len(pairs))
    first, second = round(0.7 * len(pairs)), round(0.85 * len(pairs))
    part = {"train": order[:first], "dev": order[first:second], "eval": order[second:]}[split]
    return tuple(pairs[i] for i in part)


def sample_voice(rng: np.random.Generator, split: str, sex: str) -> Voice:
    """Samples a voice of a split."""
    pairs = pool(split, sex)
    accent, variant = pairs[int(rng.integers(len(pairs)))]
    return Voice(
        sex=sex,
        accent=accent,
        variant=variant,
        pitch=int(rng.integers(30, 66)),
        pitch_range=int(rng.integers(30, 71)),
        rate=int(rng.integers(150, 196)),
        tract=round(float(rng.uniform(0.93, 1.08)), 2),
        level=round(float(rng.uniform(-3, 3)), 1),
    )


def speak(voice: Voice, tokens: tuple[Token, ...]) -> Speech:
    """Synthesizes tokens; deterministic."""
    audible = [i for i, token in enumerate(tokens) if token.kind in ("word", "trunc")]
    if not audible:
        raise ValueError("there is no word to say")
    text = ""
    begins = {}  # where each token begins in the text
    for i, token in enumerate(tokens):
        if token.spoken:
            text += token.spoken if token.kind == "punc" or not text else " " + token.spoken
            begins[i] = len(text) - len(token.spoken)
    spoken = synthesize(
        text, voice.name, rate=voice.rate, pitch=voice.pitch, pitch_range=voice.pitch_range
    )
    # Played faster or slower, all frequencies are scaled as by a shorter or longer vocal tract.
    # Rounded, so that up- and downsampling factors stay small.
    played = 500 * round(spoken.rate * voice.tract / 500)
    divisor = gcd(SAMPLE_RATE, played)
    signal = resample_poly(
        spoken.samples.astype(np.float32) / 32768, SAMPLE_RATE // divisor, played // divisor
    ).astype(np.float32)
    starts = _starts(audible, begins, spoken.words, [len(tokens[i].spoken) for i in audible])
    spans = _audible(signal, [round(start * SAMPLE_RATE / played) for start in starts])
    inside = np.concatenate([signal[start:end] for start, end in spans])
    rms = float(np.sqrt(np.mean(inside**2)))
    signal *= np.float32(SPEECH_LEVEL * 10 ** (voice.level / 20) / max(rms, 1e-6))
    times, now, span = [], spans[0][0], dict(zip(audible, spans, strict=True))
    for i in range(len(tokens)):
        start, end = span.get(i, (now, now))
        times.append((start / SAMPLE_RATE, end / SAMPLE_RATE))
        now = end
    return Speech(signal, tuple(times))


def _starts(
    audible: list[int],
    begins: dict[int, int],
    events: tuple[tuple[int, int], ...],
    letters: list[int],
) -> list[float]:
    """First sample of every word. espeak-ng reports no event for the later words of a phrase that
    its dictionary holds as one: these share the phrase's span by their letters."""
    known: dict[int, float] = {}
    where = [begins[i] for i in audible]
    for position, sample in events:
        word = int(np.searchsorted(where, position, side="right")) - 1
        known.setdefault(max(word, 0), float(sample))
    known.setdefault(0, 0.0)
    ends = sorted(known)
    starts = [0.0] * len(audible)
    for first, after in zip(ends, [*ends[1:], None], strict=True):
        last = len(audible) if after is None else after
        begin = known[first]
        # At the end of the text there is no next event: 60 ms a letter.
        end = begin + 1323.0 * sum(letters[first:last]) if after is None else known[after]
        total = sum(letters[first:last])
        for word in range(first, last):
            starts[word] = begin + (end - begin) * sum(letters[first:word]) / total
    return starts


def _audible(signal: np.ndarray, starts: list[int]) -> list[tuple[int, int]]:
    """Spans of words, without the pauses that follow them: espeak-ng gives starts only."""
    frames = -(-len(signal) // _FRAME)
    padded = np.zeros(frames * _FRAME, np.float32)
    padded[: len(signal)] = np.abs(signal)
    loud = padded.reshape(frames, _FRAME).max(1)
    audible = loud > _AUDIBLE * loud.max()
    spans = []
    for start, limit in zip(starts, [*starts[1:], len(signal)], strict=True):
        start = min(start, len(signal) - _FRAME)
        limit = max(limit, start + _FRAME)
        first = start // _FRAME
        inside = np.flatnonzero(audible[first : -(-limit // _FRAME)])
        if len(inside):
            # Never before the event, nor past the next one.
            begin = max(start, (first + int(inside[0])) * _FRAME)
            end = min(limit, (first + int(inside[-1]) + 1) * _FRAME)
            spans.append((begin, max(end, begin + 1)))
        else:
            spans.append((start, limit))
    return spans


# ---- espeak-ng in this process, by the shared library of espeakng-loader --------------------


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True)
class Spoken:
    """Output of espeak-ng: samples (time,), int16, at `rate` Hz, and of each word event the
    position of the word in the text, in characters from 0, and its first sample."""

    samples: np.ndarray
    rate: int
    words: tuple[tuple[int, int], ...]


def synthesize(text: str, voice: str, **parameters: int) -> Spoken:
    """Synthesizes a text, with phoneme mnemonics in double brackets; deterministic. Parameters are
    `rate` (words per minute), `pitch` and `pitch_range` (both 0 to 99).

    Example
    -------
    >>> import pytest
    >>> _ = pytest.importorskip("espeakng_loader")
    >>> spoken = synthesize("good morning", "en-us+m1", rate=170)
    >>> spoken.rate, [position for position, _ in spoken.words]
    (22050, [0, 5])
    """
    with _library() as (library, rate):
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        for name, value in parameters.items():
            if name not in _PARAMETERS:
                raise ValueError(f"no parameter {name!r}; there are {', '.join(_PARAMETERS)}")
            library.espeak_SetParameter(_PARAMETERS[name], value, 0)
        pieces: list[np.ndarray] = []
        words: list[tuple[int, int]] = []

        @_Callback
        def collect(samples, count, events):
            if samples and count > 0:
                pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
            index = 0
            while events[index].type != _EVENT_END:
                if events[index].type == _EVENT_WORD:
                    words.append((events[index].text_position - 1, events[index].sample))
                index += 1
            return 0

        library.espeak_SetSynthCallback(collect)
        data = text.encode("utf-8")
        status = library.espeak_Synth(
            data, ctypes.c_size_t(len(data) + 1), 0, 1, 0, _UTF8 | _PHONEMES, None, None
        )
    if status != 0 or not pieces:
        raise ValueError(f"espeak-ng could not say {text!r} (status {status})")
    return Spoken(np.concatenate(pieces), rate, tuple(words))


@contextmanager
def _library() -> Iterator[tuple[ctypes.CDLL, int]]:
    """The library, freshly loaded: it keeps noise and flutter states from text to text, which no
    call resets, so that only a new copy gives the same output twice (half a millisecond)."""
    loader = require("espeakng_loader", *NEEDED_BY)
    library = ctypes.CDLL(loader.get_library_path())
    try:
        rate = library.espeak_Initialize(
            _SYNCHRONOUS, 0, loader.get_data_path().encode(), _DONT_EXIT
        )
        if rate <= 0:
            raise RuntimeError(f"espeak-ng did not start from {loader.get_data_path()}")
        # It seeds its noise from the clock.
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        yield library, rate
    finally:
        library.espeak_Terminate()
        # Windows has no dlclose.
        getattr(_ctypes, "dlclose", getattr(_ctypes, "FreeLibrary", None))(library._handle)
