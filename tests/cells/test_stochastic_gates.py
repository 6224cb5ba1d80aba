"""Beta and G2 gates: distributions, gradients, prior, and whose noise is whose."""

from __future__ import annotations

import math

import pytest
import torch

from gatedrnn import nnet
from gatedrnn.cells.beta import gamma_kl
from gatedrnn.cells.functional import binary_logistic_noise
from tests import cases

DRAWS = 100_000


def gates_of(variant: str, shapes: list[float], seed: int = 0, draws: int = DRAWS):
    """Draws of (i, f) for given Gamma shapes: one frame, one unit, ``draws`` sequences."""
    net = nnet.BetaLSTM(1, input_size=1, variant=variant).double().train()
    w = net.layer(0).equation_weights()
    for weight in w.values():
        weight.zero_()
    for k, a in enumerate(shapes, 1):
        w[f"b_a{k}"].fill_(math.log(math.expm1(a - 1e-3)))
    torch.manual_seed(seed)
    _, _, kept = net.run(torch.zeros(draws, 1, 1, dtype=torch.float64), keep=["i", "f"])
    return net, kept[0][0]["i"].flatten(), kept[0][0]["f"].flatten()


def beta_moments(a: float, b: float) -> tuple[float, float]:
    return a / (a + b), a * b / ((a + b) ** 2 * (a + b + 1))


@pytest.mark.parametrize(
    ("variant", "shapes", "i_of", "f_of", "sign"),
    [
        ("beta", [2.0, 3.0, 0.7, 1.5], (2.0, 3.0), (0.7, 1.5), 0),
        ("3g", [1.0, 2.0, 0.8], (2.0, 0.8), (1.0, 0.8), 1),
        # i = (u1+u3)/(u1+u3+u4+u5), f = (u2+u4)/(u2+u3+u4+u5): u3 and u4 pull the gates apart,
        # u5 and, through the denominators, little u1 and u2 pull them together.
        ("5g", [1.0, 1.0, 0.05, 0.05, 2.0], (1.05, 2.05), (1.05, 2.05), 1),
        ("5g", [0.05, 0.05, 2.0, 2.0, 0.05], (2.05, 2.05), (2.05, 2.05), -1),
    ],
    ids=["beta", "3g", "5g-positive", "5g-negative"],
)
def test_moments_and_correlation(variant, shapes, i_of, f_of, sign):
    """Means and variances of the marginals and the sign of the correlation, over 1e5 draws.

    The 1e-3 added to every sample moves a moment by less than the tolerance.
    """
    _, i, f = gates_of(variant, shapes)
    for gate, (a, b) in ((i, i_of), (f, f_of)):
        mean, variance = beta_moments(a, b)
        assert abs(gate.mean().item() - mean) < 5 * math.sqrt(variance / DRAWS) + 1e-3
        assert abs(gate.var().item() - variance) < 0.03 * variance + 1e-3
    correlation = torch.corrcoef(torch.stack([i, f]))[0, 1].item()
    if sign == 0:
        assert abs(correlation) < 0.015
    else:
        assert correlation * sign > 0.1


@pytest.mark.parametrize("variant", ["beta", "3g", "5g"])
def test_evaluation_is_the_mean_of_the_gates(variant):
    """Deterministic, drawing nothing, and equal to the mean of many training draws."""
    shapes = [1.2, 0.7, 2.0, 0.4, 1.0][: {"beta": 4, "3g": 3, "5g": 5}[variant]]
    net, i, f = gates_of(variant, shapes)
    net.eval()
    before = torch.get_rng_state()
    _, _, kept = net.run(torch.zeros(3, 1, 1, dtype=torch.float64), keep=["i", "f"])
    assert torch.equal(torch.get_rng_state(), before)
    for name, draws in (("i", i), ("f", f)):
        mean = kept[0][0][name].flatten()
        assert torch.equal(mean, mean[:1].expand(3))
        assert abs(mean[0].item() - draws.mean().item()) < 0.01
    a = dict(enumerate(shapes, 1))
    if variant == "beta":
        expected = a[1] / (a[1] + a[2]), a[3] / (a[3] + a[4])
    elif variant == "3g":
        expected = a[2] / (a[2] + a[3]), a[1] / (a[1] + a[3])
    else:
        expected = (
            (a[1] + a[3]) / (a[1] + a[3] + a[4] + a[5]),
            (a[2] + a[4]) / (a[2] + a[3] + a[4] + a[5]),
        )
    assert kept[0][0]["i"][0].item() == pytest.approx(expected[0], abs=1e-12)
    assert kept[0][0]["f"][0].item() == pytest.approx(expected[1], abs=1e-12)


def test_gradient_of_the_samples():
    """The reparameterised gradient of the mean gate is the gradient of the Beta mean."""
    a1, a2 = 1.5, 0.8
    net, i, f = gates_of("beta", [a1, a2, 1.0, 1.0])
    # The packed bias holds b_a1, b_a2, b_a3, b_a4, b_c, b_o.
    (grad,) = torch.autograd.grad(i.mean(), net.layer(0).bias, retain_graph=True)
    softplus_slope = [1 - math.exp(-(a - 1e-3)) for a in (a1, a2)]
    expected = [a2 / (a1 + a2) ** 2, -a1 / (a1 + a2) ** 2]
    for k in (0, 1):
        assert grad[k].item() == pytest.approx(expected[k] * softplus_slope[k], rel=0.03)
    # The forget gate does not depend on the input gate's shapes.
    (grad,) = torch.autograd.grad(f.mean(), net.layer(0).bias)
    assert grad[0] == grad[1] == 0
    assert grad[2] != 0


