"""A recipe's test with a language model in its search, and with internal language models."""

from __future__ import annotations

import json
import math

import pytest
import torch

from gatedrnn.tasks.asr.apply import Recognizer
from gatedrnn.tasks.asr.bundle import read_bundle
from gatedrnn.tasks.asr.decode import SearchOptions, prefix_beam_search, search
from gatedrnn.tasks.asr.language_model import LABEL_PRIOR, Fusion, internal_log_probs
from gatedrnn.tasks.language_modeling.bundle import (
    LanguageModelConfig,
    TextModelSpec,
    read_language_model,
    write_language_model,
)
from gatedrnn.tasks.language_modeling.rescoring import LMWeights
from gatedrnn.tasks.registry import export
from gatedrnn.tokens import Characters
from gatedrnn.tokens.hypotheses import distinct
from tests.tasks.asr import tiny


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    tokens = Characters.learn(tiny.Tones("train", 10).texts, "<eos>")
    spec = TextModelSpec(len(tokens), {"hidden_size": 8})
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("lm") / "lm"
    write_language_model(folder, LanguageModelConfig(spec), tokens, spec.build())
    return folder


def records(folder, name="test"):
    lines = (folder / f"nbest_{name}.jsonl").read_text().splitlines()
    return {record["id"]: record for record in map(json.loads, lines)}


def label_prior(folder):
    values = json.loads((folder / LABEL_PRIOR).read_text())["probabilities"]
    return torch.tensor(values, dtype=torch.float64).log()


def recogniser(folder, tmp_path):
    export(folder, tmp_path / "bundle")
    return Recognizer(read_bundle(tmp_path / "bundle"))


@pytest.mark.parametrize("head", ["ctc", "attention", "transducer"])
def test_lists_with_internal_log_probabilities(tmp_path, head):
    folder = tmp_path / "results"
    tiny.train(folder, head=head, beam_size=3, internal_lm=True, epochs=1)
    found = recogniser(folder, tmp_path)
    prior = None
    if head == "ctc":
        prior = label_prior(folder)
        assert float(prior.exp().sum()) == pytest.approx(1.0) and prior[0] == -math.inf
    else:
        assert not (folder / LABEL_PRIOR).exists()
    speech = tiny.Tones("test", 3, 200)
    said = records(folder)
    for item in (speech[i] for i in range(len(speech))):
        with torch.inference_mode():
            scores = found.score([item["sig"]])
            (hypotheses,) = search(found.model, scores, SearchOptions(3))
        best = distinct(hypotheses, found.tokens)
        wanted = internal_log_probs(found.model, [h.tokens for h in best], prior).tolist()
        hyps = said[item["id"]]["hyps"]
        by_text = {h["text"]: h["ilm"] for h in hyps}
        for h, value in zip(best, wanted, strict=True):
            text = found.tokens.decode(h.tokens)
            assert by_text.get(text, value) == pytest.approx(value, abs=1e-3)
        assert best[0].tokens is not None and hyps[0]["text"] in by_text
        assert found.tokens.decode(best[0].tokens) == hyps[0]["text"]
        assert all("lm" not in h for h in hyps)
    assert all("ilm" in h for record in records(folder, "dev").values() for h in record["hyps"])


@pytest.mark.parametrize("internal", [None, 0.2])
def test_a_language_model_in_the_search(tmp_path, language_model, internal):
    folder = tmp_path / "results"
    options = {"lm_weight": 0.6, "lm_insertion": 0.5, "lm_internal": internal}
    tiny.train(folder, beam_size=4, epochs=1, language_model=str(language_model), **options)
    found = recogniser(folder, tmp_path)
    prior = label_prior(folder) if internal else None
    lm = read_language_model(language_model)
    fusion = Fusion(lm.model, lm.tokens, found.tokens, LMWeights(0.6, 0.5, internal or 0.0), prior)
    speech = tiny.Tones("test", 3, 200)
    said = records(folder)
    for item in (speech[i] for i in range(len(speech))):
        scores = found.score([item["sig"]])
        (hypotheses,) = prefix_beam_search(
            scores.log_probs, scores.counts, SearchOptions(4), fusion
        )
        best = distinct(hypotheses, found.tokens)[0]
        hyp = said[item["id"]]["hyps"][0]
        assert hyp["text"] == found.tokens.decode(best.tokens)
        assert hyp["score"] == pytest.approx(best.score, abs=1e-2)
        assert hyp["lm"] == pytest.approx(best.parts["lm"], abs=1e-2) and "ilm" not in hyp


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"lm_weight": 0.5}, "name its language_model"),
        ({"lm_insertion": 0.5}, "give its lm_weight"),
        ({"lm_weight": 0.5, "head": "attention", "language_model": "LM"}, "head ctc"),
        ({"lm_weight": -0.5, "language_model": "LM"}, "lm_weight must be at least 0"),
    ],
)
def test_what_cannot_be_searched_is_found_out_before_the_training(
    tmp_path, language_model, changes, wanted
):
    if "language_model" in changes:
        changes = changes | {"language_model": str(language_model)}
    with pytest.raises(ValueError, match=wanted):
        tiny.train(tmp_path / "results", beam_size=3, **changes)
    assert not (tmp_path / "results" / "save").exists() or not list(
        (tmp_path / "results" / "save").glob("CKPT*")
    )
