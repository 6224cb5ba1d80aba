"""Numbers next to zero are zeros inside the compiled loops, and nowhere else."""

import pytest
import torch

from gatedrnn import engine, nnet
from gatedrnn.cells import RAN
from gatedrnn.engine.cpu import build
from gatedrnn.nnet import StreamingStack

pytestmark = pytest.mark.skipif(build.obstacle() is not None, reason="no C++ compiler")

#: Denormal in single precision.
TINY = 1e-40


@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_takes_them_for_zeros_and_leaves_the_thread_as_it_was(threads):
    """The content of an additive network is nothing but a product with the input."""
    cell = RAN(input_size=3, hidden_size=40, output="identity")
    plan = engine.plan(cell)
    params = {n: torch.ones(s, requires_grad=True) for n, s in plan.parameters.items()}
    x = torch.full((4, 2, 3), TINY, requires_grad=True)
    state = {n: torch.zeros(2, width) for n, width in cell.states().items()}
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        found = engine.run(cell, params, x, state, runner="cpu").output
        wanted = engine.run(cell, params, x, state, runner="reference").output
        (gradient,) = torch.autograd.grad(found, x, torch.full_like(found, TINY))
    finally:
        torch.set_num_threads(before)
    assert not found.any() and not gradient.any()
    assert wanted.any(), "the reference computes with whatever the thread computes with"
    assert (torch.tensor(TINY) * 1.5).item() > TINY, "denormal numbers are there again"


def test_a_stream_takes_them_for_zeros_too():
    net = nnet.RAN(40, input_size=3, output="identity").eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(1.0)
        assert not StreamingStack(net)(torch.full((1, 3), TINY)).any()
    assert (torch.tensor(TINY) * 1.5).item() > TINY
