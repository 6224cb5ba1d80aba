"""Words of captions are those of pycocoevalcap's PTBTokenizer, which needs Java."""

from __future__ import annotations

import csv
import gzip
import io

import pytest

from gatedrnn.tokens.ptb_tokenizer import tokenize
from tests.data.corpora import real_data
from tests.tasks.captioning.golden import DATA, SETS, embedded, real


def test_texts_that_are_hard():
    rows = (DATA / "ptb.tsv").read_text(encoding="utf-8").split("\n")[:-1]
    assert len(rows) > 1500
    different = [
        (text, wanted, " ".join(tokenize(text)))
        for text, wanted in (row.split("\t") for row in rows)
        if " ".join(tokenize(text)) != wanted
    ]
    assert not different


@pytest.mark.parametrize("name", SETS)
def test_golden_sets(name):
    check(real(name))


def test_embedded_set():
    check(embedded("aac_example_2"))


def check(data):
    for item in data["items"]:
        assert " ".join(tokenize(item["text"])) == item["words"]
        for text, words in zip(item["references"], item["reference_words"], strict=True):
            assert " ".join(tokenize(text)) == words


def test_real_captions_keep_their_words():
    """No letter is lost or made up, in 2,475 captions of AudioCaps."""
    path = real_data("captions", "audiocaps", "val.csv.gz")
    rows = csv.DictReader(io.StringIO(gzip.open(path, "rt", encoding="utf-8").read()))
    for row in rows:
        words = tokenize(row["caption"])
        assert words and all(word == word.lower() and " " not in word for word in words)
        kept = "".join(c for word in words for c in word if c.isalnum())
        assert kept == "".join(c for c in row["caption"].lower() if c.isalnum())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        (" . , ! \n", ()),
        ("so do I", ("so", "do", "i")),
        ("👍 ok\u200b!", ("ok",)),
        ("cafe\u0301", ("café",)),
    ],
)
def test_odd_texts(text, words):
    assert tokenize(text) == words
