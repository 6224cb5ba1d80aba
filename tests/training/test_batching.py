"""Batches: bounded, complete, other ones in every epoch, dealt out to ranks."""

from __future__ import annotations

import pytest
import torch

from gatedrnn.training.batching import EpochBatchSampler, EvaluationBatchSampler, cut

DURATIONS = torch.empty(203).uniform_(0.5, 9.0, generator=torch.Generator().manual_seed(3)).tolist()


def epoch(sampler: EpochBatchSampler, number: int) -> list[list[int]]:
    sampler.set_epoch(number)
    return list(sampler)


@pytest.mark.parametrize(("spread", "padding"), [(0.0, 1.05), (0.1, 1.12), (1.0, 1.8)])
def test_every_utterance_once_within_the_bounds(spread, padding):
    sampler = EpochBatchSampler(DURATIONS, 30.0, max_size=12, spread=spread)
    for number in (1, 2):
        batches = epoch(sampler, number)
        assert sorted(i for batch in batches for i in batch) == list(range(len(DURATIONS)))
        assert len(sampler) == len(batches)
        for batch in batches:
            assert len(batch) <= 12
            assert max(DURATIONS[i] for i in batch) * len(batch) <= 30.0
    padded = sum(max(DURATIONS[i] for i in b) * len(b) for b in batches)
    assert padded < sum(DURATIONS) * padding


def test_epochs_have_other_batches_and_can_be_found_again():
    sampler = EpochBatchSampler(DURATIONS, 30.0, seed=5)
    one, two = epoch(sampler, 1), epoch(sampler, 2)
    # Not only the order: the members are others, too.
    common = {frozenset(b) for b in one} & {frozenset(b) for b in two}
    assert len(common) < len(one) / 10
    assert epoch(EpochBatchSampler(DURATIONS, 30.0, seed=5), 2) == two
    assert epoch(EpochBatchSampler(DURATIONS, 30.0, seed=6), 2) != two


def test_first_epochs_may_ascend():
    sampler = EpochBatchSampler(DURATIONS, 30.0, ascending_epochs=1, spread=0.0)
    longest = [max(DURATIONS[i] for i in batch) for batch in epoch(sampler, 1)]
    assert longest == sorted(longest)
    longest = [max(DURATIONS[i] for i in batch) for batch in epoch(sampler, 2)]
    assert longest != sorted(longest)


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_the_batches_of_one_process_with_larger_bounds(world):
    shares = [
        epoch(EpochBatchSampler(DURATIONS, 12.0, max_size=4, rank=r, world=world), 3)
        for r in range(world)
    ]
    together = [sorted(i for part in parts for i in part) for parts in zip(*shares, strict=True)]
    one = epoch(EpochBatchSampler(DURATIONS, 12.0 * world, max_size=4 * world), 3)
    assert len({len(share) for share in shares}) == 1
    assert all(part for share in shares for part in share)
    # Only batches too small for all ranks are joined with their neighbours.
    same = sum(batch in together for batch in (sorted(b) for b in one))
    assert same >= len(one) - 4
    assert sorted(i for batch in together for i in batch) == list(range(len(DURATIONS)))


def test_evaluation_batches_do_not_depend_on_the_number_of_ranks():
    one = list(EvaluationBatchSampler(DURATIONS, 30.0))
    shares = [list(EvaluationBatchSampler(DURATIONS, 30.0, rank=r, world=3)) for r in range(3)]
    assert sorted(one) == sorted(batch for share in shares for batch in share)


def test_bad_bounds_are_named():
    with pytest.raises(ValueError, match="max_seconds of a batch must be above 0, not 0"):
        EpochBatchSampler(DURATIONS, 0)
    with pytest.raises(ValueError, match="1 training utterances for 2 processes"):
        EpochBatchSampler([1.0], 10.0, world=2)


def test_a_batch_is_cut_where_its_padded_duration_would_be_too_long():
    assert cut([0, 1, 2], [1.0, 2.0, 3.0], max_seconds=4.0, max_size=None) == [[0, 1], [2]]
    assert cut([0, 1, 2], [1.0, 2.0, 3.0], max_seconds=9.0, max_size=1) == [[0], [1], [2]]
