"""What the equations imply: limits, equalities with torch's networks, and closed forms."""

from __future__ import annotations

import pytest
import torch

from gatedrnn import nnet
from gatedrnn.cells import functional
from tests import cases


def copy_weights(source: nnet.RecurrentStack, target: nnet.RecurrentStack) -> None:
    """Sets the target's weights from the source's where both have the name."""
    for layer in range(source.num_layers):
        given = source.layer(layer).equation_weights()
        own = target.layer(layer).equation_weights()
        for name in own.keys() & given.keys():
            own[name].copy_(given[name])


def to_torch_lstm(net: nnet.RecurrentStack) -> torch.nn.LSTM:
    """torch's LSTM with the weights of a base SLIM or peephole-free LSTMP stack."""
    proj = net.layer(0).cell.proj_size or 0
    lstm = torch.nn.LSTM(
        net.input_size, net.hidden_size, net.num_layers, batch_first=True,
        bidirectional=net.bidirectional, proj_size=proj,
    ).double()  # fmt: skip
    with torch.no_grad():
        for layer in range(net.num_layers):
            for d in range(net.num_directions):
                w = net.layer(layer, bool(d)).equation_weights()
                suffix = f"l{layer}" + ("_reverse" if d else "")
                # torch's gate order is i, f, g, o.
                getattr(lstm, f"weight_ih_{suffix}").copy_(
                    torch.cat([w[f"W_x{g}"] for g in "ifco"])
                )
                getattr(lstm, f"weight_hh_{suffix}").copy_(
                    torch.cat([w[f"W_h{g}"] for g in "ifco"])
                )
                getattr(lstm, f"bias_ih_{suffix}").copy_(torch.cat([w[f"b_{g}"] for g in "ifco"]))
                getattr(lstm, f"bias_hh_{suffix}").zero_()
                if proj:
                    getattr(lstm, f"weight_hr_{suffix}").copy_(w["W_p"])
    return lstm


@pytest.mark.parametrize("bidirectional", [False, True], ids=["uni", "bi"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SlimLSTM", {"variant": "base"}),
        ("LSTMP", {"peephole": False}),
        ("LSTMP", {"peephole": False, "proj_size": 3}),
        ("G2LSTM", {}),
    ],
)
def test_equals_torch_lstm(name, options, bidirectional):
    """Outputs, states and gradients; packed where sequences differ in length."""
    net = cases.build(name, options, layers=2, bidirectional=bidirectional)
    lstm = to_torch_lstm(net)
    x = torch.rand(3, 9, 4, dtype=torch.float64)
    frames = torch.tensor([9, 6, 2])
    hx = cases.random_state(net, 3)
    ours_x, theirs_x = x.clone().requires_grad_(), x.clone().requires_grad_()
    output, hidden = net(ours_x, hx, frames / 9)
    packed, expected_hidden = lstm(
        torch.nn.utils.rnn.pack_padded_sequence(theirs_x, frames, batch_first=True), hx
    )
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-12)
    for ours, theirs in zip(hidden, expected_hidden, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)

    weight = torch.rand_like(expected)
    ((output * weight).sum() + hidden[1].pow(2).sum()).backward()
    ((expected * weight).sum() + expected_hidden[1].pow(2).sum()).backward()
    torch.testing.assert_close(ours_x.grad, theirs_x.grad, rtol=0, atol=1e-11)
    # torch stacks gates as i, f, g, o; the packed parameters here stack i, f, c, o.
    torch.testing.assert_close(
        net.layer(1).weight_hh.grad, lstm.weight_hh_l1.grad, rtol=0, atol=1e-11
    )
    torch.testing.assert_close(
        net.layer(0).weight_ih.grad, lstm.weight_ih_l0.grad, rtol=0, atol=1e-11
    )
    torch.testing.assert_close(net.layer(0).bias.grad, lstm.bias_ih_l0.grad, rtol=0, atol=1e-11)


