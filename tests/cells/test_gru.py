"""The gated recurrent unit: torch's own, the paper's form, and what all stacks can do.

Its stacks have no cell beside the output, so that their state is one tensor; the tests of the
others take two.
"""

from __future__ import annotations

import pytest
import torch

from gatedrnn import nnet
from gatedrnn.cells import ChoGRU
from gatedrnn.engine import select
from gatedrnn.engine.cpu import build
from gatedrnn.nnet import StreamingStack
from tests import cases

EXACT = {"rtol": 0, "atol": 1e-12}
RESETS = ("after", "before")


def make(reset="after", **options):
    return cases.build("ChoGRU", {"reset": reset}, layers=2, **options)


def state(net, batch):
    rows = net.num_layers * net.num_directions
    return torch.rand(rows, batch, 5, dtype=torch.float64) - 0.5


def to_torch(net: nnet.RecurrentStack) -> torch.nn.GRU:
    gru = torch.nn.GRU(
        4, 5, net.num_layers, batch_first=True, bidirectional=net.bidirectional
    ).double()
    with torch.no_grad():
        for layer in range(net.num_layers):
            for d in range(net.num_directions):
                w = net.layer(layer, bool(d)).equation_weights()
                suffix = f"l{layer}" + ("_reverse" if d else "")
                for name, part in (("weight_ih", "W_x"), ("weight_hh", "W_h"), ("bias_ih", "b_")):
                    value = torch.cat([w[f"{part}{g}"] for g in "rzn"])
                    getattr(gru, f"{name}_{suffix}").copy_(value)
                recurrent = torch.cat([torch.zeros(10, dtype=torch.float64), w["b_hn"]])
                getattr(gru, f"bias_hh_{suffix}").copy_(recurrent)
    return gru


@pytest.mark.parametrize("runner", ["reference", "cpu"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["uni", "bi"])
def test_equals_torch_gru(bidirectional, runner, monkeypatch):
    """Outputs, states and gradients, of sequences that differ in length."""
    if runner == "cpu" and build.obstacle() is not None:
        pytest.skip(f"nothing can be compiled here: {build.obstacle()}")
    monkeypatch.setenv(select.VARIABLE, runner)
    net = make(bidirectional=bidirectional)
    gru = to_torch(net)
    x = torch.rand(3, 9, 4, dtype=torch.float64)
    frames = torch.tensor([9, 6, 2])
    hx = state(net, 3)
    ours_x, theirs_x = x.clone().requires_grad_(), x.clone().requires_grad_()
    output, hidden = net(ours_x, hx, frames / 9)
    packed, expected_hidden = gru(
        torch.nn.utils.rnn.pack_padded_sequence(theirs_x, frames, batch_first=True), hx
    )
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
    torch.testing.assert_close(output, expected, **EXACT)
    torch.testing.assert_close(hidden, expected_hidden, **EXACT)

    weight = torch.rand_like(expected)
    ((output * weight).sum() + hidden.pow(2).sum()).backward()
    ((expected * weight).sum() + expected_hidden.pow(2).sum()).backward()
    torch.testing.assert_close(ours_x.grad, theirs_x.grad, rtol=0, atol=1e-11)
    for layer in range(2):
        own = net.layer(layer)
        for mine, theirs in ((own.weight_hh, "weight_hh"), (own.weight_ih, "weight_ih")):
            theirs = getattr(gru, f"{theirs}_l{layer}").grad
            torch.testing.assert_close(mine.grad, theirs, rtol=0, atol=1e-11)


@pytest.mark.parametrize("reset", RESETS)
def test_equals_the_equations(reset):
    net = make(reset)
    x, h = torch.rand(7, 4, dtype=torch.float64), state(net, 1)
    expected = []
    below = x
    for layer in range(2):
        w = net.layer(layer).equation_weights()
        last, outputs = h[layer, 0], []
        for frame in below:
            r = torch.sigmoid(w["W_xr"] @ frame + w["W_hr"] @ last + w["b_r"])
            z = torch.sigmoid(w["W_xz"] @ frame + w["W_hz"] @ last + w["b_z"])
            if reset == "after":
                back = r * (w["W_hn"] @ last + w["b_hn"])
            else:
                back = w["W_hn"] @ (r * last)
            last = (1 - z) * torch.tanh(w["W_xn"] @ frame + back + w["b_n"]) + z * last
            outputs.append(last)
        below = torch.stack(outputs)
        expected.append(last)
    output, hidden = net(x.unsqueeze(0), h)
    torch.testing.assert_close(output[0], below, **EXACT)
    torch.testing.assert_close(hidden[:, 0], torch.stack(expected), **EXACT)


@pytest.mark.parametrize("reset", RESETS)
def test_state_can_be_carried_and_frames_taken_one_by_one(reset):
    net = make(reset)
    twin = nnet.ChoGRUCell(5, input_size=4, num_layers=2, reset=reset).double().eval()
    twin.load_state_dict(net.state_dict())
    x = torch.rand(2, 6, 4, dtype=torch.float64)
    whole, final = net(x)
    first, between = net(x[:, :4])
    second, after = net(x[:, 4:], between)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, **EXACT)
    torch.testing.assert_close(after, final, **EXACT)
    hidden, outputs = None, []
    for t in range(6):
        output, hidden = twin(x[:, t], hidden)
        outputs.append(output)
    torch.testing.assert_close(torch.stack(outputs, 1), whole, **EXACT)
    torch.testing.assert_close(hidden, final, **EXACT)


@pytest.mark.skipif(build.obstacle() is not None, reason="no C++ compiler")
def test_a_compiled_stream_gives_what_the_stack_gives():
    net = make()
    stream = StreamingStack(net, batch_size=2)
    x = torch.rand(2, 5, 4, dtype=torch.float64)
    expected, final = net(x)
    found = torch.stack([stream(x[:, t]) for t in range(5)], 1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(stream.hidden, final, rtol=0, atol=1e-10)


@pytest.mark.parametrize("reset", RESETS)
def test_gradients(reset):
    net = make(reset, bidirectional=True)
    names = [name for name, _ in net.named_parameters()]
    x = torch.rand(2, 3, 4, dtype=torch.float64, requires_grad=True)
    hx = state(net, 2).requires_grad_()

    def call(x, hx, *params):
        given = dict(zip(names, params, strict=True))
        return torch.func.functional_call(net, given, (x, hx, torch.tensor([1.0, 2 / 3])))

    assert torch.autograd.gradcheck(call, (x, hx, *net.parameters()), fast_mode=True, atol=1e-6)


@pytest.mark.parametrize(("reset", "biases"), [("after", 4), ("before", 3)])
def test_number_of_parameters(reset, biases):
    sizes = {"input_size": 11, "hidden_size": 7, "reset": reset}
    assert ChoGRU(**sizes).num_parameters() == 3 * (11 * 7 + 7 * 7) + biases * 7
    assert ChoGRU(**sizes, bias=False).num_parameters() == 3 * (11 * 7 + 7 * 7)
    assert nnet.build("gru", proj_size=3, input_size=4, hidden_size=5).output_size == 5


def test_unknown_reset_is_refused():
    with pytest.raises(ValueError, match="reset must be one of 'after', 'before', not 'never'"):
        ChoGRU(input_size=2, hidden_size=2, reset="never")
