"""Measures of captions: pycocoevalcap's figures, and what they must be by their definition."""

from __future__ import annotations

import math
import os

import pytest

from gatedrnn.tasks.captioning import metrics as scoring
from gatedrnn.tasks.captioning.metrics import Captions, CaptionScoreOptions, score_captions
from gatedrnn.tasks.captioning.ngrams import (
    BleuCounts,
    Cider,
    DocumentFrequencies,
    ngrams,
    rouge_l,
)
from tests.tasks.captioning.golden import EMBEDDED, SETS, captions, embedded, real

QUIET = CaptionScoreOptions(java="never", resamples=10)
TOKENIZED = CaptionScoreOptions("none", java="never", resamples=10)


def check(data, tokenized: bool, tolerance: float) -> None:
    result = score_captions(*captions(data, tokenized), TOKENIZED if tokenized else QUIET)
    for name, measure in result.measures.items():
        if name in data["scores"]:
            assert measure.corpus == pytest.approx(data["scores"][name], abs=tolerance)
        for value, item in zip(measure.each, data["items"], strict=True):
            if name in item["scores"]:
                assert value == pytest.approx(item["scores"][name], abs=tolerance)
    assert {"BLEU-1", "BLEU-4", "ROUGE-L", "CIDEr-D"} <= result.measures.keys() & data["scores"]


@pytest.mark.parametrize("name", SETS)
def test_golden_sets(name):
    data = real(name)
    check(data, tokenized=True, tolerance=1e-9)
    check(data, tokenized=False, tolerance=1e-9)


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_sets(name):
    data = embedded(name)
    check(data, tokenized=True, tolerance=1e-9)
    check(data, tokenized=False, tolerance=1e-9)


@pytest.mark.skipif(
    not os.environ.get("GATEDRNN_TEST_JAVA"),
    reason="METEOR takes up to a minute: set GATEDRNN_TEST_JAVA=1 to run it",
)
def test_meteor():
    data = embedded("aac_example_2")
    try:
        result = score_captions(*captions(data, tokenized=False), CaptionScoreOptions(resamples=10))
    except ValueError as error:
        pytest.skip(str(error))
    if "METEOR" in result.left_out:
        pytest.skip(result.left_out["METEOR"])
    meteor = result.measures["METEOR"]
    assert meteor.corpus == pytest.approx(data["scores"]["METEOR"], abs=1e-9)
    assert meteor.each == pytest.approx([i["scores"]["METEOR"] for i in data["items"]], abs=1e-9)


def test_what_needs_java_is_never_left_out_silently(monkeypatch):
    monkeypatch.setenv("PATH", "")
    pair = captions(embedded("nlg_eval_readme"), tokenized=True)
    result = score_captions(*pair, CaptionScoreOptions(resamples=10))
    assert result.left_out["METEOR"] == result.left_out["SPICE"] == "there is no java on the PATH"
    assert "SPIDEr" in result.left_out and not result.left_out.keys() & result.measures.keys()
    with pytest.raises(ValueError, match="METEOR: there is no java"):
        score_captions(*pair, CaptionScoreOptions(java="always"))


def test_package_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(scoring.shutil, "which", lambda name: "/usr/bin/java")

    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name="pycocoevalcap")

    monkeypatch.setattr(scoring.importlib, "import_module", missing)
    with pytest.raises(
        scoring.Unavailable, match=r"pycocoevalcap is not installed: pip install \"gatedrnn\[java"
    ):
        scoring.meteor([["a"]], [[["a"]]])


def test_perfect_and_hopeless():
    references = {"1": ("a red dog runs fast",), "2": ("two cats sleep on a mat",)}
    wrote = Captions("r", "jsonl", references)
    perfect = score_captions(wrote, wrote, QUIET).measures
    for name, value in (("BLEU-4", 1.0), ("ROUGE-L", 1.0), ("CIDEr-D", 10.0), ("CIDEr plain", 10)):
        assert perfect[name].corpus == pytest.approx(value, abs=1e-6)
    empty = Captions("h", "jsonl", {"1": ("",), "2": ("...",)})
    hopeless = score_captions(wrote, empty, QUIET)
    assert hopeless.wordless == 2
    assert all(measure.corpus == 0 for measure in hopeless.measures.values())


