"""Training of translators: what is learnt, interruptions, several processes, what comes out."""

from __future__ import annotations

import json
import signal

import pytest
import torch

from gatedrnn.seq2seq.search import SearchOptions
from gatedrnn.tasks.translation.decode import search_options
from gatedrnn.tasks.translation.model import TranslatorSpec
from gatedrnn.tokens import Characters, Words
from tests.tasks.asr.tiny import launch
from tests.tasks.translation.tiny import WatchedTranslationBrain, train

sacrebleu = pytest.importorskip("sacrebleu")


def test_it_learns_the_made_up_language(tmp_path):
    size = {"num_layers": 1, "hidden_size": 32, "max_batch_size": 32, "label_smoothing": 0.0}
    counts = {"train": 1800, "valid": 20, "test": 20}
    figures = train(tmp_path / "out", epochs=4, lr=0.02, **counts, **size)
    assert figures["test"]["BLEU"] > 30 and 0.9 < figures["test"]["length ratio"] < 1.1


def test_what_comes_out(tmp_path):
    options = {"parameter_budget": 9_000, "epochs": 1, "network": "depth_gated", "max_length": 9}
    figures = train(tmp_path / "out", {"precision": "bf16"}, lowercase=True, **options)
    folder = tmp_path / "out"
    results = json.loads((folder / "results.json").read_text())
    assert results["sets"] == figures and set(figures) == {"valid", "test"}
    model = WatchedTranslationBrain.instance.checkpointer.recoverables["model"]
    count = sum(weight.numel() for weight in model.parameters())
    assert results["parameters"] == count <= 9_000 and results["steps"] > 0
    described = json.loads((folder / "model.json").read_text())
    assert described["task"] == "translation" and described["search"]["max_length"] == 9
    expected = {"source": "en", "target": "xx", "lowercase": True, "bleu_tokenize": "13a"}
    assert described["languages"] == expected and described["search"]["unknown"] is False
    built = TranslatorSpec.from_dict(described["model"]).build()
    assert {n: w.shape for n, w in built.state_dict().items()} == {
        n: w.shape for n, w in model.state_dict().items()
    }
    hypotheses = (folder / "hypotheses_test.txt").read_text().splitlines()
    references = (folder / "references_test.0.txt").read_text().splitlines()
    result = sacrebleu.corpus_bleu(hypotheses, [references]).score
    assert figures["test"]["BLEU"] == pytest.approx(result)
    assert figures["test"]["signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a")
    report = json.loads((folder / "report.json").read_text())
    assert report["statistics"]["pairs to learn from"] == results["pairs"] < 40
    assert report["issues"]["pair-long"]["count"] == 40 - results["pairs"]
    again = train(folder, {"test_only": True}, lowercase=True, **options)
    assert again["test"]["sentences"] == 8
    with pytest.raises(ValueError, match="source_tokens.json: holds words of an earlier training"):
        train(folder, source_tokens={"kind": "characters"})


def test_unknown_words_may_be_said_but_by_words():
    hparams = {"max_length": 9, "beam_size": 3, "search": {"length_penalty": 0.5}}
    text = ["a dog", "a cat"]
    result = search_options(hparams, Words.learn(text, "<eos>"))
    assert result == SearchOptions(beam_size=3, max_length=9, length_penalty=0.5, unknown=False)
    assert search_options(hparams, Characters.learn(text, "<eos>")).unknown
    assert not search_options(
        hparams | {"search": {"unknown": False}}, Characters.learn(text, "<eos>")
    ).unknown


def test_killed_and_started_again_it_ends_the_same(tmp_path):
    # Beta draws noise in its gates, dropout from another generator.
    case = {"network": "beta", "dropout": 0.1, "task": train, "train": 24}
    case["run_opts"] = {"ckpt_interval_steps": 2}
    (whole,) = launch(tmp_path / "whole", **case)
    assert whole.code == 0, whole.said
    (killed,) = launch(tmp_path / "again", environment={"KILL_AT": "2.2"}, **case)
    assert killed.code == -signal.SIGKILL, killed.said
    (outcome,) = launch(tmp_path / "again", **case)
    assert outcome.code == 0, outcome.said
    assert 0 < len(outcome.losses) < len(whole.losses)
    assert outcome.losses == whole.losses[-len(outcome.losses) :]
    for name, weight in whole.weights.items():
        assert torch.equal(outcome.weights[name], weight), name
    assert outcome.figures == whole.figures


def test_two_processes_are_one_with_twice_the_pairs(tmp_path):
    case = {"task": train, "lr": 0.003, "epochs": 1}
    pair = launch(tmp_path / "pair", world=2, max_batch_size=4, max_batch_seconds=200, **case)
    assert [o.code for o in pair] == [0, 0], pair[0].said + pair[1].said
    (one,) = launch(tmp_path / "one", **case)
    assert one.code == 0, one.said
    assert pair[0].losses == pair[1].losses == pytest.approx(one.losses, abs=1e-5)
    for name, weight in one.weights.items():
        assert torch.equal(pair[0].weights[name], pair[1].weights[name]), name
        assert torch.allclose(pair[0].weights[name], weight, atol=1e-5), name
    assert pair[0].figures == pair[1].figures


def test_values_that_are_wrong(tmp_path):
    for wrong, message in (
        ({"label_smoothing": 1.0}, "label_smoothing must be in"),
        ({"bleu_tokenize": "moses"}, "bleu_tokenize must be one of"),
        ({"attention": "hard"}, "attention: kind must be soft, top_down or late"),
        ({"source_tokens": {"kind": "bytes"}}, "tokens must be words, characters, unigram or bpe"),
    ):
        with pytest.raises(ValueError, match=message):
            train(tmp_path / message[:5], **wrong)
