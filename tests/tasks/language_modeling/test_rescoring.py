"""Lists of readings: how they are read, tuned, chosen from and written."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from gatedrnn.tasks.language_modeling.model import TextModel
from gatedrnn.tasks.language_modeling.rescoring import (
    Candidate,
    LMWeights,
    NBest,
    ScoredLists,
    distinct_texts,
    read_nbest,
    score_lists,
    tune,
)
from gatedrnn.tokens import Characters, Words


class Unigrams(torch.nn.Module):
    """A language model whose probabilities are known: those of words by themselves."""

    def __init__(self, tokens, probabilities):
        super().__init__()
        values = [probabilities.get(name, 1e-4) for name in tokens.names]
        self.scores = torch.nn.Parameter(torch.tensor(values, dtype=torch.float64).log())

    def forward(self, tokens, hx=None):
        return self.scores.expand(len(tokens), -1), torch.zeros(1, len(tokens), 1)


TOKENS = Words.learn(["GO ON NO TO"], "<eos>")
END = 0.3999
MODEL = Unigrams(TOKENS, {"<eos>": END, "GO": 0.3, "ON": 0.2, "NO": 0.06, "TO": 0.04})


def nbest(name, said, *candidates):
    return NBest(name, said, distinct_texts(Candidate(*c) for c in candidates))


#: The first needs a weight above 1 / log(0.2 / 0.06); the second one below 2.5 / log(0.3 / 0.04).
LISTS = [
    nbest("u1", "GO ON", ("GO NO", -1.0), ("GO ON", -2.0), ("GO TO", -9.0)),
    nbest("u2", "TO GO", ("TO GO", -1.0), ("GO GO", -3.5)),
    nbest("u3", "NO", ("NO", -1.0)),
]


def test_scores_are_those_of_the_model():
    scored = score_lists(LISTS, MODEL, TOKENS)
    assert scored.model[0, 0] == pytest.approx(math.log(0.3 * 0.06 * END))
    assert scored.model[2, 0] == pytest.approx(math.log(0.06 * END))
    assert scored.words.tolist() == [[2, 2, 2], [2, 2, 0], [1, 0, 0]]
    assert scored.errors[0].tolist() == [1, 0, 1] and scored.errors[1, :2].tolist() == [0, 1]
    assert np.isneginf(scored.recognizer[2, 1:]).all()
    setting = LMWeights(0.5, 2.0)
    wanted = -2.0 + 0.5 * math.log(0.3 * 0.2 * END) + 2.0 * 2
    assert scored.scores(setting)[0, 1] == pytest.approx(wanted)


def test_the_optimum_of_a_grid_is_found():
    scored = score_lists(LISTS, MODEL, TOKENS)
    low, high = 1 / math.log(0.2 / 0.06), 2.5 / math.log(0.3 / 0.04)
    assert scored.error_count().errors == 1 and scored.error_count().words == 5
    assert scored.oracle().errors == 0
    weights = [round(0.01 * i, 2) for i in range(300)]
    found = tune(scored, weights, [0.0])
    assert found.error_count.errors == 0 and low < found.weights.weight < low + 0.011
    assert found.weights.weight < high and found.tried == 300 and found.edges == ()
    for weight in weights:
        errors = scored.error_count(LMWeights(weight)).errors
        assert errors == (weight < low) + (weight > high), weight
    assert tune(scored, [0.0, 0.5, 0.9], [0.0]).edges == ("weight",)
    assert tune(scored, [0.9], [0.0]).edges == ()
    assert tune(scored, [0.0, 3.0], [0.0]).weights.weight == 0.0


def test_the_length_term():
    lists = [nbest("u1", "GO ON", ("GO", -1.0), ("GO ON", -2.0)), nbest("u2", "NO", ("NO", 0.0))]
    scored = score_lists(lists, MODEL, TOKENS)
    found = tune(scored, [0.0, 1.0], [-1.0, 0.0, 0.5, 1.5, 3.0])
    assert found.weights == LMWeights(0.0, 1.5) and found.error_count.errors == 0
    assert tune(scored, [1.0], [-1.0, 3.0]).edges == ("insertion",)
    # Of equally good settings that which changes least.
    assert tune(scored, [1.0, 0.0], [3.0, -3.0, 1.5]).weights == LMWeights(0.0, 1.5)


def test_tokens_need_not_be_those_of_the_recogniser():
    tokens = Characters.learn(["GO ON NO TO"], "<eos>")
    model = TextModel(len(tokens), hidden_size=8)
    scored = score_lists(LISTS, model, tokens)
    assert scored.cost.unknown == 0 and (scored.model[0] < 0).all()
    lists = [nbest("u1", "GO", ("GO", -1.0), ("GO QUIZ", -1.5))]
    scored = score_lists(lists, MODEL, TOKENS)
    assert scored.cost.unknown == 1
    # <unk>, and five signs of an alphabet of four letters and the end.
    wanted = math.log(0.3 * 1e-4 * END) - 5 * math.log(5) - 4 * math.log(0x110000)
    assert scored.model[0, 1] == pytest.approx(wanted)


def test_the_first_reading_stays_before_equal_ones():
    scored = score_lists([nbest("u", "GO ON", ("GO ON", -1.0), ("ON GO", -1.0))], MODEL, TOKENS)
    assert scored.error_count(LMWeights(0.7, 1.0)).errors == 0
    assert scored.records(LMWeights(0.7))[0]["hyps"][0]["text"] == "GO ON"


def test_records_are_lists_again(tmp_path):
    path = tmp_path / "nbest.jsonl"
    record = {
        "id": "u1",
        "ref": "GO ON",
        "hyps": [
            {"text": "GO NO", "score": -1.0, "tokens": 5},
            {"text": "GO ON", "score": -2.0, "tokens": 5},
        ],
        "words": [{"word": "GO", "start": 0.0, "end": 0.1, "confidence": 1.0}],
        "speaker": "ann",
    }
    path.write_text(json.dumps(record) + "\n")
    scored = score_lists(read_nbest(path), MODEL, TOKENS)
    (same,) = scored.records(LMWeights(0.0))
    assert same["words"] == record["words"] and same["speaker"] == "ann"
    assert [h["score"] for h in same["hyps"]] == [-1.0, -2.0]
    (found,) = scored.records(LMWeights(1.0))
    assert "words" not in found and found["ref"] == "GO ON" and found["speaker"] == "ann"
    best, other = found["hyps"]
    assert (best["text"], best["am"], best["tokens"]) == ("GO ON", -2.0, 5)
    assert best["lm"] == pytest.approx(math.log(0.3 * 0.2 * END), abs=1e-4)
    assert best["score"] == pytest.approx(-2.0 + best["lm"], abs=1e-3)
    assert best["score"] > other["score"]
    path.write_text(json.dumps(found) + "\n")
    assert [c.text for c in read_nbest(path)[0].candidates] == ["GO ON", "GO NO"]


def test_readings_of_the_same_words_are_one(tmp_path):
    path = tmp_path / "nbest.jsonl"
    hyps = [{"text": t, "score": s} for t, s in (("GO", -3), (" GO  ON", -2), ("GO ON", -1))]
    path.write_text(json.dumps({"id": "u", "hyps": hyps}) + "\n\n")
    (found,) = read_nbest(path)
    assert [(c.text, c.score) for c in found.candidates] == [("GO ON", -1.0), ("GO", -3.0)]
    path.write_text(json.dumps({"id": "u", "ref": "", "hyps": []}) + "\n")
    assert read_nbest(path)[0].candidates == (Candidate("", 0.0),)


# ---- Kaldi's --------------------------------------------------------------------------------


@pytest.fixture
def kaldi(tmp_path):
    (tmp_path / "words_text").write_text("a-b-1 GO ON\na-b-2 GO  NO\na-b-3\nc-1 NO\n")
    (tmp_path / "acwt").write_text("a-b-1 100\na-b-2 90\na-b-3 50\nc-1 -3.5\n")
    (tmp_path / "lmwt.nolm").write_text("a-b-1 1\na-b-2 2\na-b-3 9.5\nc-1 0\n")
    (tmp_path / "text").write_text("c NO\na-b GO ON\n")
    return tmp_path


def test_kaldi(kaldi):
    first, second = read_nbest(kaldi, acoustic_scale=0.1)
    assert (first.id, first.reference, second.id) == ("a-b", "GO ON", "c")
    assert [(c.text, c.score) for c in first.candidates] == [
        ("GO ON", -11.0), ("GO NO", -11.0), ("", -14.5),
    ]  # fmt: skip
    assert second.candidates[0].score == pytest.approx(0.35)
    (kaldi / "text").unlink()
    assert read_nbest(kaldi)[0].reference is None
    assert read_nbest(kaldi)[0].candidates[0].text == ""


def test_broken_kaldi(kaldi):
    def refused(wanted, error=ValueError):
        with pytest.raises(error, match=wanted) as caught:
            read_nbest(kaldi)
        assert str(kaldi) in str(caught.value) and "\n" not in str(caught.value)

    (kaldi / "acwt").write_text("a-b-1 100\n")
    refused("acwt and words_text differ: only one has a-b-2")
    (kaldi / "acwt").write_text("a-b-1 100\na-b-2 x\na-b-3 50\nc-1 -3.5\n")
    refused("a-b-2: 'x' is no cost")
    (kaldi / "acwt").unlink()
    (kaldi / "lmwt.nolm").unlink()
    refused("has no costs", FileNotFoundError)
    (kaldi / "acwt").write_text("a 100\n")
    (kaldi / "words_text").write_text("a GO\n")
    refused("'a' must be UTTERANCE-NUMBER")
    (kaldi / "words_text").write_text("a-1 GO\na-1 NO\n")
    refused("line 2: there is already a line of 'a-1'")
    (kaldi / "words_text").write_text("\n")
    refused("is empty")
    (kaldi / "words_text").unlink()
    refused("no such file", FileNotFoundError)


# ---- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("", "holds no n-best lists"),
        ("{", "line 1: .*there must be a JSON object on each line"),
        ("[1]", "line 1: there must be an object"),
        ('{"ref": "GO", "hyps": []}', "id must be text"),
        ('{"id": "u", "ref": 3, "hyps": []}', "ref must be text"),
        ('{"id": "u"}', "hyps must be a list"),
        ('{"id": "u", "hyps": [{"score": 1}]}', "object with text and score"),
        ('{"id": "u", "hyps": [{"text": "GO"}]}', "finite number, not None"),
        ('{"id": "u", "hyps": [{"text": "GO", "score": NaN}]}', "finite number, not nan"),
        ('{"id": "u", "hyps": []}\n{"id": "u", "hyps": []}', "line 2: there is already a list"),
    ],
)
def test_broken_lines(tmp_path, content, wanted):
    path = tmp_path / "nbest.jsonl"
    path.write_text(content)
    with pytest.raises(ValueError, match=wanted) as caught:
        read_nbest(path)
    assert str(path) in str(caught.value)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="not UTF-8"):
        read_nbest(path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_nbest(tmp_path / "nowhere")


def test_what_cannot_be_rescored():
    with pytest.raises(ValueError, match="no n-best lists"):
        score_lists([], MODEL, TOKENS)
    with pytest.raises(ValueError, match="knows no word.*'go on'.*another case"):
        score_lists([nbest("u", "go on", ("go on", -1.0))], MODEL, TOKENS)
    # A recogniser that has not learnt to read is no reason to stop.
    assert score_lists([nbest("u", "GO ON", ("G", -1.0))], MODEL, TOKENS).error_count().errors == 2
    unknown = score_lists([LISTS[0], nbest("u9", None, ("GO", -1.0))], MODEL, TOKENS)
    assert isinstance(unknown, ScoredLists)
    for ask in (unknown.error_count, unknown.oracle, lambda: tune(unknown)):
        with pytest.raises(ValueError, match="no reference is known of u9"):
            ask()
    with pytest.raises(ValueError, match="hold no words"):
        score_lists([nbest("u", "", ("GO", -1.0))], MODEL, TOKENS).error_count()
    with pytest.raises(ValueError, match="at least one weight"):
        tune(score_lists(LISTS, MODEL, TOKENS), [], [0.0])
