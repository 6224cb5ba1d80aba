"""espeak-ng in this process, through the shared library that espeakng-loader ships."""

from __future__ import annotations

import _ctypes
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from gatedrnn.simulation.extras import need

# AUDIO_OUTPUT_SYNCHRONOUS: samples go to the callback, from the calling thread, and no thread is
# started that would outlive the library.
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT: bad data is an error code, not the end of us
_UTF8, _PHONEMES = 0x1, 0x100  # of espeak_Synth: text encoding, mnemonics in [[...]]
_EVENT_END, _EVENT_WORD = 0, 1
_PARAMETERS = {"rate": 1, "pitch": 3, "pitch_range": 4}


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
    """What espeak-ng made of a text.

    Arguments
    ---------
    samples : np.ndarray
        Signal, (samples,), int16.
    rate : int
        Its sampling rate, in Hz.
    words : tuple of (int, int)
        For each word event the position of the word in the text, in characters from 0, and its
        first sample.
    """

    samples: np.ndarray
    rate: int
    words: tuple[tuple[int, int], ...]


def synthesize(text: str, voice: str, **parameters: int) -> Spoken:
    """Speaks a text. The result depends on nothing but the arguments.

    Arguments
    ---------
    text : str
        What to say; phoneme mnemonics in double brackets.
    voice : str
        A voice's name: an accent, and a variant after a plus sign.
    **parameters : int
        `rate` (words per minute), `pitch` and `pitch_range` (both 0-99).

    Returns
    -------
    Spoken

    Raises
    ------
    ImportError
        If espeakng-loader is not installed.
    ValueError
        If there is no such voice or parameter, or nothing was spoken.
    RuntimeError
        If espeak-ng does not start.

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
    call resets, so that only a new copy says the same thing twice (half a millisecond)."""
    loader = need("espeakng_loader")
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