def test_kl_equals_torch_distributions():
    a = torch.tensor([0.05, 0.5, 1.0, 3.0, 40.0], dtype=torch.float64)
    for a0 in (0.5, 2.0):
        expected = torch.distributions.kl_divergence(
            torch.distributions.Gamma(a, torch.ones_like(a)),
            torch.distributions.Gamma(torch.full_like(a, a0), torch.ones_like(a)),
        )
        torch.testing.assert_close(gamma_kl(a, a0), expected, rtol=1e-12, atol=1e-12)


def test_kl_has_its_gradients():
    a = torch.tensor([0.05, 0.5, 1.0, 3.0, 40.0], dtype=torch.float64, requires_grad=True)
    plain = (a - 0.7) * torch.digamma(a) - torch.lgamma(a)
    (expected,) = torch.autograd.grad(plain.sum(), a)
    (grad,) = torch.autograd.grad(gamma_kl(a, 0.7).sum(), a)
    torch.testing.assert_close(grad, expected, rtol=1e-10, atol=1e-12)
    assert torch.autograd.gradgradcheck(lambda a: gamma_kl(a, 0.7), a)


@pytest.mark.parametrize("prior_shape", [0.5, (0.5, 0.7, 0.9, 1.1, 1.3)])
def test_prior_sums_over_valid_frames_layers_directions_and_k(prior_shape):
    net = cases.build(
        "BetaLSTM", {"prior_weight": 0.25, "prior_shape": prior_shape}, layers=2, bidirectional=True
    )
    x = torch.rand(2, 6, 4, dtype=torch.float64)
    frames = [6, 2]
    names = [f"a_{k}" for k in range(1, 6)]
    assert net.auxiliary_loss() is None
    net.train()
    torch.manual_seed(3)
    _, _, kept = net.run(x, lengths=torch.tensor([1.0, 2 / 6]), keep=names)
    a0 = prior_shape if isinstance(prior_shape, tuple) else (prior_shape,) * 5
    expected = 0.0
    for layer in kept:
        for values in layer:
            for b, n in enumerate(frames):
                for k, name in enumerate(names):
                    a = values[name][b, :n]
                    p = torch.distributions.Gamma(a, torch.ones_like(a))
                    q = torch.distributions.Gamma(torch.full_like(a, a0[k]), torch.ones_like(a))
                    expected = expected + torch.distributions.kl_divergence(p, q).sum()
    loss = net.auxiliary_loss()
    torch.testing.assert_close(loss, 0.25 * expected, rtol=1e-10, atol=0)
    grads = torch.autograd.grad(loss, list(net.parameters()))
    assert all(g.isfinite().all() for g in grads)
    assert all(g.count_nonzero() for g in grads)
    net.eval()
    net(x)
    assert net.auxiliary_loss() is None


@pytest.mark.parametrize(("name", "options"), [("BetaLSTM", {}), ("G2LSTM", {})])
def test_noise_is_fresh_reproducible_and_left_out_of_evaluation(name, options):
    net = cases.build(name, options, layers=1, bidirectional=True).train()
    with torch.no_grad():  # both directions have the same weights, one frame the same input
        for n, w in net.layer(0, reverse=True).equation_weights().items():
            w.copy_(net.layer(0).equation_weights()[n])
    x = torch.rand(1, 1, 4, dtype=torch.float64).expand(4, 1, 4).contiguous()
    torch.manual_seed(5)
    first, _ = net(x)
    second, _ = net(x)
    assert not torch.allclose(first, second), "each forward draws anew"
    assert not torch.allclose(first[0], first[1]), "each sequence draws its own"
    assert not torch.allclose(first[..., :5], first[..., 5:]), "each direction draws its own"
    torch.manual_seed(5)
    torch.testing.assert_close(net(x)[0], first, rtol=0, atol=0)
    net.eval()
    torch.manual_seed(6)
    torch.testing.assert_close(net(x)[0][..., :5], net(x)[0][..., 5:], rtol=0, atol=1e-15)


def test_g2_gates_in_training():
    """i = s((z + B*(log(U+e) - log(1-U+e))) / tau): the share B = 0, and the noise's spread."""
    net = nnet.G2LSTM(1, input_size=1, p=0.3, tau=0.5).double().train()
    w = net.layer(0).equation_weights()
    for weight in w.values():
        weight.zero_()
    w["b_i"].fill_(0.4)
    torch.manual_seed(0)
    _, _, kept = net.run(torch.zeros(DRAWS, 1, 1, dtype=torch.float64), keep=["i", "f"])
    i, f = kept[0][0]["i"].flatten(), kept[0][0]["f"].flatten()
    quiet = (i - 1 / (1 + math.exp(-0.4 / 0.5))).abs() < 1e-12
    assert abs(quiet.double().mean().item() - 0.7) < 0.01
    noise = torch.logit(i[~quiet]) * 0.5 - 0.4
    # A logistic variable has variance pi^2 / 3; e = 1e-3 cuts its tails to |noise| < 6.91.
    assert noise.abs().max() <= math.log(1.001 / 0.001) + 1e-9
    assert abs(noise.mean().item()) < 0.05
    assert abs(noise.var().item() - math.pi**2 / 3) < 0.15
    assert abs(torch.corrcoef(torch.stack([i, f]))[0, 1].item()) < 0.02
    everywhere = binary_logistic_noise(
        (DRAWS,), p=1.0, generator=None, dtype=torch.float64, device=torch.device("cpu")
    )
    assert everywhere.count_nonzero() == DRAWS
