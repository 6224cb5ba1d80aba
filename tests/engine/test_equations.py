"""The compiled runner against the NumPy transcription of the equations, without the reference."""

import numpy as np
import pytest
import torch

from gatedrnn.engine import select
from gatedrnn.engine.cpu import build
from tests import cases, oracle

pytestmark = pytest.mark.skipif(build.obstacle() is not None, reason="no C++ compiler")
LENGTHS = [6, 4, 1]


@pytest.mark.parametrize("case", cases.CASES, ids=cases.IDS)
def test_stack_equals_equations(case, monkeypatch):
    monkeypatch.setenv(select.VARIABLE, "cpu")
    name, options = case
    net = cases.build(name, options, bidirectional=True)
    x = torch.rand(3, 6, 4, dtype=torch.float64) - 0.5
    h0, c0 = cases.random_state(net, 3)
    # With gradients: then it is the code that the tests of agreement compile, too.
    output, (h, c), kept = net.run(x, (h0, c0), torch.tensor(LENGTHS) / 6, keep=["c"])
    assert output.requires_grad

    def nested(make):
        return [[make(layer, d) for d in range(2)] for layer in range(3)]

    def numbers(tensor):
        return tensor.detach().numpy()

    weights = nested(
        lambda layer, d: {
            n: w.numpy() for n, w in net.layer(layer, bool(d)).equation_weights().items()
        }
    )
    plain = {k: v for k, v in options.items() if k not in ("proj_size", "bias")}
    states = (nested(lambda layer, d, s=s: numbers(s[2 * layer + d])) for s in (h0, c0))
    found = oracle.run_stack(oracle.STEPS[name], weights, x.numpy(), LENGTHS, *states, plain)
    np.testing.assert_allclose(numbers(output), found[0], rtol=0, atol=1e-12)
    for layer in range(3):
        for d in range(2):
            row = 2 * layer + d
            for mine, theirs in (
                (h[row], found[1][layer][d]),
                (c[row], found[2][layer][d]),
                (kept[layer][d]["c"], found[3][layer][d]),
            ):
                np.testing.assert_allclose(numbers(mine), theirs, rtol=0, atol=1e-12)
