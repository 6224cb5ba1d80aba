"""The few pointwise functions that the equations use beyond PyTorch's own."""

from __future__ import annotations

import torch


def hard_sigmoid(z: torch.Tensor) -> torch.Tensor:
    """Keras's piecewise linear gate, ``clip(0.2 z + 0.5, 0, 1)``.

    Arguments
    ---------
    z : torch.Tensor
        Pre-activation of any shape.

    Returns
    -------
    torch.Tensor
        Gate in [0, 1], same shape.

    Example
    -------
    >>> hard_sigmoid(torch.tensor([-3.0, 0.0, 3.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    return (0.2 * z + 0.5).clamp(0.0, 1.0)


def softplus(z: torch.Tensor) -> torch.Tensor:
    """``log(1 + exp(z))``, exact to rounding in float64 too.

    Arguments
    ---------
    z : torch.Tensor
        Any shape.

    Returns
    -------
    torch.Tensor
        Positive, same shape.

    Example
    -------
    >>> torch.exp(softplus(torch.zeros(1)))
    tensor([2.])
    """
    # torch returns z itself above the threshold: at its default of 20 that is 2e-9 off.
    return torch.nn.functional.softplus(z, threshold=50.0)


def standard_gamma(shape: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    """Draws Gamma(shape, rate 1), differentiable in ``shape`` (implicit reparameterisation).

    Arguments
    ---------
    shape : torch.Tensor
        Positive shape parameters, float32 or float64.
    generator : torch.Generator or None
        Source of the noise.

    Returns
    -------
    torch.Tensor
        One draw for every element, same shape and dtype.

    Example
    -------
    >>> a = torch.full((20000,), 2.0, dtype=torch.float64, requires_grad=True)
    >>> u = standard_gamma(a, torch.Generator().manual_seed(0))
    >>> abs(u.mean().item() - 2.0) < 0.05
    True
    """
    return torch._standard_gamma(shape, generator=generator)


def binary_logistic_noise(
    shape: tuple[int, ...],
    *,
    p: float,
    generator: torch.Generator | None,
    dtype: torch.dtype,
    device: torch.device,
) -> torch.Tensor:
    """``B * (log(U + e) - log(1 - U + e))``, U ~ Uniform(0, 1), B ~ Bernoulli(p), e = 1e-3.

    Arguments
    ---------
    shape : tuple of int
        Shape of the draw.
    p : float
        Probability that an element gets any noise.
    generator : torch.Generator or None
        Source of the noise.
    dtype : torch.dtype
        Of the draw.
    device : torch.device
        Of the draw.

    Returns
    -------
    torch.Tensor

    Example
    -------
    >>> binary_logistic_noise((2, 3), p=0.0, generator=None, dtype=torch.float32,
    ...                       device=torch.device("cpu")).count_nonzero()
    tensor(0)
    """
    e = 1e-3
    u = torch.rand(shape, generator=generator, dtype=dtype, device=device)
    keep = torch.rand(shape, generator=generator, dtype=dtype, device=device) < p
    return keep * (torch.log(u + e) - torch.log(1 - u + e))
