"""Where somebody speaks: Silero's detector of voice activity, fed block by block."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

import numpy as np
import torch

from gatedrnn.data.errors import MissingExtraError

#: Samples per second of what it listens to.
RATE = 16_000
#: Samples per probability, and those before that it also looks at.
FRAME, CONTEXT = 512, 64
_STATE = 128


class VoiceDetector:
    """Tells the probability of speech, 31 times a second.

    It runs Silero VAD's own network for sequences, which its package holds, many frames per call,
    and carries its state from block to block.

    Raises
    ------
    ImportError
        If the package is not installed; the message says what to install.

    Example
    -------
    >>> detector = VoiceDetector()
    >>> silence = torch.zeros(16_000)
    >>> probabilities = detector.probabilities(silence.split(5_000))
    >>> len(probabilities), bool((probabilities < 0.1).all())
    (32, True)
    """

    def __init__(self) -> None:
        # Silero's package sets the threads of the whole process to one.
        threads = torch.get_num_threads()
        try:
            self._silero = importlib.import_module("silero_vad")
            self._session = self._silero.load_silero_vad(sequence=True).session
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"voice activity detection, which parts long recordings, needs {error.name}: "
                'pip install "gatedrnn[vad]"'
            ) from error
        finally:
            torch.set_num_threads(threads)

    def probabilities(self, blocks: Iterable[torch.Tensor]) -> torch.Tensor:
        """Listens to a signal.

        Arguments
        ---------
        blocks : iterable of torch.Tensor
            The signal, each (samples,), at :data:`RATE`.

        Returns
        -------
        torch.Tensor
            The probability of speech in each frame of :data:`FRAME` samples, (frames,); the last
            frame is filled up with silence.
        """
        state = [np.zeros((1, 1, _STATE), np.float32)] * 2
        # The context of the first frame is silence.
        held = torch.zeros(CONTEXT)
        found = []
        for block in blocks:
            held = torch.cat([held, block])
            frames = (len(held) - CONTEXT) // FRAME
            if frames:
                values, *state = self._run(held, frames, state)
                found.append(values)
                held = held[frames * FRAME :]
        if len(held) > CONTEXT:
            missing = FRAME + CONTEXT - len(held)
            values, *_ = self._run(torch.nn.functional.pad(held, (0, missing)), 1, state)
            found.append(values)
        return torch.from_numpy(np.concatenate([np.zeros(0, np.float32), *found]))

    def speech(
        self,
        probabilities: torch.Tensor,
        threshold: float = 0.5,
        min_speech: float = 0.25,
        min_silence: float = 0.1,
        padding: float = 0.03,
    ) -> list[tuple[float, float]]:
        """Finds stretches of speech, by Silero's own rules.

        Arguments
        ---------
        probabilities : torch.Tensor
            The probability of speech in each frame, (frames,).
        threshold : float
            Speech begins where the probability is at least this; it ends where it is 0.15 less.
        min_speech : float
            Stretches that are not longer than so many seconds are left out.
        min_silence : float
            Pauses that are shorter than so many seconds do not end a stretch.
        padding : float
            Seconds put before and behind each stretch.

        Returns
        -------
        list of (float, float)
            Begin and end in seconds, in order; they do not overlap.
        """
        found = self._silero.get_speech_timestamps_from_probs(
            probabilities.tolist(),
            RATE,
            threshold=threshold,
            min_speech_duration_ms=1000 * min_speech,
            min_silence_duration_ms=1000 * min_silence,
            speech_pad_ms=1000 * padding,
        )
        return [(span["start"] / RATE, span["end"] / RATE) for span in found]

    def _run(
        self, samples: torch.Tensor, frames: int, state: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        windows = samples[: CONTEXT + frames * FRAME].unfold(0, CONTEXT + FRAME, FRAME)
        inputs = {"input": windows.contiguous().numpy(), "h": state[0], "c": state[1]}
        values, hidden, cell = self._session.run(["speech_probs", "hn", "cn"], inputs)
        return values.reshape(-1), hidden, cell
