"""Stacks under torch.compile, without a break in the graph."""

import pytest
import torch

from gatedrnn import nnet
from gatedrnn.engine.cpu import build

pytestmark = pytest.mark.skipif(build.obstacle() is not None, reason="no C++ compiler")


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def gradients(net, x, run, seed=0):
    """Output and every gradient, from noise that the seed decides."""
    net.zero_grad()
    torch.manual_seed(seed)
    output = run(x)[0]
    output.square().sum().backward()
    return [output.detach(), *(p.grad.clone() for p in net.parameters())]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_stack(backend):
    net = nnet.HighwayLSTM(12, input_size=5, num_layers=2, proj_size=7)
    x, lengths = torch.rand(2, 9, 5), torch.tensor([1.0, 0.5])
    compiled = torch.compile(net, fullgraph=True, backend=backend)
    wanted = gradients(net, x, lambda v: net(v, lengths=lengths))
    found = gradients(net, x, lambda v: compiled(v, lengths=lengths))
    for a, b in zip(wanted, found, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", ["BetaLSTM", "G2LSTM"])
def test_training_with_noise(name):
    net = getattr(nnet, name)(9, input_size=4, num_layers=2).train()
    x = torch.rand(2, 7, 4, requires_grad=True)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    first = gradients(net, x, compiled)
    assert all(bool(g.isfinite().all()) for g in first)
    assert all(bool(g.any()) for g in first)
    assert same(first, gradients(net, x, compiled)), "the seed decides"
    assert not same(first, gradients(net, x, compiled, seed=1)), "fresh noise every time"
    if name == "G2LSTM":
        assert same(first, gradients(net, x, net)), "and it is the noise of the plain module"
    net.eval()
    torch.testing.assert_close(compiled(x)[0], net(x)[0])


def test_seed_in_place_of_a_generator():
    """A tensor draws what a generator of that seed draws."""
    from gatedrnn import engine
    from gatedrnn.cells import G2LSTM

    cell = G2LSTM(input_size=3, hidden_size=6)
    params = {n: torch.rand(s) for n, s in engine.plan(cell, True).parameters.items()}

    def run(source, runner):
        x = torch.ones(5, 2, 3)
        return engine.run(cell, params, x, training=True, generator=source, runner=runner).output

    for runner in ("cpu", "reference"):
        wanted = run(torch.Generator().manual_seed(5), runner)
        assert torch.equal(run(torch.tensor(5), runner), wanted)
