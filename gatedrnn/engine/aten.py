"""Which of PyTorch's operators the printers know, and what they are in scalar operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._decomp import get_decompositions

from gatedrnn.engine.ir import Builder, Operand

aten = torch.ops.aten

#: Rarer activations, which PyTorch itself writes in terms of the operators below.
DECOMPOSITIONS = get_decompositions(
    [
        aten.silu,
        aten.silu_backward,
        aten.elu,
        aten.elu_backward,
        aten.leaky_relu,
        aten.leaky_relu_backward,
        aten.hardsigmoid,
        aten.hardsigmoid_backward,
        aten.hardtanh,
        aten.hardtanh_backward,
        aten.hardswish,
        aten.hardswish_backward,
        aten.log_sigmoid_forward,
        aten.log_sigmoid_backward,
        aten.addcmul,
        aten.addcdiv,
        aten.lerp,
    ]
)

#: Operators that move or retype a value without changing it. Shapes are checked by the tracer.
SAME = {
    aten.detach.default,
    aten.alias.default,
    aten.clone.default,
    aten.view.default,
    aten._unsafe_view.default,
    aten.reshape.default,
    aten.expand.default,
    aten.unsqueeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten._to_copy.default,
    aten.lift_fresh_copy.default,
}
#: Sums over the batch, which the gradient of a broadcast vector makes: the runner sums instead.
SUMS = {aten.sum.dim_IntList}

_FILLED = {
    aten.zeros_like.default: 0.0,
    aten.ones_like.default: 1.0,
    # Filled right after, where decompositions make one.
    aten.empty_like.default: 0.0,
    aten.new_zeros.default: 0.0,
    aten.new_ones.default: 1.0,
    aten.zeros.default: 0.0,
    aten.ones.default: 1.0,
}
_FULL = {
    aten.fill.Scalar: 1,
    aten.full.default: 1,
    aten.full_like.default: 1,
    aten.scalar_tensor.default: 0,
}

_PLAIN = {
    "mul": (aten.mul.Tensor, aten.mul.Scalar),
    "div": (aten.div.Tensor, aten.div.Scalar),
    "maximum": (aten.maximum.default,),
    "minimum": (aten.minimum.default,),
    "neg": (aten.neg.default,),
    "abs": (aten.abs.default,),
    "exp": (aten.exp.default,),
    "expm1": (aten.expm1.default,),
    "log": (aten.log.default,),
    "log1p": (aten.log1p.default,),
    "sqrt": (aten.sqrt.default,),
    "sigmoid": (aten.sigmoid.default,),
    "tanh": (aten.tanh.default,),
    "sgn": (aten.sgn.default, aten.sign.default),
    "and": (aten.logical_and.default, aten.logical_and_.default, aten.bitwise_and.Tensor),
    "or": (aten.logical_or.default, aten.bitwise_or.Tensor),
    "not": (aten.logical_not.default, aten.bitwise_not.default),
    "lt": (aten.lt.Scalar, aten.lt.Tensor),
    "le": (aten.le.Scalar, aten.le.Tensor),
    "gt": (aten.gt.Scalar, aten.gt.Tensor),
    "ge": (aten.ge.Scalar, aten.ge.Tensor),
    "eq": (aten.eq.Scalar, aten.eq.Tensor),
    "ne": (aten.ne.Scalar, aten.ne.Tensor),
    "where": (aten.where.self, aten.where.ScalarOther, aten.where.ScalarSelf, aten.where.Scalar),
    "gamma_grad": (aten._standard_gamma_grad.default,),
}


def _add(b: Builder, x: Operand, y: Operand, alpha: float = 1.0) -> Operand:
    return b.add(x, b.mul(y, float(alpha)))


def _sub(b: Builder, x: Operand, y: Operand, alpha: float = 1.0) -> Operand:
    return b.sub(x, b.mul(y, float(alpha)))


def _rsub(b: Builder, x: Operand, y: Operand, alpha: float = 1.0) -> Operand:
    return b.sub(y, b.mul(x, float(alpha)))


def _relu(b: Builder, x: Operand) -> Operand:
    return b.emit("maximum", x, 0.0)


def _clamp(b: Builder, x: Operand, low: Operand | None = None, high: Operand | None = None):
    if low is not None:
        x = b.emit("maximum", x, low)
    return x if high is None else b.emit("minimum", x, high)


def _softplus(b: Builder, z: Operand, beta: float = 1.0, threshold: float = 20.0) -> Operand:
    scaled = b.mul(z, float(beta))
    smooth = b.mul(b.emit("softplus", scaled), 1.0 / beta)
    # Above 40 the two agree to the last place of float64.
    return (
        smooth if threshold >= 40 else b.emit("where", b.emit("gt", scaled, threshold), z, smooth)
    )


def _softplus_backward(b: Builder, g: Operand, z: Operand, beta: float, threshold: float):
    scaled = b.mul(z, float(beta))
    smooth = b.mul(g, b.emit("sigmoid", scaled))
    return (
        smooth if threshold >= 40 else b.emit("where", b.emit("gt", scaled, threshold), g, smooth)
    )


def _sigmoid_backward(b: Builder, g: Operand, y: Operand) -> Operand:
    return b.mul(g, b.mul(y, b.sub(1.0, y)))


def _tanh_backward(b: Builder, g: Operand, y: Operand) -> Operand:
    return b.mul(g, b.sub(1.0, b.mul(y, y)))


def _threshold_backward(b: Builder, g: Operand, z: Operand, threshold: float) -> Operand:
    return b.emit("where", b.emit("le", z, float(threshold)), 0.0, g)


def _pow(b: Builder, x: Operand, exponent: float) -> Operand:
    if exponent == 0.5:
        return b.emit("sqrt", x)
    if exponent != int(exponent) or not 0 < abs(exponent) <= 8:
        raise KeyError("pow")
    y = x
    for _ in range(int(abs(exponent)) - 1):
        y = b.mul(y, x)
    return y if exponent > 0 else b.emit("div", 1.0, y)


def _gamma(b: Builder, a: Operand, generator: Any = None) -> Operand:
    return b.emit("gamma", a)


LOWERINGS: dict[Any, Callable[..., Operand]] = {
    aten.add.Tensor: _add,
    aten.add.Scalar: _add,
    aten.sub.Tensor: _sub,
    aten.sub.Scalar: _sub,
    aten.rsub.Tensor: _rsub,
    aten.rsub.Scalar: _rsub,
    aten.relu.default: _relu,
    aten.clamp.default: _clamp,
    aten.clamp_min.default: lambda b, x, low: _clamp(b, x, low),
    aten.clamp_max.default: lambda b, x, high: _clamp(b, x, None, high),
    aten.softplus.default: _softplus,
    aten.softplus_backward.default: _softplus_backward,
    aten.sigmoid_backward.default: _sigmoid_backward,
    aten.tanh_backward.default: _tanh_backward,
    aten.threshold_backward.default: _threshold_backward,
    aten.pow.Tensor_Scalar: _pow,
    # The gradient of torch.maximum and torch.minimum.
    aten.masked_fill.Scalar: lambda b, x, mask, value: b.emit("where", mask, value, x),
    aten.reciprocal.default: lambda b, x: b.emit("div", 1.0, x),
    aten.square.default: lambda b, x: b.mul(x, x),
    aten.rsqrt.default: lambda b, x: b.emit("div", 1.0, b.emit("sqrt", x)),
    aten._standard_gamma.default: _gamma,
}
for _name, _targets in _PLAIN.items():
    for _target in _targets:
        LOWERINGS[_target] = lambda b, *args, _name=_name: b.emit(_name, *args)


def lower(builder: Builder, target: Any, args: tuple, kwargs: dict) -> Operand:
    """Writes one operator of PyTorch as scalar operations.

    Arguments
    ---------
    builder : Builder
        Where to write.
    target : OpOverload
        The operator.
    args : tuple
        Its arguments; tensors are operands by now.
    kwargs : dict
        Its keyword arguments.

    Returns
    -------
    str or float
        The operand of its value.

    Raises
    ------
    KeyError
        If the operator is not known.
    """
    if target in _FILLED:
        return _FILLED[target]
    if target in _FULL:
        return float(args[_FULL[target]])
    if target in SAME or target in SUMS:
        return args[0]
    numbers = tuple(float(a) if type(a) in (int, bool) else a for a in args)
    return LOWERINGS[target](builder, *numbers, **kwargs)
