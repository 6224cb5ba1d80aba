"""Optimisers by one key."""

import pytest
import torch

from gatedrnn.training.optimizers import make_optimiser


def train(optimiser_of, steps=5):
    torch.manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(3, 4).double()), torch.nn.Parameter(torch.ones(2))]
    optimiser = optimiser_of(weights)
    for _ in range(steps):
        optimiser.zero_grad()
        sum((weight**4).sum() for weight in weights).backward()
        optimiser.step()
    return [weight.detach() for weight in weights]


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_in_one_pass_takes_the_steps_of_the_plain_one(name):
    plain = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
    options = {"lr": 0.1, "betas": (0.8, 0.95), "weight_decay": 0.3}
    expected = train(lambda weights: plain(weights, foreach=False, **options))
    actual = train(lambda weights: make_optimiser(weights, name, **options))
    torch.testing.assert_close(actual[0], expected[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(actual[1], expected[1])


def test_adam_makes_one_pass():
    optimiser = make_optimiser([torch.nn.Parameter(torch.ones(1))], "adam", lr=0.1)
    assert optimiser.defaults["fused"] is True


def test_an_unknown_name_is_an_error():
    with pytest.raises(ValueError, match="sgd, adam, adamw, not 'lion'"):
        make_optimiser([], "lion", lr=0.1)
