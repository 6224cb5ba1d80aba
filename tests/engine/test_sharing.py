"""What is traced once is the same; what only looks the same is not."""

from __future__ import annotations

import functools

import pytest
import torch

from gatedrnn import nnet
from gatedrnn.cells import SlimLSTM, Stage
from gatedrnn.engine import segments, sharing
from gatedrnn.engine.plan import plan
from tests.engine.own_cells import MinimalGatedUnit


def traced(cell, training=False):
    laid = plan(cell, training)
    return [sharing.traced(laid, draft) for draft in segments.split(laid)]


def test_layers_of_a_stack_are_traced_once(monkeypatch):
    number = []
    joint = segments.joint
    monkeypatch.setattr(sharing, "joint", lambda *a: number.append(a) or joint(*a))
    monkeypatch.setattr(sharing, "_TRACED", {})
    for size in (5, 9):
        net = nnet.ResidualLSTM(size, input_size=4, num_layers=6, proj_size=4, bidirectional=True)
        net(torch.rand(2, 3, 4))[0].sum().backward()
    # The first layer, the second and the others have the same stages: cell, then output; those of
    # the two directions' width at their input project their shortcut.
    assert len(number) <= 4


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SlimLSTM(input_size=3, hidden_size=4, variant="6", forget_const=0.5),
         SlimLSTM(input_size=3, hidden_size=4, variant="6", forget_const=0.25)),
        (SlimLSTM(input_size=3, hidden_size=4, activation="tanh"),
         SlimLSTM(input_size=3, hidden_size=4, activation="sigmoid")),
        (SlimLSTM(input_size=3, hidden_size=4),
         SlimLSTM(input_size=3, hidden_size=4, gate_activation="hard_sigmoid")),
        (MinimalGatedUnit(input_size=3, hidden_size=4),
         MinimalGatedUnit(input_size=3, hidden_size=4, bias=False)),
    ],
)  # fmt: skip
def test_options_that_change_a_function_are_told_apart(one, other):
    assert all(a is not b for a, b in zip(traced(one), traced(other), strict=True))
    assert all(a is b for a, b in zip(traced(one), traced(one), strict=True))


class Knowing(MinimalGatedUnit):
    """Its functions know the width, by what they hold, by a default, or as methods."""

    way = "held"

    def stages(self, training=False):
        first, second = super().stages(training)
        factor = float(self.hidden_size)

        def held(z_h, f, h_prev, b_h=0.0):
            return ((1 - f) * h_prev + factor * f * torch.tanh(z_h + b_h),)

        def given(z_h, f, h_prev, factor, b_h=0.0):
            return ((1 - f) * h_prev + factor * f * torch.tanh(z_h + b_h),)

        function = {
            "held": held,
            "method": self.method,
            "partial": functools.partial(given, factor=factor),
        }[self.way]
        takes = {"factor": "none"} if self.way == "partial" else {}
        return first, Stage(second.products, function, second.returns, takes)

    def method(self, z_h, f, h_prev, b_h=0.0):
        return ((1 - f) * h_prev + self.hidden_size * f * torch.tanh(z_h + b_h),)


@pytest.mark.parametrize("way", ["held", "method", "partial"])
def test_a_function_that_knows_a_size_is_traced_for_each(monkeypatch, way, compare):
    monkeypatch.setattr(Knowing, "way", way)
    small, large = (Knowing(input_size=3, hidden_size=k) for k in (4, 6))
    first, second = traced(small), traced(large)
    assert first[0] is second[0] and first[1] is not second[1]
    compare(small, "loop")
    compare(large, "loop")


def test_what_cannot_be_told_is_traced_anew():
    class Odd(MinimalGatedUnit):
        def stages(self, training=False):
            first, second = super().stages(training)
            odd = {1.0}  # cannot be hashed, nor told from another

            def update(z_h, f, h_prev, b_h=0.0):
                return ((1 - f) * h_prev + max(odd) * f * torch.tanh(z_h + b_h),)

            return first, Stage(second.products, update, second.returns)

    cell = Odd(input_size=3, hidden_size=4)
    assert traced(cell)[1] is not traced(cell)[1]


def test_a_function_that_holds_itself_is_traced():
    class Recursive(MinimalGatedUnit):
        def stages(self, training=False):
            first, second = super().stages(training)

            def halved(value, times):
                return halved(0.5 * value, times - 1) if times else value

            def update(z_h, f, h_prev, b_h=0.0):
                return ((1 - f) * h_prev + f * torch.tanh(halved(z_h + b_h, 2)),)

            return first, Stage(second.products, update, second.returns)

    assert len(traced(Recursive(input_size=3, hidden_size=4))) == 2
