"""Every cell through every runner of this processor: as the reference computes it."""

import pytest
import torch

from gatedrnn import engine
from gatedrnn.cells import CELLS, G2LSTM, LSTMP, RAN, BetaLSTM, HighwayLSTM, ResidualLSTM, SlimLSTM
from gatedrnn.engine.cpu import build

RUNNERS = ["cpu", "loop"] if build.obstacle() is None else ["loop"]


def cases() -> list:
    """Every row of the table, with and without projection, as first and as higher layer."""
    for kind in CELLS:
        for variant in kind.variants:
            for proj in (None, 3) if kind.has_projection else (None,):
                for layer in (0, 1):
                    size = proj or 17
                    # A higher layer's input has the width of the output below it.
                    options = {"input_size": size if layer else 6, "hidden_size": 17}
                    options |= {"proj_size": proj, "layer_index": layer} | variant
                    if layer and not kind(**options).below() and kind is not ResidualLSTM:
                        continue
                    named = "-".join(str(v) for v in (*variant.values(), proj or "", layer))
                    yield pytest.param(kind, options, id=f"{kind.__name__}-{named}")


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("kind, options", cases())
def test_float64(compare, kind, options, runner):
    cell = kind(**options)
    keep = ("c",) if "c" in engine.plan(cell).values else ("h",)
    compare(cell, runner, keep=keep)
    if runner == "cpu":
        compare(cell, runner, keep=keep, reverse=True, frames=6, batch=3, seed=2)
        compare(cell, runner, keep=keep, lengths=False, frames=9, batch=1, seed=3)


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("options", [{"proj_size": 3}, {}])
def test_every_value_can_be_kept(compare, options, runner):
    cell = ResidualLSTM(input_size=5, hidden_size=9, **options)
    compare(cell, runner, keep=engine.plan(cell).values)


@pytest.mark.parametrize("runner", RUNNERS)
def test_noise_drawn_beforehand(compare, runner):
    cell = G2LSTM(input_size=5, hidden_size=9)
    compare(cell, runner, training=True, noise=4, keep=("i", "f"))


@pytest.mark.skipif("cpu" not in RUNNERS, reason="no C++ compiler")
@pytest.mark.parametrize("size", [1, 3, 17, 33])
@pytest.mark.parametrize("seed", range(4))
def test_odd_shapes(compare, size, seed):
    g = torch.Generator().manual_seed(100 * size + seed)
    frames, batch, m, n = (int(torch.randint(1, top, (), generator=g)) for top in (40, 34, 35, 34))
    options = {"frames": frames, "batch": batch, "seed": seed, "keep": ("c",)}
    compare(LSTMP(input_size=m, hidden_size=size), "cpu", **options)
    compare(LSTMP(input_size=m, hidden_size=size, proj_size=n), "cpu", reverse=True, **options)
    higher = HighwayLSTM(input_size=size, hidden_size=n, proj_size=size, layer_index=1)
    compare(higher, "cpu", reverse=bool(seed % 2), **options)
    compare(SlimLSTM(input_size=m, hidden_size=size, variant="11"), "cpu", **options)


@pytest.mark.skipif("cpu" not in RUNNERS, reason="no C++ compiler")
@pytest.mark.parametrize("reverse", [False, True])
def test_many_chunks_and_threads(compare, reverse):
    cell = ResidualLSTM(input_size=70, hidden_size=160, proj_size=70)
    compare(cell, "cpu", frames=45, batch=40, keep=("c",), reverse=reverse)


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize(
    "dtype, tolerance", [(torch.float32, 1e-4), (torch.bfloat16, 0.1), (torch.float16, 0.02)]
)
def test_lower_precision(compare, dtype, tolerance, runner):
    cell = ResidualLSTM(input_size=6, hidden_size=33, proj_size=17)
    compare(cell, runner, dtype=dtype, tolerance=tolerance, keep=("c",), frames=20)
    compare(BetaLSTM(input_size=6, hidden_size=17), runner, dtype=dtype, tolerance=tolerance)


