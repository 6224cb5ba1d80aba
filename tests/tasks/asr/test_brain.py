"""The recogniser's training in one process: it learns, clips everything, leaves bad steps out."""

from __future__ import annotations

import json

import pytest
import torch
from speechbrain import Stage

from gatedrnn.training import NonFiniteLossError
from tests.tasks.asr.tiny import Watched, WatchedRecogniserBrain, train


def test_it_learns_a_few_utterances_by_heart(tmp_path):
    figures = train(
        tmp_path, train=4, valid=4, epochs=40, hidden_size=48, proj_size=24, lr=0.03,
        augment=False, bidirectional=True, beam_size=4, valid_is_train=True,
    )  # fmt: skip
    assert figures["dev"]["WER"] == 0.0
    assert figures["dev"]["loss"] < 0.1
    records = [json.loads(line) for line in (tmp_path / "nbest_dev.jsonl").open()]
    assert all(r["hyps"][0]["text"] == r["ref"] for r in records)
    assert all(r["words"][-1]["end"] < 3.0 for r in records)
    assert len((tmp_path / "train_log.txt").read_text().splitlines()) == 40


def test_epochs_have_other_batches(tmp_path):
    train(tmp_path, epochs=3, train=20)
    batches = Watched.instance.batch_ids
    per_epoch = len(batches) // 3
    epochs = [batches[i * per_epoch : (i + 1) * per_epoch] for i in range(3)]
    assert len({frozenset(map(frozenset, epoch)) for epoch in epochs}) == 3
    assert len({tuple(sorted(sum(epoch, []))) for epoch in epochs}) == 1


def test_the_first_epochs_are_clean(tmp_path, monkeypatch):
    seen = {1: set(), 2: set(), 3: set()}
    brain = WatchedRecogniserBrain
    forward = brain.compute_forward

    def spy(self, batch, stage):
        if stage == Stage.TRAIN:
            model = self.modules["model"]
            calls = []
            monkeypatch.setattr(self.hparams.fea_augment, "forward", keep(calls))
            outputs = forward(self, batch, stage)
            seen[self.epoch].add((model.dropout.p, model.encoder.dropout, len(calls)))
            return outputs
        return forward(self, batch, stage)

    def keep(calls):
        return lambda x, lengths: (calls.append(0) or x, lengths)

    monkeypatch.setattr(brain, "compute_forward", spy)
    train(tmp_path, clean_epochs=2, epochs=3, train=4, dropout=0.25, num_layers=2)
    assert seen == {1: {(0.0, 0.0, 0)}, 2: {(0.0, 0.0, 0)}, 3: {(0.25, 0.25, 1)}}


def test_gradients_of_all_groups_are_clipped_together(tmp_path, monkeypatch):
    seen = []
    step = torch.optim.Adam.step

    def spy(self, *args, **kwargs):
        groups = [[p.grad.norm() for p in g["params"]] for g in self.param_groups]
        seen.append((len(groups), float(torch.stack(sum(groups, [])).norm())))
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", spy)
    options = {"max_grad_norm": 0.01, "remove_vector_weight_decay": True}
    train(tmp_path, options, epochs=1)
    assert seen
    for groups, norm in seen:
        assert groups == 2
        assert norm == pytest.approx(0.01, rel=1e-3)


def test_a_norm_that_would_reverse_the_gradient_is_refused(tmp_path):
    with pytest.raises(ValueError, match="max_grad_norm must be above 0"):
        train(tmp_path, {"max_grad_norm": -1.0}, epochs=1)


def test_accumulated_batches_equal_a_larger_one_and_the_last_are_not_lost(tmp_path):
    steps = {}
    for name, factor in (("one", 1), ("three", 3)):
        train(
            tmp_path / name,
            {"grad_accumulation_factor": factor},
            epochs=1,
            train=10,
            max_batch_size=3,
        )
        brain = Watched.instance
        steps[name] = brain.optimizer_step, len(brain.losses)
    assert steps["one"][0] == steps["one"][1] == 4
    assert steps["three"] == (2, 4)


def test_bad_steps_are_left_out_until_patience_ends(tmp_path, monkeypatch):
    monkeypatch.setenv("NAN_AT", "1.1.0,1.2.0")
    train(tmp_path / "patient", {"nonfinite_patience": 2}, epochs=1, train=10, max_batch_size=3)
    assert Watched.instance.optimizer_step == 2
    model = Watched.instance.checkpointer.recoverables["model"]
    assert all(torch.isfinite(p).all() for p in model.parameters())
    with pytest.raises(NonFiniteLossError, match=r"batch 2 of epoch 1 \(rank 0: train-"):
        train(
            tmp_path / "impatient", {"nonfinite_patience": 1}, epochs=1, train=10, max_batch_size=3
        )


def test_an_accumulated_group_with_a_bad_batch_is_left_out_whole(tmp_path, monkeypatch):
    monkeypatch.setenv("NAN_AT", "1.1.0")
    train(tmp_path, {"grad_accumulation_factor": 2}, epochs=1, train=10, max_batch_size=3)
    assert Watched.instance.optimizer_step == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"network": "beta", "network_options": {"prior_weight": 0.01}},
        {"bptt_frames": 5, "network": "residual", "num_layers": 2},
        {"tokens": "bpe", "pieces": 7},
        {"norm_type": "global"},
        {"network": "stock_lstm", "num_layers": 2, "bidirectional": True},
    ],
    ids=["beta", "truncated", "pieces", "global", "stock"],
)
def test_variants_train(tmp_path, changes):
    train(tmp_path, epochs=1, **changes)
    assert all(loss == loss for loss in Watched.instance.losses)


def test_the_loss_of_beta_gates_is_added(tmp_path):
    losses = []
    for weight in (0.0, 10.0):
        train(
            tmp_path / str(weight), epochs=1, train=4, network="beta",
            network_options={"prior_weight": weight},
        )  # fmt: skip
        losses.append(Watched.instance.losses[0])
    assert losses[1] > losses[0] + 1.0


def test_bf16(tmp_path):
    train(tmp_path, {"precision": "bf16"}, epochs=1)
    assert all(loss == loss for loss in Watched.instance.losses)


def test_training_stops_early(tmp_path):
    train(tmp_path, epochs=9, patience=1, lr=1e-9)
    assert len((tmp_path / "train_log.txt").read_text().splitlines()) < 9


def test_an_utterance_too_short_for_its_transcript_is_named(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("gatedrnn.tasks.asr.brain.logger.warning", said.append)
    train(tmp_path, epochs=1, factor=20)
    assert "have too few frames for their tokens" in said[0]


def test_figures_travel_into_the_learning_curve(tmp_path, learning_curves):
    pytest.importorskip("matplotlib")
    train(tmp_path, epochs=1)
    assert (tmp_path / "learning_curve.png").read_bytes()[1:4] == b"PNG"
