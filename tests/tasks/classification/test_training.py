"""Training of classifiers: the best epoch, interruptions, several processes, folds."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest
import torch

from gatedrnn.tasks.classification.train import ClassifierTraining
from gatedrnn.tokens import load
from tests.tasks.asr.tiny import launch
from tests.tasks.classification.tiny import WatchedClassifierBrain, hparams, sets, train


def test_it_learns_and_tests_the_best(tmp_path):
    metrics = train(tmp_path, epochs=4, lr=0.05)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["sets"] == metrics
    assert metrics["test"]["accuracy"] > 80
    log = WatchedClassifierBrain.instance.log.rows
    assert metrics["valid"]["accuracy"] == max(row["valid"]["accuracy"] for row in log)
    assert results["steps"] == 4 * 8
    assert results["parameters"] == results["parameters without embedding"]
    table = [line.split("\t") for line in (tmp_path / "confusion_test.tsv").read_text().split("\n")]
    assert table[0] == ["class", "low", "high"]
    counts = np.array([[int(n) for n in row[1:]] for row in table[1:3]])
    assert counts.sum() == 9
    assert 100 * counts.trace() / 9 == pytest.approx(metrics["test"]["accuracy"])
    rows = (tmp_path / "predictions_test.tsv").read_text().splitlines()
    assert len(rows) == 10
    assert rows[1].split("\t")[0] == "test-0"


def test_words_with_a_vector_are_known_though_not_in_training(tmp_path):
    data = sets("sentences")
    data.tests[0].inputs[0] = "w1 unseen strange"
    vectors = tmp_path / "a.txt"
    vectors.write_text("good 1 2 3\nunseen 4 5 6\nnowhere 7 8 9\n")
    chosen = {"kind": "sentences", "vectors": str(vectors), "embedding_size": 3, "trainable": False}
    made = hparams(tmp_path / "out", **chosen)
    ClassifierTraining.brain_class = WatchedClassifierBrain
    ClassifierTraining(made, {"device": "cpu", "noprogressbar": True}, data).run()
    tokens = load(tmp_path / "out" / "tokens.json")
    assert "unseen" in tokens.names
    assert not {"strange", "nowhere"} & set(tokens.names)
    table = WatchedClassifierBrain.instance.modules["model"].embedding.table.weight
    for word, vector in (("good", [1, 2, 3]), ("unseen", [4, 5, 6])):
        assert table[tokens.names.index(word)].tolist() == vector
    assert not table.requires_grad
    with pytest.raises(ValueError, match="vectors: are those of words, but tokens is char"):
        train(tmp_path / "other", kind="sentences", tokens="characters", vectors=str(vectors))
    with pytest.raises(ValueError, match="holds words of an earlier training"):
        train(tmp_path / "out", kind="sentences", tokens="characters")


def test_a_prior_counts_in_training_only(tmp_path):
    options = {"variant": "5g", "prior_weight": 0.1}
    metrics = train(tmp_path, network="beta", network_options=options, lr=0.0, epochs=1)
    losses = WatchedClassifierBrain.instance.losses
    assert min(losses) > metrics["valid"]["loss"] + 0.1
    with pytest.raises(ValueError, match=r"label_smoothing must be in \[0, 1\), not 1"):
        train(tmp_path / "smooth", label_smoothing=1.0)


# ---- interrupted ----------------------------------------------------------------------------

CASES = {
    "frames": {"kind": "frames", "network": "beta", "dropout": 0.1},
    "sentences": {"kind": "sentences", "word_dropout": 0.2, "pooling": "max",
                  "bidirectional": True, "max_batch_frames": 20},
}  # fmt: skip
COMMON = {"task": train, "run_opts": {"ckpt_interval_steps": 2}}


@pytest.mark.parametrize(("kind", "moment"), [("frames", "2.4"), ("sentences", "1.4")])
def test_killed_and_started_again_it_ends_the_same(tmp_path, kind, moment):
    case = COMMON | CASES[kind]
    (whole,) = launch(tmp_path / "whole", **case)
    assert whole.code == 0, whole.said
    folder = tmp_path / "broken"
    (killed,) = launch(folder, environment={"KILL_AT": moment}, **case)
    assert killed.code == -signal.SIGKILL, killed.said
    (outcome,) = launch(folder, **case)
    assert outcome.code == 0, outcome.said
    assert 0 < len(outcome.losses) < len(whole.losses)
    assert outcome.losses == whole.losses[-len(outcome.losses) :]
    for name, weight in whole.weights.items():
        assert torch.equal(outcome.weights[name], weight), name
    assert outcome.figures == whole.figures


# ---- several processes ----------------------------------------------------------------------


def test_two_processes_are_one_with_twice_the_batch(tmp_path):
    case = {"task": train, "kind": "sentences", "pooling": "mean", "epochs": 1}
    pair = launch(tmp_path / "pair", world=2, batch_size=4, **case)
    assert [o.code for o in pair] == [0, 0], pair[0].said + pair[1].said
    (one,) = launch(tmp_path / "one", batch_size=8, **case)
    assert one.code == 0, one.said
    assert pair[0].losses == pair[1].losses == pytest.approx(one.losses, abs=1e-5)
    for name, weight in one.weights.items():
        assert torch.equal(pair[0].weights[name], pair[1].weights[name]), name
        assert torch.allclose(pair[0].weights[name], weight, atol=1e-4), name
    assert pair[0].figures == pair[1].figures
    for name, metrics in one.figures.items():
        assert pair[0].figures[name] == pytest.approx(metrics, rel=1e-3), name
