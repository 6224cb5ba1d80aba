"""Small simulated sets of digits and of music."""

from __future__ import annotations

import numpy as np

from gatedrnn.simulation.small_sets import digit, make_pieces


def test_digits_are_images_of_the_side():
    assert digit(8, 28, np.random.default_rng(1)).shape == (28, 28)


def test_pieces_of_three_sets():
    pieces = make_pieces()
    assert {split: len(each) for split, each in pieces.items()} == {
        "train": 12, "valid": 5, "test": 4,
    }  # fmt: skip