@pytest.mark.parametrize("proj", [None, 3])
def test_highway_with_closed_depth_gate_is_lstmp(proj):
    highway = cases.build("HighwayLSTM", {"proj_size": proj})
    plain = cases.build("LSTMP", {"proj_size": proj}, seed=1)
    copy_weights(highway, plain)
    x = torch.rand(2, 8, 4, dtype=torch.float64)
    assert not torch.allclose(highway(x)[0], plain(x)[0])
    for layer in (1, 2):
        highway.layer(layer).equation_weights()["b_d"].fill_(-800.0)
    torch.testing.assert_close(highway(x)[0], plain(x)[0], rtol=0, atol=1e-12)


def test_depth_gated_with_closed_depth_gate_is_an_lstm():
    gated = cases.build("DepthGatedLSTM", {})
    plain = cases.build("LSTMP", {}, seed=1)
    copy_weights(gated, plain)
    for layer in (1, 2):
        gated.layer(layer).equation_weights()["b_d"].fill_(-800.0)
    x = torch.rand(2, 8, 4, dtype=torch.float64)
    torch.testing.assert_close(gated(x)[0], plain(x)[0], rtol=0, atol=1e-12)


def test_highway_gate_reads_the_cell_below():
    """An open gate on a dead layer passes the cell below on, frame by frame."""
    net = cases.build("HighwayLSTM", {}, layers=2)
    w = net.layer(1).equation_weights()
    for weight in w.values():
        weight.zero_()
    w["b_d"].fill_(800.0)
    w["b_f"].fill_(-800.0)
    x = torch.rand(2, 8, 4, dtype=torch.float64)
    _, _, kept = net.run(x, keep=["c"])
    torch.testing.assert_close(kept[1][0]["c"], kept[0][0]["c"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("output", ["tanh", "identity"])
def test_ran_is_a_weighted_sum_of_its_inputs(output):
    """c_t = sum_j i_j * (prod_{k=j+1..t} f_k) * ctil_j."""
    net = cases.build("RAN", {"output": output}, layers=1)
    x = torch.rand(2, 8, 4, dtype=torch.float64) - 0.5
    _, _, kept = net.run(x, keep=["c", "i", "f"])
    c, i, f = (kept[0][0][n] for n in ("c", "i", "f"))
    content = x @ net.layer(0).equation_weights()["W_cx"].T
    for t in range(8):
        total = sum(i[:, j] * f[:, j + 1 : t + 1].prod(1) * content[:, j] for j in range(t + 1))
        torch.testing.assert_close(c[:, t], total, rtol=0, atol=1e-12)


@pytest.mark.parametrize("proj", [None, 4])
def test_residual_passes_its_input(proj):
    """W_p = 0 and an open output gate leave the shortcut alone."""
    net = nnet.ResidualLSTM(4, input_size=4, num_layers=3, proj_size=proj).double()
    for layer in range(3):
        w = net.layer(layer).equation_weights()
        for name in ("W_xo", "W_ho", "w_co"):
            w[name].zero_()
        w["b_o"].fill_(800.0)
        if proj:
            w["W_p"].zero_()
        else:  # without W_p the inner path is closed at the input gate
            w["b_i"].fill_(-800.0)
    x = torch.rand(2, 6, 4, dtype=torch.float64)
    torch.testing.assert_close(net(x)[0], x, rtol=0, atol=1e-12)


def test_hard_sigmoid_and_softplus():
    z = torch.tensor([-90.0, -2.5, -1.0, 0.0, 1.0, 2.5, 30.0], dtype=torch.float64)
    expected = torch.tensor([0.0, 0.0, 0.3, 0.5, 0.7, 1.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(functional.hard_sigmoid(z), expected, rtol=0, atol=1e-15)
    torch.testing.assert_close(
        functional.softplus(z), torch.logaddexp(z, torch.zeros_like(z)), rtol=1e-14, atol=0
    )