@pytest.mark.parametrize("runner", RUNNERS)
def test_own_cell(compare, gated_unit, runner):
    compare(gated_unit(input_size=5, hidden_size=11), runner)
    compare(gated_unit(input_size=5, hidden_size=11, bias=False), runner, reverse=True)


@pytest.mark.parametrize("runner", RUNNERS)
def test_every_operation(compare, runner):
    from tests.engine.own_cells import Everything

    # PyTorch's own hardsigmoid divides by a 6 of single precision in its gradient.
    compare(Everything(input_size=5, hidden_size=19), runner, tolerance=1e-8)


@pytest.mark.skipif("cpu" not in RUNNERS, reason="no C++ compiler")
def test_bit_equal_and_threads():
    cell = LSTMP(input_size=64, hidden_size=130, proj_size=70)
    g = torch.Generator().manual_seed(0)
    shapes = engine.plan(cell).parameters
    params = {n: (torch.randn(s, generator=g) * 0.1).requires_grad_() for n, s in shapes.items()}
    x = torch.randn(40, 30, 64, generator=g)
    before = torch.get_num_threads()

    def run(threads):
        torch.set_num_threads(threads)
        try:
            output = engine.run(cell, params, x, runner="cpu").output
            gradients = torch.autograd.grad(output.square().sum(), list(params.values()))
        finally:
            torch.set_num_threads(before)
        return [output, *gradients]

    first = run(2)
    assert all(torch.equal(a, b) for a, b in zip(first, run(2), strict=True))
    for threads in (1, 3, 5):
        for a, b in zip(first, run(threads), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(a.detach().abs().max()))


@pytest.mark.parametrize("runner", RUNNERS)
def test_padding_does_not_matter(runner):
    cell = RAN(input_size=4, hidden_size=8)
    params = {n: torch.rand(s).requires_grad_() for n, s in engine.plan(cell).parameters.items()}
    x = torch.rand(6, 2, 4)
    x[4:, 1] = float("nan")
    lengths = torch.tensor([6, 4])
    found = engine.run(cell, params, x, lengths=lengths, runner=runner)
    found.output.sum().backward()
    assert bool((found.output[4:, 1] == 0).all())
    assert all(bool(p.grad.isfinite().all()) for p in params.values())


@pytest.mark.parametrize("runner", RUNNERS)
def test_gamma_draws(runner):
    """Moments of the gates, and of their gradient, as the reference draws them."""
    cell = BetaLSTM(input_size=2, hidden_size=400, variant="3g")
    shapes = engine.plan(cell, True).parameters
    params = {n: torch.zeros(s, dtype=torch.float64) for n, s in shapes.items()}
    # Gamma shapes of 0.13, 0.69 and 2.1.
    params["bias"][:1200] = torch.tensor([-2.0, 0.0, 2.0]).double().repeat_interleave(400)
    x = torch.zeros(6, 20, 2, dtype=torch.float64)

    def moments(name):
        leaves = {n: p.clone().requires_grad_() for n, p in params.items()}
        found = engine.run(
            cell, leaves, x, training=True, keep=("i", "f", "u_1"), runner=name,
            generator=torch.Generator().manual_seed(1),
        )  # fmt: skip
        i, f, u = (found.kept[n] for n in ("i", "f", "u_1"))
        (i.sum() + f.square().sum() + u.sum()).backward()
        sums = leaves["bias"].grad[:1200].view(3, 400).sum(1) / i.numel()
        values = [i, i**2, f, f**2, i * f, u.clamp(max=1), u.clamp(max=0.01)]
        return torch.stack([v.detach().mean() for v in values] + list(sums))

    wanted, found = moments("reference"), moments(runner)
    torch.testing.assert_close(found, wanted, rtol=0.04, atol=0.004)
    assert torch.equal(found, moments(runner))
