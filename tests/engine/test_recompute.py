"""Running the forward once more in the backward: the same gradients from less memory."""

import pytest
import torch

from gatedrnn import nnet
from gatedrnn.engine.cpu import build

pytestmark = pytest.mark.skipif(build.obstacle() is not None, reason="no C++ compiler")


def results(name, recompute, **options):
    """Output, every gradient, and the bytes that autograd kept beside weights and input."""
    torch.manual_seed(0)
    net = getattr(nnet, name)(
        12, input_size=5, num_layers=3, bidirectional=True, recompute=recompute, **options
    ).train()
    x = torch.rand(2, 9, 5, requires_grad=True)
    given = {p.untyped_storage().data_ptr() for p in (x, *net.parameters())}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        output, (_, c) = net(x, lengths=torch.tensor([1.0, 0.6]))
        loss = output.square().sum() + c.sum()
        auxiliary = net.auxiliary_loss()
        (loss if auxiliary is None else loss + auxiliary).backward()
    size = sum(n for at, n in kept.items() if at not in given)
    return [output.detach(), x.grad, *(p.grad for p in net.parameters())], size


@pytest.mark.parametrize(
    ("name", "options"),
    [("LSTMP", {"proj_size": 7}), ("HighwayLSTM", {"proj_size": 7}), ("BetaLSTM", {}),
     ("G2LSTM", {})],
)  # fmt: skip
def test_same_gradients_from_less_memory(name, options):
    wanted, whole = results(name, False, **options)
    found, small = results(name, True, **options)
    for a, b in zip(wanted, found, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-6, atol=1e-6)
    # The highway's cells and G2's noise are inputs of a layer: they stay.
    assert small < (0.45 if name in ("LSTMP", "BetaLSTM") else 0.7) * whole


def test_noise_is_the_same_again():
    """Bit by bit: draws that were others would show in every gradient."""
    wanted, _ = results("BetaLSTM", False, prior_weight=0.1)
    found, _ = results("BetaLSTM", True, prior_weight=0.1)
    assert all(torch.equal(a, b) for a, b in zip(wanted, found, strict=True))
