"""Dropout of whole units, and how many parameters a module has."""

from __future__ import annotations

import torch

from gatedrnn.modules.network_options import drop_units, parameters


def test_units_are_dropped_in_all_frames_of_a_sequence():
    dropped = drop_units(torch.ones(2, 5, 100), 0.5, training=True)
    assert torch.equal(dropped[:, 0], dropped[:, 4])
    assert not torch.equal(dropped[0], dropped[1])
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    by_frame = drop_units(torch.ones(2, 5, 100), 0.5, training=True, locked=False)
    assert not torch.equal(by_frame[:, 0], by_frame[:, 4])
    assert torch.equal(drop_units(torch.ones(2, 3), 0.5, training=False), torch.ones(2, 3))


def test_parameters_are_counted():
    assert parameters(torch.nn.Linear(3, 4)) == 16
