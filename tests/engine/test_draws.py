"""Gamma draws and their gradient as compiled, in bulk."""

import ctypes
from importlib import resources

import pytest
import torch

from gatedrnn import engine
from gatedrnn.cells import BetaLSTM, beta
from gatedrnn.engine.cpu import build
from tests.engine.conftest import problem, results

pytestmark = pytest.mark.skipif(build.obstacle() is not None, reason="no C++ compiler")

DOORS = """
extern "C" long workspace(const long*) { return VL; }
// n: how many, seed, frame, row, which; p: shapes, draws, slopes; draws are made if n[5].
extern "C" void run(const long* n, void* const* p) {
  const R* a = (const R*)p[0];
  R *x = (R*)p[1], *y = (R*)p[2];
  auto one = [&](long u, auto k) {
    if (n[5]) st(x + u, gamma_(ld(a + u, k), n[1], n[2], n[3], u, n[4], k), k);
    st(y + u, gamma_grad_(ld(a + u, k), ld(x + u, k)), k);
  };
  long u = 0;
  for (; u + VL <= n[0]; u += VL) one(u, Full());
  if (u < n[0]) one(u, Part{n[0] - u});
}
"""
REAL = {torch.float32: "float", torch.float64: "double"}


def compiled(shapes, draws=None, seed=1, frame=0, row=0, which=0):
    """Draws of Gamma(shapes), and the gradients of these (or of given) draws."""
    part = resources.files("gatedrnn.engine.cpu").joinpath
    source = "\n".join(
        [
            f"typedef {REAL[shapes.dtype]} R;",
            *(part(n).read_text(encoding="utf-8") for n in ("runtime.h", "draws.h")),
            DOORS,
        ]
    )
    found = torch.empty_like(shapes) if draws is None else draws
    slopes = torch.empty_like(shapes)
    numbers = (ctypes.c_long * 6)(shapes.numel(), seed, frame, row, which, draws is None)
    pointers = (ctypes.c_void_p * 3)(*(t.data_ptr() for t in (shapes, found, slopes)))
    build.load(source).run(numbers, pointers)
    return found, slopes


def distance(draws, shape):
    """Kolmogorov and Smirnov's, times the root of the number of draws."""
    draws, count = draws.sort().values, draws.numel()
    levels = torch.special.gammainc(torch.full_like(draws, shape), draws)
    steps = torch.arange(count + 1, dtype=torch.float64) / count
    apart = torch.maximum(levels - steps[:-1], steps[1:] - levels)
    # Smaller ones single precision cannot tell from nothing.
    return float(apart[draws > 1e-37].max()) * count**0.5


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("shape", [0.05, 0.4, 0.999, 1.0, 2.5, 9.0, 300.0])
def test_distribution(shape, dtype):
    shapes = torch.full((200_003,), shape, dtype=dtype)
    draws = compiled(shapes)[0].double()
    assert bool((draws > 0).all())
    # A distance above 2.3 comes once in 20000.
    assert distance(draws, shape) < 2.3
    spread = (shape / draws.numel()) ** 0.5
    assert abs(draws.mean() - shape) < 5 * spread
    # The variance of a squared deviation is 2 a^2 + 6 a.
    deviation = (2 * shape**2 + 6 * shape) ** 0.5 / draws.numel() ** 0.5
    assert abs((draws - shape).square().mean() - shape) < 5 * deviation


def test_draws_of_other_places_are_independent():
    shapes = torch.full((100_000,), 0.7, dtype=torch.float64)
    first = compiled(shapes)[0]
    assert torch.equal(first, compiled(shapes)[0])
    others = [{"seed": 2}, {"seed": 1 << 40}, {"frame": 1}, {"row": 1}, {"which": 1}]
    found = [compiled(shapes, **other)[0] for other in others] + [first.roll(1), first.roll(16)]
    for other in found:
        both = torch.corrcoef(torch.stack([first, other]).log())
        assert abs(both[0, 1]) < 5 / 100_000**0.5


def test_shapes_without_a_distribution():
    shapes = torch.tensor([float("nan"), -1.0, 0.0, 1.5, float("inf")])
    draws = compiled(shapes)[0]
    assert bool(draws[:3].isnan().all())
    assert bool(draws[3].isfinite()) and bool(draws[4].isinf())


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 2e-3), (torch.float64, 1e-9)])
def test_gradient_is_pytorchs(dtype, tolerance):
    g = torch.Generator().manual_seed(0)
    shapes = torch.logspace(-3, 3, 20_001, dtype=torch.float64)
    draws = torch._standard_gamma(shapes, generator=g)
    # Also far from where draws fall.
    draws[::7] *= torch.rand(draws[::7].shape, generator=g, dtype=torch.float64) * 3
    shapes, draws = shapes.to(dtype), draws.to(dtype).clamp_min(1e-30)
    wanted = torch._standard_gamma_grad(shapes.double(), draws.double())
    found = compiled(shapes, draws)[1].double()
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance * 0.1)


def test_any_number_of_threads():
    cell = BetaLSTM(input_size=2, hidden_size=100)
    params = {n: torch.zeros(s) for n, s in engine.plan(cell, True).parameters.items()}
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            g = torch.Generator().manual_seed(3)
            found.append(
                engine.run(
                    cell, params, torch.zeros(9, 30, 2), training=True, generator=g, keep=("u_3",),
                    runner="cpu",
                )
            )  # fmt: skip
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert torch.equal(found[0].kept["u_3"], other.kept["u_3"])
        assert torch.equal(found[0].output, other.output)


class Recorded(torch.autograd.Function):
    """A draw made before, with the gradient a draw has."""

    @staticmethod
    def forward(ctx, shape, draw):
        ctx.save_for_backward(shape, draw)
        return draw.clone()

    @staticmethod
    def backward(ctx, g):
        return g * torch._standard_gamma_grad(*ctx.saved_tensors), None


@pytest.mark.parametrize("reverse", [False, True])
def test_every_gradient_given_the_draws(monkeypatch, reverse):
    """The reference, made to draw what the compiled loop drew, computes all that it computes."""
    cell = BetaLSTM(input_size=6, hidden_size=17)
    names = [f"u_{k}" for k in range(1, 6)]
    given = problem(cell, frames=7, batch=5, lengths=True, dtype=torch.float64, seed=1)
    options = {"training": True, "reverse": reverse, "keep": (*names, "a_2", "i")}

    def run(runner):
        generator = torch.Generator().manual_seed(2)
        return results(cell, given, runner, generator=generator, **options)

    found = run("cpu")
    kept = torch.stack([found[f"kept {n}"] for n in names], dim=1)
    # On padding nothing was drawn; any positive number will do.
    draws = torch.where(kept > 0, kept - beta.EPSILON, 1.0)
    frames = iter((draws.flip(0) if reverse else draws).flatten(0, 1))
    monkeypatch.setattr(beta, "standard_gamma", lambda a, g: Recorded.apply(a, next(frames)))
    wanted = run("reference")
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-8, atol=1e-10, msg=name)
