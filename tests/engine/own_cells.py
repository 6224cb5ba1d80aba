"""Cells a user might declare."""

from dataclasses import dataclass

import torch

from gatedrnn.cells import Cell, Stage


@dataclass(frozen=True, kw_only=True)
class MinimalGatedUnit(Cell):
    """G.-B. Zhou et al. 2016: ``f = s(W_f x + U_f h' + b_f)``, ``h = (1-f)*h' + f*tanh(...)``."""

    def weights(self):
        m, n = self.input_size, self.hidden_size
        shapes = {f"W_{g}": (n, m) for g in "fh"} | {f"U_{g}": (n, n) for g in "fh"}
        return self._with_bias(shapes | {"b_f": (n,), "b_h": (n,)})

    def states(self):
        return {"h": self.hidden_size}

    def stages(self, training=False):
        def forget(z_f, h_prev, b_f=0.0):
            f = torch.sigmoid(z_f + b_f)
            return f, f * h_prev

        def update(f, z_h, h_prev, b_h=0.0):
            return ((1 - f) * h_prev + f * torch.tanh(z_h + b_h),)

        return (
            Stage({"z_f": "W_f x + U_f h'"}, forget, ("f", "r")),
            Stage({"z_h": "W_h x + U_h r"}, update, ("h",)),
        )


@dataclass(frozen=True, kw_only=True)
class Everything(MinimalGatedUnit):
    """The minimal gated unit with one of every operation the printers know."""

    def stages(self, training=False):
        def forget(z_f, h_prev, b_f=0.0):
            z = z_f + b_f
            f = torch.nn.functional.hardsigmoid(z) + 0.1 * torch.nn.functional.silu(z)
            r = torch.where(z > 0.3, torch.expm1(0.2 * z), torch.log1p(z * z)) * h_prev.clamp(-1, 2)
            return f, r + torch.sqrt(z.abs() + 1.0) + torch.nn.functional.leaky_relu(z) ** 2

        def update(f, z_h, h_prev, b_h=0.0):
            z = torch.nn.functional.softplus(z_h + b_h) + torch.relu(z_h) - torch.exp(-z_h * z_h)
            best = torch.maximum(z, h_prev) / (2.0 + torch.minimum(f, z).square())
            return (torch.tanh(best + torch.log(1.5 + torch.sigmoid(z)) + torch.sign(z)),)

        return (
            Stage({"z_f": "W_f x + U_f h'"}, forget, ("f", "r")),
            Stage({"z_h": "W_h x + U_h r"}, update, ("h",)),
        )


@dataclass(frozen=True, kw_only=True)
class Sorted(MinimalGatedUnit):
    """A function that is not pointwise."""

    def stages(self, training=False):
        def update(z, h_prev, b_f=0.0, b_h=0.0):
            return (torch.softmax(z + b_f + b_h, dim=-1) * h_prev,)

        return (Stage({"z": "W_f x + U_f h'", "y": "W_h x + U_h h'"}, update, ("h",)),)


@dataclass(frozen=True, kw_only=True)
class Unknown(MinimalGatedUnit):
    """An operator that the printers do not know."""

    def stages(self, training=False):
        def update(z, y, b_f=0.0, b_h=0.0):
            return (torch.erf(z + b_f) * torch.tanh(y + b_h),)

        return (Stage({"z": "W_f x + U_f h'", "y": "W_h x + U_h h'"}, update, ("h",)),)
