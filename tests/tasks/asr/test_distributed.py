"""Data-parallel training: the same as one process with the whole batch; nothing hangs."""

from __future__ import annotations

import pytest
import torch

from tests.tasks.asr.tiny import launch

CASE = {"epochs": 2, "augment": False, "train": 11, "valid": 7, "max_batch_size": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pair")


@pytest.fixture(scope="module")
def pair(folder):
    outcomes = launch(folder, world=2, max_batch_seconds=3.0, **CASE)
    assert [o.code for o in outcomes] == [0, 0], outcomes[0].said + outcomes[1].said
    return outcomes


def test_two_processes_equal_one_with_the_double_batch(tmp_path, pair):
    (one,) = launch(tmp_path, max_batch_seconds=6.0, **(CASE | {"max_batch_size": 4}))
    assert one.code == 0, one.said
    # Each process had its share of the utterances, of unequal lengths.
    shares = [sorted(a + b) for a, b in zip(pair[0].batches, pair[1].batches, strict=True)]
    assert shares == [sorted(batch) for batch in one.batches]
    assert any(len(a) != len(b) for a, b in zip(pair[0].batches, pair[1].batches, strict=True))
    assert pair[0].losses == pytest.approx(one.losses, abs=1e-5)
    for name, weight in one.weights.items():
        assert torch.allclose(pair[0].weights[name], weight, atol=1e-5), name


def test_all_ranks_hold_equal_weights_and_know_the_same_losses(pair):
    for name, weight in pair[0].weights.items():
        assert torch.equal(weight, pair[1].weights[name]), name
    assert pair[0].losses == pair[1].losses


def test_shared_validation_gives_the_error_rate_of_one_process(folder, pair):
    assert pair[0].figures == pair[1].figures
    files = {path: path.read_text() for path in folder.glob("*[lt].txt") if "wer" in path.name}
    (one,) = launch(folder, max_batch_seconds=3.0, run_opts={"test_only": True}, **CASE)
    assert one.code == 0, one.said
    assert one.figures == pair[0].figures
    assert files
    assert {path: path.read_text() for path in files} == files


def test_ranks_draw_different_noise(tmp_path):
    case = CASE | {"augment": True, "dropout": 0.5, "network": "beta", "train": 8}
    outcomes = launch(tmp_path, world=2, max_batch_seconds=3.0, **case)
    assert [o.code for o in outcomes] == [0, 0], outcomes[0].said
    states = torch.load(next((tmp_path / "save").glob("CKPT+2*")) / "random.ckpt")
    assert len(states) == 2
    assert not torch.equal(states[0]["torch"], states[1]["torch"])
    for name, weight in outcomes[0].weights.items():
        assert torch.equal(weight, outcomes[1].weights[name]), name


def test_a_loss_that_is_not_finite_on_one_rank_is_left_out_by_all(tmp_path):
    outcomes = launch(
        tmp_path, world=2, environment={"NAN_AT": "1.2.1"}, max_batch_seconds=3.0, **CASE
    )
    assert [o.code for o in outcomes] == [0, 0], outcomes[0].said
    for name, weight in outcomes[0].weights.items():
        assert torch.equal(weight, outcomes[1].weights[name]), name
        assert torch.isfinite(weight).all(), name
    assert "the loss is not finite in batch 2 of epoch 1 (rank 1: train-" in outcomes[0].said
    assert "all ranks leave the step out (1 of at most 3 in an epoch)" in outcomes[0].said
    log = (tmp_path / "train_log.txt").read_text().splitlines()
    assert "skipped steps: 1" in log[0]
    assert "skipped steps: 0" in log[1]


def test_the_patience_ends_on_all_ranks_with_a_clear_error(tmp_path):
    outcomes = launch(
        tmp_path, world=2, environment={"NAN_AT": "1.1.0,1.2.1,1.3.0"}, max_batch_seconds=3.0,
        run_opts={"nonfinite_patience": 1}, **CASE,
    )  # fmt: skip
    assert [o.code for o in outcomes] == [1, 1]
    for outcome in outcomes:
        assert "NonFiniteLossError: the loss is not finite in batch 2 of epoch 1" in outcome.said
        assert "more than nonfinite_patience: 1 allows" in outcome.said


def test_resumes_with_another_number_of_processes(tmp_path):
    launch(tmp_path, world=2, max_batch_seconds=3.0, **(CASE | {"epochs": 1}))
    (one,) = launch(tmp_path, max_batch_seconds=3.0, **CASE)
    assert one.code == 0, one.said
    assert "was written by 2 process(es), now there are 1" in one.said
    assert len((tmp_path / "train_log.txt").read_text().splitlines()) == 2
