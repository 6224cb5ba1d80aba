"""Plots of attention weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gatedrnn.tasks.captioning.corpora.items import read_image

pytest.importorskip("matplotlib", reason="plots need matplotlib")

from gatedrnn.tasks.captioning.apply import plot_image_attention, plot_sound_attention

PIXELS = np.full((40, 60, 3), 90, dtype=np.uint8)


def red(path):
    """Where a picture is red rather than grey, in parts of its height and width."""
    pixels = read_image(path).astype(int)
    rows, columns = np.nonzero(pixels[..., 0] - pixels[..., 2] > 60)
    return rows.mean() / pixels.shape[0], columns.mean() / pixels.shape[1]


@pytest.mark.parametrize("place", [0, 2, 3, 5])
def test_the_image_is_lit_where_the_weight_is(tmp_path, place):
    weights = torch.full((1, 6), 0.02)
    weights[0, place] = 0.9
    plot_image_attention(tmp_path / "a.png", PIXELS, ["dog"], weights, (2, 3))
    row, column = red(tmp_path / "a.png")
    # The word's panel is the right half; above it stands the word.
    low, high = ((0.1, 0.6), (0.5, 1.0))[place // 3]
    assert low < row < high
    left = 0.5 + 0.5 * (place % 3) / 3
    assert left - 0.04 < column < left + 0.5 / 3 + 0.04


def test_the_recording_is_lit_when_the_weight_is_large(tmp_path):
    weights = np.full((2, 10), 0.01)
    weights[:, 8] = 0.91
    noise = 0.1 * np.random.default_rng(0).normal(size=16000)
    plot_sound_attention(tmp_path / "a.png", noise, 16000, ["a", "dog"], weights, 0.1, "a dog")
    pixels = read_image(tmp_path / "a.png").astype(int)
    lower = pixels[int(0.83 * len(pixels)) : int(0.88 * len(pixels))]
    bright = np.nonzero((lower[..., 0] > 240) & (lower[..., 2] < 220))[1] / pixels.shape[1]
    assert 0.78 < bright.mean() < 0.92


def test_captions_without_words_and_with_many(tmp_path):
    plot_image_attention(tmp_path / "a.png", PIXELS, [], np.zeros((0, 6)), (2, 3), "nothing")
    plot_sound_attention(tmp_path / "b.png", np.zeros(8000), 16000, [], np.zeros((0, 5)), 0.1)
    words = [f"word{i}" for i in range(17)]
    plot_image_attention(tmp_path / "c.png", PIXELS, words, np.full((17, 6), 1 / 6), (2, 3))
    few, many = read_image(tmp_path / "a.png"), read_image(tmp_path / "c.png")
    assert many.shape[0] > 2 * few.shape[0]
    assert not list(tmp_path.glob(".*"))


def test_attention_must_fit(tmp_path):
    with pytest.raises(ValueError, match=r"attention must be \(2, 6\)"):
        plot_image_attention(tmp_path / "a.png", PIXELS, ["a", "dog"], np.zeros((3, 6)), (2, 3))
    with pytest.raises(ValueError, match=r"attention must be \(2, 6\)"):
        plot_image_attention(tmp_path / "a.png", PIXELS, ["a", "dog"], np.zeros((2, 5)), (2, 3))
    with pytest.raises(ValueError, match=r"attention must be \(1, 5\)"):
        plot_sound_attention(tmp_path / "a.png", np.zeros(99), 8000, ["a"], np.zeros((2, 5)), 0.1)
