"""Stacks as modules: state dicts, copies, dtypes, autocast, initial weights, dropout."""

from __future__ import annotations

import copy
import inspect
import io
import pickle

import pytest
import torch

from gatedrnn import nnet
from tests import cases

X = torch.rand(2, 6, 4)


def small(name, options, **kwargs):
    return nnet.CLASSES[name](5, input_size=4, num_layers=2, **options, **kwargs)


@pytest.mark.parametrize("case", cases.CASES, ids=cases.IDS)
def test_state_dict_holds_the_weights_and_nothing_else(case):
    name, options = case
    net = small(name, options, dropout=0.5, bidirectional=True)
    net.train()(X)
    shapes = {k: v.shape for k, v in net.state_dict().items()}
    assert shapes == {k: p.shape for k, p in net.named_parameters()}
    assert not list(net.buffers())
    declared = sum(layer.cell.num_parameters() for pair in net.layers for layer in pair)
    assert sum(p.numel() for p in net.parameters()) == declared
    other = small(name, options, dropout=0.5, bidirectional=True)
    other.load_state_dict(net.state_dict())
    torch.testing.assert_close(other.eval()(X)[0], net.eval()(X)[0], rtol=0, atol=0)


@pytest.mark.parametrize("case", cases.CASES, ids=cases.IDS)
def test_copies_and_pickles_after_a_training_step(case):
    name, options = case
    if name == "BetaLSTM":
        options = options | {"prior_weight": 0.1}
    net = small(name, options)
    output, _ = net.train()(X)
    loss = output.sum()
    auxiliary = net.auxiliary_loss()
    (loss if auxiliary is None else loss + auxiliary).backward()
    net.eval()
    buffer = io.BytesIO()
    torch.save(net, buffer)
    buffer.seek(0)
    copies = [
        copy.deepcopy(net),
        pickle.loads(pickle.dumps(net)),
        torch.load(buffer, weights_only=False),
    ]
    for other in copies:
        assert type(other) is type(net)
        torch.testing.assert_close(other(X)[0], net(X)[0], rtol=0, atol=0)
        with torch.no_grad():
            next(other.parameters()).add_(1.0)
        assert not torch.equal(other(X)[0], net(X)[0])


@pytest.mark.parametrize("case", cases.CASES, ids=cases.IDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes(case, dtype):
    """Low precision rounds the products and the outputs only: errors stay at its resolution."""
    name, options = case
    net = small(name, options).eval()
    expected, _ = net(X, lengths=torch.tensor([1.0, 0.5]))
    net = net.to(dtype)
    output, hidden = net(X.to(dtype), lengths=torch.tensor([1.0, 0.5]))
    assert output.dtype == hidden[0].dtype == hidden[1].dtype == dtype
    tolerance = {torch.float16: 5e-3, torch.bfloat16: 4e-2, torch.float64: 1e-5}[dtype]
    torch.testing.assert_close(output.float(), expected, rtol=0, atol=tolerance)
    output.float().sum().backward()
    assert all(p.grad.dtype == dtype and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("case", cases.CASES, ids=cases.IDS)
def test_autocast_bf16(case):
    """Under autocast outputs and states are bf16, weights and their gradients float32."""
    name, options = case
    net = small(name, options).eval()
    expected, _ = net(X)
    with torch.autocast("cpu", torch.bfloat16):
        output, hidden = net(X)
    assert output.dtype == hidden[0].dtype == hidden[1].dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), expected, rtol=0, atol=4e-2)
    output.float().sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in net.parameters())
    assert any(p.grad.count_nonzero() for p in net.parameters())


def test_moves_to_a_device():
    """On a device that holds no data, shapes and devices follow."""
    net = small("ResidualLSTM", {"proj_size": 3}).to("meta")
    output, (h, c) = net(X.to("meta"))
    assert output.device.type == h.device.type == c.device.type == "meta"
    assert output.shape == (2, 6, 3)


@pytest.mark.parametrize("name", [n for n in nnet.CLASSES if not n.endswith("Cell")])
def test_signature_is_the_drop_in_contract(name):
    """SpeechBrain's containers look for an explicit input_shape, positions are nn.RNN's."""
    spec = inspect.getfullargspec(nnet.CLASSES[name])
    assert spec.args == [
        "self", "hidden_size", "input_shape", "input_size", "num_layers", "bias", "dropout",
        "re_init", "bidirectional",
    ]  # fmt: skip
    assert spec.defaults == (None, None, 1, True, 0.0, True, False)
    forward = inspect.getfullargspec(nnet.CLASSES[name].forward)
    assert forward.args == ["self", "x", "hx", "lengths"]


def test_recurrent_matrices_start_orthogonal_or_as_in_the_paper():
    net = nnet.LSTMP(32, input_size=16, num_layers=2)
    for name, weight in net.layer(1).equation_weights().items():
        if name.startswith("W_h"):
            torch.testing.assert_close(weight @ weight.T, torch.eye(32), rtol=0, atol=1e-5)
        elif name.startswith("b_"):
            assert weight.count_nonzero() == 0
        else:
            assert 0.02 < weight.abs().max() <= 0.05
    net = nnet.LSTMP(32, input_size=16, re_init=False, init_range=0.2)
    assert 0.19 < net.layer(0).weight_hh.abs().max() <= 0.2
    beta = nnet.BetaLSTM(25, input_size=16, re_init=False)
    for parameter in beta.parameters():
        assert 0.19 < parameter.abs().max() <= 0.2


def test_dropout_is_between_layers_only():
    torch.manual_seed(0)
    one = nnet.RAN(5, input_size=4, num_layers=1, dropout=0.9).train()
    torch.testing.assert_close(one(X)[0], one.eval()(X)[0], rtol=0, atol=0)
    two = nnet.RAN(5, input_size=4, num_layers=2, dropout=0.9).train()
    assert not torch.allclose(two(X)[0], two(X)[0])
    torch.testing.assert_close(two.eval()(X)[0], two(X)[0], rtol=0, atol=0)
    # Total dropout leaves the second layer nothing to read: its output no longer depends on x.
    total = nnet.RAN(5, input_size=4, num_layers=2, dropout=1.0).train()
    torch.testing.assert_close(total(X)[0], total(X + 1)[0], rtol=0, atol=0)


def test_vertical_dropout_acts_on_the_cell_path_only():
    torch.manual_seed(0)
    net = nnet.HighwayLSTM(200, input_size=4, num_layers=2, drop=0.25)
    for weight in net.layer(1).equation_weights().values():
        weight.zero_()
    net.layer(1).equation_weights()["b_d"].fill_(200.0)
    net.layer(1).equation_weights()["b_f"].fill_(-200.0)
    _, _, kept = net.train().run(X, keep=["c"])
    ratio = kept[1][0]["c"] / kept[0][0]["c"]
    dropped = ratio.abs() < 1e-6
    assert 0.2 < dropped.float().mean() < 0.3
    torch.testing.assert_close(
        ratio[~dropped], torch.full_like(ratio[~dropped], 1 / 0.75), rtol=0, atol=1e-5
    )
    _, _, kept = net.eval().run(X, keep=["c"])
    torch.testing.assert_close(kept[1][0]["c"], kept[0][0]["c"], rtol=0, atol=1e-6)
