"""The operators to autograd: by what a layer's output is differentiated.

Written by hand, where ``torch.library.register_autograd`` would do: flattening its lists of tensors
and putting them together again takes longer than a short layer.

``gatedrnn::train`` hands over what the backward needs. ``gatedrnn::infer`` does not: its backward
runs the forward once more. Draws and noise are then the same again, since a seed and noise made
beforehand are among the operators' inputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch


def kept(keep: str) -> tuple[str, ...]:
    """The values that an operator returns a sequence of beside ``h``, from its ``keep``."""
    return tuple(n for n in dict.fromkeys(keep.split()) if n != "h")


def _groups(tensors: Sequence[torch.Tensor], counts: Sequence[int]) -> list[list[torch.Tensor]]:
    groups, at = [], 0
    for count in counts:
        groups.append(list(tensors[at : at + count]))
        at += count
    return groups


def _below(operator, keyset, *args):
    with torch._C._AutoDispatchBelowAutograd():
        return operator.redispatch(keyset & torch._C._after_autograd_keyset, *args)


class _Layer(torch.autograd.Function):
    """A layer; ``again`` says whether the backward runs the forward once more."""

    @staticmethod
    def forward(ctx, keyset, again, fixed, counts, seed, x, lengths, *tensors):
        runner, cell, training, keep, reverse = fixed
        operator = torch.ops.gatedrnn.infer if again else torch.ops.gatedrnn.train
        output = _below(
            operator.default, keyset, runner, cell, training, keep, x, lengths,
            *_groups(tensors, counts), reverse, seed,
        )  # fmt: skip
        ctx.set_materialize_grads(False)
        ctx.again, ctx.fixed, ctx.counts = again, fixed, counts
        sequences = () if again else output[: len(output) - counts[1]]
        ctx.save_for_backward(x, lengths, seed if again else None, *tensors, *sequences)
        return tuple(output)

    @staticmethod
    def backward(ctx, *grads):
        runner, cell, training, keep, reverse = ctx.fixed
        x, lengths, seed, *tensors = ctx.saved_tensors
        groups = _groups(tensors, ctx.counts)
        sequences = tensors[sum(ctx.counts) :]
        if ctx.again:
            output = torch.ops.gatedrnn.train.default(
                runner, cell, training, keep, x, lengths, *groups, reverse, seed
            )
            sequences = output[: len(output) - ctx.counts[1]]
        values = 1 + len(kept(keep))
        want_x = ctx.needs_input_grad[5]
        dx, *found = torch.ops.gatedrnn.backward.default(
            runner, cell, training, keep, x, lengths, *groups, reverse, sequences[0],
            list(sequences[1:]), grads[0], list(grads[1:values]),
            list(grads[len(grads) - ctx.counts[1] :]), want_x,
        )  # fmt: skip
        rest = [None] * ctx.counts[3]
        return None, None, None, None, None, dx if want_x else None, None, *found, *rest


def _differentiable(again: bool):
    operator = torch.ops.gatedrnn.infer if again else torch.ops.gatedrnn.train

    def run(keyset, runner, cell, training, keep, x, lengths, params, state, below, noise, reverse,
            seed):  # fmt: skip
        tensors = (*params, *state, *below, *noise)
        if not (torch.is_grad_enabled() and any(t.requires_grad for t in (x, *tensors))):
            return _below(
                operator.default, keyset, runner, cell, training, keep, x, lengths, params, state,
                below, noise, reverse, seed,
            )  # fmt: skip
        counts = (len(params), len(state), len(below), len(noise))
        fixed = (runner, cell, training, keep, reverse)
        return list(_Layer.apply(keyset, again, fixed, counts, seed, x, lengths, *tensors))

    return run


def _refuse(ctx, *grads):
    raise RuntimeError(
        "the fused runners of gatedrnn are differentiable once only; for a gradient of a gradient "
        "run with runner='reference' (or GATEDRNN_RUNNER=reference)"
    )


_LIBRARY = torch.library.Library("gatedrnn", "FRAGMENT")


def register() -> None:
    """Tells autograd of the operators, once they are defined."""
    _LIBRARY.impl("train", _differentiable(False), "Autograd", with_keyset=True)
    _LIBRARY.impl("infer", _differentiable(True), "Autograd", with_keyset=True)
    torch.library.register_autograd("gatedrnn::backward", _refuse)
