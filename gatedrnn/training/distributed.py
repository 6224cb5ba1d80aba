"""Data-parallel processes: sums and gathering, and batch normalization over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

Item = TypeVar("Item")


def rank_and_world() -> tuple[int, int]:
    """Rank of this process and number of processes; (0, 1) without data parallelism."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def gather(item: Item) -> list[Item]:
    """The objects of all ranks, in their order, on every rank."""
    _, world = rank_and_world()
    if world == 1:
        return [item]
    items: list[Item | None] = [None] * world
    torch.distributed.all_gather_object(items, item)
    return items


def sum_over_ranks(values: Sequence[float], device: torch.device | str) -> list[float]:
    """Sums of numbers over the ranks."""
    _, world = rank_and_world()
    if world == 1:
        return list(values)
    tensor = torch.tensor(values, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(tensor)
    return tensor.tolist()


class SummedOverRanks(torch.autograd.Function):
    """The sum of a tensor over all ranks, and of its gradients too."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor) -> torch.Tensor:
        """Sums."""
        return _summed(value)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        """Sums: each rank's value contributes to the losses of all."""
        return _summed(gradient)


class SynchronisedBatchNorm(_NormBase):
    """Batch normalisation by the mean and the variance of all ranks' batches together.

    What ``torch.nn.SyncBatchNorm`` is on GPUs, on any device whose process group can sum: two
    processes normalise as one with both batches would, however unequal these are. Without a
    process group, and in evaluation, it is an ordinary batch normalisation. Made by
    :func:`synchronise`; names and shapes of weights and averages are those of what it replaces.
    No subclass of PyTorch's batch normalisations, which SpeechBrain would make ``SyncBatchNorm``.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalises."""
        if not (self.training and distributed.is_available() and distributed.is_initialized()):
            return self._alone(input)
        axes = [axis for axis in range(input.dim()) if axis != 1]
        # Sums of squares need more digits than half and single precision have.
        wide = input.double()
        own = torch.cat([
            wide.sum(axes), wide.square().sum(axes),
            wide.new_tensor([input.numel() / input.shape[1]]),
        ])  # fmt: skip
        total, squares, number = SummedOverRanks.apply(own).tensor_split(
            [input.shape[1], 2 * input.shape[1]]
        )
        count = number.detach()
        if count < 2:
            raise ValueError("batch normalisation needs more than one value of a channel")
        mean = total / count
        variance = (squares / count - mean.square()).clamp_min(0.0)
        if self.track_running_stats:
            self._remember(mean.detach(), (variance * count / (count - 1)).detach())
        scale = torch.rsqrt(variance + self.eps)
        shift = -mean * scale
        if self.affine:
            scale, shift = scale * self.weight, shift * self.weight + self.bias
        shape = [1, -1] + [1] * (input.dim() - 2)
        return (wide * scale.view(shape) + shift.view(shape)).to(input.dtype)

    def _alone(self, input: torch.Tensor) -> torch.Tensor:
        by_batch = self.training or self.running_mean is None
        part = self.momentum
        if self.training and self.track_running_stats:
            self.num_batches_tracked += 1
            part = 1.0 / float(self.num_batches_tracked) if part is None else part
        return nn.functional.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, by_batch,
            part or 0.0, self.eps,
        )  # fmt: skip

    @torch.no_grad()
    def _remember(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        self.num_batches_tracked += 1
        part = self.momentum
        if part is None:
            part = 1.0 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), part)
        self.running_var.lerp_(variance.to(self.running_var.dtype), part)


def synchronise(module: nn.Module) -> nn.Module:
    """Has the batch normalisations of a module normalise over all ranks.

    module: Any; its parts are replaced in place.
    Returns: The module, or what replaces it if it is a batch normalisation itself.
    """
    if isinstance(module, _BatchNorm):
        replacement = SynchronisedBatchNorm(
            module.num_features, module.eps, module.momentum, module.affine,
            module.track_running_stats,
        )  # fmt: skip
        # The same tensors: an optimizer, or a module that shares them, may have them already.
        replacement._parameters = module._parameters
        replacement._buffers = module._buffers
        return replacement.train(module.training)
    for name, part in module.named_children():
        replacement = synchronise(part)
        if replacement is not part:
            setattr(module, name, replacement)
    return module


def _summed(value: torch.Tensor) -> torch.Tensor:
    value = value.clone()
    distributed.all_reduce(value)
    return value
