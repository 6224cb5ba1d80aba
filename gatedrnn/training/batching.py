"""Batches: which items they have in every epoch and on every rank, and what is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Sampler


class Batch:
    """Items of a dataset side by side; all its tensors move to a device together.

    **fields: Attributes of the batch: padded tensors, relative lengths, targets, ...
    """

    def __init__(self, id: Sequence[str], **fields: Any) -> None:
        self.id = tuple(id)
        vars(self).update(fields)

    def __len__(self) -> int:
        return len(self.id)

    def to(self, device: torch.device | str) -> Batch:
        """Moves the tensors to a device; returns this batch."""
        return self._replace(lambda tensor: tensor.to(device))

    def pin_memory(self) -> Batch:
        """Pins the tensors, for fast copies to a GPU; returns this batch."""
        return self._replace(torch.Tensor.pin_memory)

    def _replace(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        for name, value in vars(self).items():
            if isinstance(value, torch.Tensor):
                setattr(self, name, change(value))
        return self


def pad(sequences: Sequence[torch.Tensor], value: float = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Pads sequences (time, ...) to (batch, time, ...), and gives their relative lengths (batch,).

    ``value`` stands past the end of a sequence.
    """
    padded = pad_sequence(list(sequences), batch_first=True, padding_value=value)
    return padded, torch.tensor([len(sequence) for sequence in sequences]) / padded.shape[1]


class EpochBatchSampler(Sampler[list[int]]):
    """Training batches bounded by their padded duration; an epoch's batches follow from its number.

    Utterances are sorted by a length with noise on it and cut into batches, which are then put in
    random order: batches have little padding, differ from epoch to epoch, and can be reproduced
    when training resumes within an epoch.

    Under data parallelism the ranks share the utterances of a batch: N processes train on the same
    batches as one process with N times the bounds.

    Arguments
    ---------
    durations : sequence of float
        Duration of every utterance, in seconds.
    max_seconds : float
        Longest duration times number of utterances, in one process's part of a batch. A longer
        utterance makes a batch of its own.
    max_size : int or None
        Maximum number of utterances in one process's part of a batch.
    spread : float
        How far lengths are perturbed before sorting: 0 gives the least padding, 1 mixes well.
    ascending_epochs : int
        Number of first epochs in the order of length, shortest first: connectionist temporal
        classification finds alignments of short utterances more easily.
    seed : int
        Seed of the batches.
    rank, world : int
        This process, and the number of processes.

    Raises
    ------
    ValueError
        If there are fewer utterances than processes, or a bound is not positive.

    Example
    -------
    >>> sampler = EpochBatchSampler([1.0, 5.0, 2.0, 4.0, 3.0, 1.5], max_seconds=6.0, seed=1)
    >>> first = list(sampler)
    >>> sorted(i for batch in first for i in batch)
    [0, 1, 2, 3, 4, 5]
    >>> sampler.set_epoch(2)
    >>> list(sampler) == first
    False
    """

    def __init__(
        self,
        durations: Sequence[float],
        max_seconds: float,
        *,
        max_size: int | None = None,
        spread: float = 0.1,
        ascending_epochs: int = 0,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if len(durations) < world:
            raise ValueError(
                f"there are {len(durations)} training utterances for {world} processes: every "
                "process needs at least one"
            )
        _check_bounds(max_seconds, max_size)
        if not 0.0 <= spread <= 1.0:
            raise ValueError(f"spread must be in [0, 1], not {spread}")
        self.durations = torch.as_tensor(durations, dtype=torch.float64)
        self.max_seconds, self.max_size = max_seconds, max_size
        self.spread, self.ascending_epochs = spread, ascending_epochs
        self.seed, self.rank, self.world = seed, rank, world
        self.set_epoch(1)

    def set_epoch(self, epoch: int) -> None:
        """Makes the batches of an epoch."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        noise = torch.rand(len(self.durations), generator=generator, dtype=torch.float64)
        order = torch.argsort(self.durations * (1.0 + self.spread * (2.0 * noise - 1.0)))
        batches = cut(
            order.tolist(),
            self.durations.tolist(),
            self.max_seconds * self.world,
            None if self.max_size is None else self.max_size * self.world,
        )
        batches = _fill(batches, self.world)
        if epoch > self.ascending_epochs:
            batches = [batches[i] for i in torch.randperm(len(batches), generator=generator)]
        #: Batches of all processes together.
        self.batches = batches

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.batches:
            # Dealt out in the order of length, so that shares are about equally long.
            dealt = sorted(batch, key=lambda i: (-float(self.durations[i]), i))
            yield dealt[self.rank :: self.world]

    def __len__(self) -> int:
        return len(self.batches)


class EvaluationBatchSampler(Sampler[list[int]]):
    """Batches for validation and test: always the same ones, whole batches for each rank in turn.

    Batches do not depend on the number of processes, so that results are bit-identical.

    Arguments
    ---------
    durations : sequence of float
        Duration of every utterance, in seconds.
    max_seconds : float
        Longest duration times number of utterances of a batch.
    max_size : int or None
        Maximum number of utterances of a batch.
    rank, world : int
        This process, and the number of processes.

    Example
    -------
    >>> one = EvaluationBatchSampler([1.0, 3.0, 2.0], max_seconds=4.0)
    >>> list(one)
    [[1], [2, 0]]
    >>> list(EvaluationBatchSampler([1.0, 3.0, 2.0], max_seconds=4.0, rank=1, world=2))
    [[2, 0]]
    """

    def __init__(
        self,
        durations: Sequence[float],
        max_seconds: float,
        *,
        max_size: int | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        _check_bounds(max_seconds, max_size)
        order = sorted(range(len(durations)), key=lambda i: (-durations[i], i))
        self.batches = cut(order, durations, max_seconds, max_size)[rank::world]

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def cut(
    order: Sequence[int], durations: Sequence[float], max_seconds: float, max_size: int | None
) -> list[list[int]]:
    """Cuts a sequence of utterances into batches of bounded padded duration."""
    batches: list[list[int]] = []
    longest = 0.0
    for index in order:
        longest = max(longest, durations[index])
        size = len(batches[-1]) + 1 if batches else 1
        fits = longest * size <= max_seconds and (max_size is None or size <= max_size)
        if batches and fits:
            batches[-1].append(index)
        else:
            batches.append([index])
            longest = durations[index]
    return batches


def _check_bounds(max_seconds: float, max_size: int | None) -> None:
    if not max_seconds > 0:
        raise ValueError(f"max_seconds of a batch must be above 0, not {max_seconds}")
    if max_size is not None and max_size < 1:
        raise ValueError(f"max_size of a batch must be at least 1, not {max_size}")


def _fill(batches: list[list[int]], world: int) -> list[list[int]]:
    """Joins batches that have too few utterances for every rank to get one."""
    filled: list[list[int]] = []
    for batch in batches:
        if filled and (len(batch) < world or len(filled[-1]) < world):
            filled[-1] = filled[-1] + batch
        else:
            filled.append(batch)
    return filled
