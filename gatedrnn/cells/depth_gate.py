"""The depth gate, which the highway LSTM and the depth-gated LSTM share."""

from __future__ import annotations

import torch


def link(z_d, c_own, c_prev, c_below, w_cd, w_ld, b_d=0.0):
    """Adds the cell of the layer below, through the depth gate, to a layer's own cell::

        d = s(W_xd x + w_cd*c' + w_ld*c_below + b_d)      no term in h'
        c = d*c_below + c_own

    Arguments
    ---------
    z_d : torch.Tensor
        ``W_xd x``, shape (batch, K).
    c_own : torch.Tensor
        ``f*c' + i*tanh(...)``, (batch, K).
    c_prev : torch.Tensor
        Cell of this layer at the previous frame, (batch, K).
    c_below : torch.Tensor
        Cell of the layer below at this frame, (batch, K).
    w_cd : torch.Tensor
        Diagonal weight on the previous cell, (K,).
    w_ld : torch.Tensor
        Diagonal weight on the cell below, (K,).
    b_d : torch.Tensor or float
        Bias, (K,); 0 where there is none.

    Returns
    -------
    tuple of torch.Tensor
        The gate d and the cell c, (batch, K).

    Example
    -------
    >>> one, w = torch.ones(1, 2), torch.zeros(2)
    >>> link(one * 0, one, one, 4 * one, w, w)
    (tensor([[0.5000, 0.5000]]), tensor([[3., 3.]]))
    """
    d = torch.sigmoid(z_d + w_cd * c_prev + w_ld * c_below + b_d)
    return d, d * c_below + c_own