def test_bleu_takes_the_closest_length_and_the_shorter_of_two():
    words = "a b c d".split()
    lengths = {2: "a b", 3: "a b c", 5: "a b c d e", 9: "a b c d e f g h i"}
    result = BleuCounts.of(words, [lengths[n].split() for n in (9, 5, 3, 2)])
    assert result.reference == 3
    assert result.correct == (4, 3, 2, 1)
    # Twice the same n-gram counts only as often as in one reference.
    assert BleuCounts.of(["a"] * 4, [["a", "b", "a"], ["a"]]).correct == (2, 0, 0, 0)


def test_rouge_takes_precision_and_recall_from_different_references():
    words = "a dog on a mat".split()
    references = ["a dog".split(), "a big dog on the red mat today".split()]
    precision, recall = 4 / 5, 1.0
    expected = 2.44 * precision * recall / (recall + 1.44 * precision)
    assert rouge_l(words, references) == pytest.approx(expected)


def test_cider_by_hand():
    """Two items of one word each: only unigrams count, each with weight log 2."""
    frequencies = DocumentFrequencies.of([[["dog"]], [["cat"]]])
    assert frequencies.weight(("dog",)) == pytest.approx(math.log(2))
    assert frequencies.weight(("bird",)) == pytest.approx(math.log(2))
    clipped, whole = Cider(frequencies), Cider(frequencies, clipped=False)
    dog, dogs = clipped.vector(["dog"]), clipped.vector(["dog"] * 4)
    assert whole.score(dog, [dog]) == pytest.approx(10 / 4)
    # Four dogs against one: the cosine of unigrams is 1; clipped it is a quarter, and the three
    # words too many cost exp(-9/72).
    assert whole.score(dogs, [dog]) == pytest.approx(10 / 4)
    assert clipped.score(dogs, [dog]) == pytest.approx(10 / 4 / 4 * math.exp(-9 / 72))
    assert clipped.score(dogs, [dog, clipped.vector(["cat"])]) == pytest.approx(
        10 / 4 / 4 / 2 * math.exp(-9 / 72)
    )


def test_cider_weighed_by_other_references():
    data = embedded("aac_example_2")
    references, hypotheses = captions(data, tokenized=True)
    few = {name: references.texts[name] for name in list(references.texts)[:5]}
    part = Captions("few", "jsonl", few)
    options = CaptionScoreOptions("none", "ignore", "ignore", "never", 10)
    alone, weighed = (score_captions(part, hypotheses, options, w) for w in (None, references))
    whole = score_captions(references, hypotheses, options)
    assert weighed.measures["CIDEr-D"].each == pytest.approx(whole.measures["CIDEr-D"].each[:5])
    assert alone.measures["CIDEr-D"].corpus != pytest.approx(weighed.measures["CIDEr-D"].corpus)
    assert weighed.weighed_by == "references" and len(weighed.extra) == 19


def test_intervals_cover_their_scores():
    result = score_captions(
        *captions(embedded("aac_example_2"), tokenized=False), CaptionScoreOptions(java="never")
    )
    for measure in result.measures.values():
        assert measure.interval.low < measure.corpus < measure.interval.high
        assert measure.interval.units == 24
    again = score_captions(
        *captions(embedded("aac_example_2"), tokenized=False), CaptionScoreOptions(java="never")
    )
    assert again.measures == result.measures


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokenizer": "bert"}, "tokenizer must be ptb or none, not 'bert'"),
        ({"java": "maybe"}, "java must be auto, never or always"),
        ({"resamples": 0}, "resamples must be a whole number from 1 to 2147483648, not 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        CaptionScoreOptions(**options)


def test_bad_frequencies_and_sigma():
    with pytest.raises(ValueError, match="there are none"):
        DocumentFrequencies.of([])
    with pytest.raises(ValueError, match="sigma must be positive"):
        Cider(DocumentFrequencies.of([[["a"]]]), sigma=0)


def test_ngrams_and_what_is_made_of_them():
    assert ngrams(["a", "b"]) == {("a",): 1, ("b",): 1, ("a", "b"): 1}
    counts = BleuCounts.of("a dog runs".split(), ["a dog runs".split()])
    assert counts.scores[:3] == pytest.approx([1.0, 1.0, 1.0])
    score = rouge_l("a dog runs".split(), ["a dog".split(), "the dog runs fast".split()])
    assert score == pytest.approx(0.829932, abs=5e-7)
