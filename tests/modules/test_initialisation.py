"""Starting values by the equations' names."""

from __future__ import annotations

import pytest
import torch

from gatedrnn import nnet
from gatedrnn.modules.network_options import init_weights
from gatedrnn.tasks.asr.model import CTCModel


def test_model_starts_from_given_values():
    model = CTCModel(
        5, num_layers=3, hidden_size=8, proj_size=4, bidirectional=True,
        init={"b_f": 1.0, "W_h": "identity"},
    )  # fmt: skip
    for index in range(3):
        weights = model.encoder.layer(index, reverse=True).equation_weights()
        assert (weights["b_f"] == 1.0).all() and (weights["b_o"] == 0.0).all()
        below = torch.arange(float(weights["W_h"].shape[1]))
        if index:
            assert torch.equal(weights["W_h"] @ below, below[4:])
        else:
            assert (weights["W_h"] != 0).all()


def test_other_recurrences_pass_over_names_they_lack():
    stack = nnet.build("ran", input_size=3, hidden_size=4, num_layers=2)
    before = {n: p.clone() for n, p in stack.named_parameters()}
    init_weights(stack, {"b_o": 1.0, "W_h": "identity"})
    assert all(torch.equal(p, before[n]) for n, p in stack.named_parameters())


@pytest.mark.parametrize("values", [{"b_f": "identity"}, {"W_xi": "identity"}, {"b_f": "one"}])
def test_impossible_values_are_refused(values):
    stack = nnet.build("residual", input_size=3, hidden_size=4, num_layers=2, proj_size=2)
    with pytest.raises(ValueError, match="identity"):
        init_weights(stack, values)
