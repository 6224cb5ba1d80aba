"""Synthetic voices: the packages are optional."""

from __future__ import annotations

import time

import numpy as np
import pytest

from gatedrnn.simulation.grammar import Token, tokenize
from gatedrnn.simulation.voices import (
    ACCENTS,
    SAMPLE_RATE,
    SPEECH_LEVEL,
    SPLITS,
    VARIANTS,
    Voice,
    pool,
    sample_voice,
    speak,
)

TEXT = "okay , um the T_V_ is of the company . mm-hmm , it's twelve fifty ."


@pytest.fixture(name="espeak")
def _espeak():
    return pytest.importorskip("espeakng_loader", reason="the extra demo is not installed")


@pytest.mark.parametrize("sex", ["M", "F"])
def test_splits_share_no_voice_and_use_all(sex):
    pools = [set(pool(split, sex)) for split in SPLITS]
    assert sum(map(len, pools)) == len(set.union(*pools)) == len(ACCENTS) * len(VARIANTS[sex])
    assert len(pools[0]) > 4 * len(pools[2]) > 0


def test_voices_are_drawn_by_seed():
    voices = [sample_voice(np.random.default_rng(seed), "eval", "M") for seed in (1, 1, 2)]
    assert voices[0] == voices[1] != voices[2]
    with pytest.raises(ValueError, match="no voices for split 'test'"):
        pool("test", "M")


@pytest.mark.parametrize("split", SPLITS)
def test_word_times_rise_and_lie_within(espeak, split):
    tokens = (*tokenize(TEXT), Token("", "laugh"))
    voice = sample_voice(np.random.default_rng(5), split, "F")
    speech = speak(voice, tokens)
    assert speech.samples.dtype == np.float32
    assert len(speech.times) == len(tokens)
    seconds = len(speech.samples) / SAMPLE_RATE
    last = 0.0
    for token, (start, end) in zip(tokens, speech.times, strict=True):
        assert last <= start <= end <= seconds + 1e-6, token
        assert (end > start) == (token.kind == "word"), token
        assert end - start < 1.5, token
        last = end
    words = [
        speech.samples[round(a * SAMPLE_RATE) : round(b * SAMPLE_RATE)] for a, b in speech.times
    ]
    rms = np.sqrt(np.mean(np.concatenate(words) ** 2))
    assert rms == pytest.approx(SPEECH_LEVEL * 10 ** (voice.level / 20), rel=1e-3)
    rest = np.abs(speech.samples).copy()
    for start, end in speech.times:
        rest[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] = 0
    assert rest.max() <= 0.05 * np.abs(speech.samples).max()


def test_speech_depends_on_its_arguments_alone(espeak):
    voice = Voice("F", "en-us", "f3", 50, 50, 170, 1.0, 0.0)  # a noisy one
    first = speak(voice, tokenize(TEXT)).samples
    speak(sample_voice(np.random.default_rng(7), "train", "F"), tokenize("yeah ."))
    time.sleep(1.1)  # espeak-ng seeds its noise from the clock's seconds
    again = speak(voice, tokenize(TEXT)).samples
    assert np.array_equal(first, again)


def test_pitch_rate_and_tract_change_the_voice(espeak):
    def duration(**changes: float) -> float:
        usual = {"pitch": 50, "pitch_range": 50, "rate": 170, "tract": 1.0, "level": 0.0}
        speech = speak(Voice("M", "en-us", "m3", **{**usual, **changes}), tokenize(TEXT))
        return len(speech.samples) / SAMPLE_RATE

    assert duration(rate=210) < 0.95 * duration() < duration(rate=150)
    assert duration(tract=1.1) == pytest.approx(duration() / 1.1, rel=0.02)


def test_bad_voices_and_texts_are_named(espeak):
    with pytest.raises(ValueError, match="no voice 'en-xx\\+m1'"):
        speak(Voice("M", "en-xx", "m1", 50, 50, 170, 1.0, 0.0), tokenize("yeah ."))
    with pytest.raises(ValueError, match="no word to say"):
        speak(Voice("M", "en-us", "m1", 50, 50, 170, 1.0, 0.0), (Token("", "laugh"),))


def test_every_voice_exists(espeak):
    for sex, variants in VARIANTS.items():
        for k, variant in enumerate(variants):
            voice = Voice(sex, ACCENTS[k % len(ACCENTS)], variant, 50, 50, 170, 1.0, 0.0)
            assert np.abs(speak(voice, tokenize("hmm .")).samples).max() > 0.05
    for accent in ACCENTS:
        speak(Voice("F", accent, "f1", 50, 50, 170, 1.0, 0.0), tokenize("yeah ."))


def test_unreadable_data_is_one_clear_error(espeak, monkeypatch, tmp_path):
    monkeypatch.setattr(espeak, "get_data_path", lambda: str(tmp_path))
    with pytest.raises(RuntimeError, match="did not start"):
        speak(Voice("F", "en-us", "f1", 50, 50, 170, 1.0, 0.0), tokenize("yeah ."))
