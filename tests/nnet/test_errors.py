"""Bad input gets one clear error that says what was wrong and what would be right."""

from __future__ import annotations

import pytest
import torch

from gatedrnn import nnet
from tests import cases


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([1.0, 0.0], r"above 0 and at most 1; lengths\[1\] is 0.0"),
        ([1.0, -0.5], r"lengths\[1\] is -0.5"),
        ([float("nan"), 1.0], r"lengths\[0\] is nan"),
        ([7.0, 3.0], r"lengths\[0\] is 7.0 \(divide frame counts"),
        ([1.0], r"one relative length per sequence, shape \(2,\), not \(1,\)"),
        ([[1.0, 1.0]], r"shape \(2,\), not \(1, 2\)"),
    ],
)
def test_lengths(lengths, message):
    net = cases.build("RAN", {}, layers=1)
    with pytest.raises(ValueError, match=message):
        net(torch.rand(2, 7, 4, dtype=torch.float64), lengths=torch.tensor(lengths))


def test_lengths_an_ulp_above_one_are_whole():
    net = cases.build("RAN", {}, layers=1)
    x = torch.rand(2, 7, 4, dtype=torch.float64)
    output, _ = net(x, lengths=torch.tensor([1.0000001, 1.0]))
    torch.testing.assert_close(output, net(x)[0])


@pytest.mark.parametrize("shape", [(7, 4), (2, 7, 5), (2, 7, 3, 2), (2, 0, 4), (0, 7, 4)])
def test_input_shapes(shape):
    net = cases.build("RAN", {}, layers=1)
    with pytest.raises(ValueError, match=r"must be \(batch, time, 4\)|has no frames"):
        net(torch.rand(*shape, dtype=torch.float64))


@pytest.mark.parametrize(
    ("hx", "message"),
    [
        (torch.rand(2, 2, 5), r"hx must be 2 tensor\(s\) \(h, c\), not 1"),
        ((torch.rand(2, 2, 5),) * 3, "not 3"),
        ((torch.rand(2, 2, 5), torch.rand(2, 2, 4)), r"hx's c must be \(2, 2, 5\)"),
        ((torch.rand(1, 2, 5), torch.rand(1, 2, 5)), r"hx's h must be \(2, 2, 5\)"),
    ],
)
def test_initial_states(hx, message):
    net = nnet.RAN(5, input_size=4, num_layers=2)
    with pytest.raises(ValueError, match=message):
        net(torch.rand(2, 7, 4), hx)


@pytest.mark.parametrize(
    ("name", "arguments", "error", "message"),
    [
        ("RAN", {"outptu": "tanh"}, TypeError, "no option outptu; its options are: proj_size, "),
        ("RAN", {"output": "relu"}, ValueError, "output must be one of 'tanh', 'identity', not"),
        ("RAN", {"num_layers": 0}, ValueError, "num_layers must be at least 1, not 0"),
        ("RAN", {"dropout": 1.5}, ValueError, r"dropout must be in \[0, 1\], not 1.5"),
        ("RAN", {"input_size": None}, ValueError, "give input_shape or input_size"),
        ("RAN", {"input_size": None, "input_shape": (3, 4)}, ValueError, "not \\(3, 4\\)"),
        ("RAN", {"input_size": 0}, ValueError, "input_size must be a positive integer, not 0"),
        ("SlimLSTM", {"variant": "7"}, ValueError, "variant must be one of 'base', '1', '2'"),
        ("SlimLSTM", {"variant": "6", "forget_const": 1.0}, ValueError, "below 1 in absolute"),
        ("SlimLSTM", {"variant": "1", "forget_const": 0.5}, ValueError, "applies to variants 4a"),
        ("SlimLSTM", {"gate_activation": "tanh"}, ValueError, "one of 'sigmoid', 'hard_sigmoid'"),
        ("SlimLSTM", {"activation": "gelu"}, ValueError, "one of 'tanh', 'sigmoid', 'relu'"),
        ("SlimLSTM", {"variant": "3", "bias": False}, ValueError, "nothing but their biases"),
        ("SlimLSTM", {"proj_size": 3}, ValueError, "has no output projection"),
        ("DepthGatedLSTM", {"proj_size": 3}, ValueError, "has no output projection"),
        ("DepthGatedLSTM", {"peephole": "half"}, ValueError, "one of 'none', 'diag', 'full'"),
        ("DepthGatedLSTM", {"first_layer": "x"}, ValueError, "one of 'plain', 'input'"),
        ("DepthGatedLSTM", {"preset": "rnn"}, ValueError, "preset must be one of None, 'cnn'"),
        ("DepthGatedLSTM", {"preset": "cnn", "peephole": "none"}, ValueError, "means peephole="),
        ("ResidualLSTM", {"output_peephole": "x"}, ValueError, "one of None, 'full', 'diag'"),
        (
            "ResidualLSTM",
            {"output_peephole": "diag", "proj_size": 3},
            ValueError,
            "output has 3 units and the cell 5; use 'full'",
        ),
        ("ResidualLSTM", {"first_layer_shortcut": "x"}, ValueError, "one of 'project', 'none'"),
        ("HighwayLSTM", {"drop": 1.0}, ValueError, r"drop must be in \[0, 1\), not 1.0"),
        ("BetaLSTM", {"variant": "4g"}, ValueError, "one of 'beta', '3g', '5g'"),
        ("BetaLSTM", {"prior_weight": -1.0}, ValueError, "prior_weight must be a number"),
        ("BetaLSTM", {"prior_shape": (0.5, 0.5)}, ValueError, "one for each of the 5"),
        ("BetaLSTM", {"prior_shape": 0.0}, ValueError, "prior_shape must be one positive"),
        ("G2LSTM", {"p": 2.0}, ValueError, "p must be a probability, not 2.0"),
        ("G2LSTM", {"tau": 0.0}, ValueError, "tau must be above 0, not 0.0"),
    ],
)
def test_constructors(name, arguments, error, message):
    with pytest.raises(error, match=message):
        nnet.CLASSES[name](5, **({"input_size": 4} | arguments))


def test_cells_of_adjacent_layers_must_be_as_many():
    """A highway layer over a layer with another number of cells."""
    layer = cases.build("HighwayLSTM", {}, layers=2).layer(1)
    x = torch.rand(7, 2, 5, dtype=torch.float64)
    with pytest.raises(ValueError, match="the layer below must have as many cells"):
        layer(x, below={"c_below": torch.rand(7, 2, 6)})
    with pytest.raises(
        ValueError, match=r"reads \['c_below'\] from the layer below, but was given"
    ):
        layer(x)


def test_layers_that_do_not_exist():
    net = nnet.RAN(5, input_size=4, num_layers=2)
    with pytest.raises(IndexError, match="has 2 layers, no layer 2"):
        net.layer(2)
    with pytest.raises(IndexError, match="not bidirectional"):
        net.layer(0, reverse=True)


def test_cell_twin_wants_single_frames():
    with pytest.raises(ValueError, match=r"must be \(batch, 4\), not \(2, 7, 4\)"):
        nnet.RANCell(5, input_size=4)(torch.rand(2, 7, 4))
