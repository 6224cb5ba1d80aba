"""Every network against the NumPy transcription of its equations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests import cases, oracle

LENGTHS = [7, 4, 1]


@pytest.mark.parametrize("bidirectional", [False, True], ids=["uni", "bi"])
@pytest.mark.parametrize("case", cases.CASES, ids=cases.IDS)
def test_stack_equals_equations(case, bidirectional):
    name, options = case
    net = cases.build(name, options, bidirectional=bidirectional)
    x = torch.rand(3, 7, 4, dtype=torch.float64) - 0.5
    h0, c0 = cases.random_state(net, 3)
    relative = torch.tensor([n / 7 for n in LENGTHS])
    with torch.no_grad():
        output, (h, c), kept = net.run(x, (h0, c0), relative, keep=["c"])

    D = net.num_directions
    weights = [
        [
            {n: w.numpy() for n, w in net.layer(layer, bool(d)).equation_weights().items()}
            for d in range(D)
        ]
        for layer in range(3)
    ]

    def per_layer(state):
        return [[state[layer * D + d].numpy() for d in range(D)] for layer in range(3)]

    plain = {k: v for k, v in options.items() if k not in ("proj_size", "bias")}
    expected, end_h, end_c, cells = oracle.run_stack(
        oracle.STEPS[name], weights, x.numpy(), LENGTHS, per_layer(h0), per_layer(c0), plain
    )
    np.testing.assert_allclose(output.numpy(), expected, rtol=0, atol=1e-12)
    for layer in range(3):
        for d in range(D):
            row = layer * D + d
            np.testing.assert_allclose(h[row].numpy(), end_h[layer][d], rtol=0, atol=1e-12)
            np.testing.assert_allclose(c[row].numpy(), end_c[layer][d], rtol=0, atol=1e-12)
            np.testing.assert_allclose(
                kept[layer][d]["c"].numpy(), cells[layer][d], rtol=0, atol=1e-12
            )


@pytest.mark.parametrize("case", cases.CASES, ids=cases.IDS)
def test_weights_have_the_names_of_the_equations(case):
    """Loading what was read changes nothing; wrong names and shapes are refused whole."""
    name, options = case
    net = cases.build(name, options, layers=2)
    layer = net.layer(1)
    before = {n: w.clone() for n, w in layer.equation_weights().items()}
    layer.load_equation_weights({n: w.numpy() for n, w in before.items()})
    for n, w in layer.equation_weights().items():
        assert torch.equal(w, before[n])
        assert tuple(w.shape) == layer.cell.weights()[n]
    first = next(iter(before))
    with pytest.raises(ValueError, match=f"missing \\['{first}'\\]"):
        layer.load_equation_weights({n: w for n, w in before.items() if n != first})
    with pytest.raises(ValueError, match=r"unknown \['W_nonsense'\]"):
        layer.load_equation_weights(before | {"W_nonsense": torch.zeros(1)})
    with pytest.raises(ValueError, match=f"{first} must have shape"):
        layer.load_equation_weights(
            {n: torch.zeros(17, 19) if n == first else w + 1 for n, w in before.items()}
        )
    for n, w in layer.equation_weights().items():
        assert torch.equal(w, before[n])


def test_equation_weights_write_through():
    net = cases.build("RAN", {}, layers=1)
    net.layer(0).equation_weights()["b_f"].fill_(3.5)
    packed = net.layer(0).bias
    assert torch.equal(packed[5:10], torch.full((5,), 3.5, dtype=torch.float64))


@pytest.mark.parametrize("case", cases.CASES, ids=cases.IDS)
def test_gradients(case):
    """gradcheck through weights, input, initial states and ragged lengths (evaluation gates)."""
    name, options = case
    net = cases.build(name, options, layers=2, bidirectional=True)
    names = [n for n, _ in net.named_parameters()]
    x = torch.rand(2, 3, 4, dtype=torch.float64, requires_grad=True)
    h0, c0 = (part.requires_grad_() for part in cases.random_state(net, 2))
    lengths = torch.tensor([1.0, 2 / 3])

    def call(x, h0, c0, *params):
        output, (h, c) = torch.func.functional_call(
            net, dict(zip(names, params, strict=True)), (x, (h0, c0), lengths)
        )
        return output, h, c

    # fast_mode projects on random vectors: exact enough in float64, and every entry counts.
    assert torch.autograd.gradcheck(
        call, (x, h0, c0, *net.parameters()), fast_mode=True, atol=1e-6, rtol=1e-4
    )
