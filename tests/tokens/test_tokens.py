"""Tokens of running text: what is unknown, and perplexities that can be compared."""

from __future__ import annotations

import json
import math

import pytest
import torch

from gatedrnn import tokens as tokenization
from gatedrnn.data.tables import Text
from gatedrnn.tasks.language_modeling.evaluation import (
    EvaluationOptions,
    log_probabilities,
    score,
    word_scores,
)
from gatedrnn.tokens import EOS, IGNORE, Characters, Pieces, Tokens, Words, read_text_tokens, save
from tests.tasks.language_modeling.tiny import lines

KINDS = ("words", "characters", "unigram", "bpe")


class Bigram(torch.nn.Module):
    """Predicts each token from the one before, by a table of probabilities."""

    def __init__(self, tokens, table):
        super().__init__()
        index = {name: i for i, name in enumerate(tokens.names)}
        made = torch.full((len(tokens), len(tokens)), -math.inf, dtype=torch.float64)
        for before, row in table.items():
            for name, probability in row.items():
                made[index[before], index[name]] = math.log(probability)
        self.table = torch.nn.Parameter(made)

    def forward(self, inputs, hx, targets):
        losses = -self.table[inputs, targets.clamp(min=0)]
        return losses.masked_fill(targets == IGNORE, 0.0), torch.zeros(()), None


def test_one_distribution_has_one_perplexity_whatever_the_tokens():
    """Sentences of AB and CD, half of all words the last, tokenized in two ways."""
    text = Text("mine", ["AB CD CD", "CD", "AB AB"])
    words = Words.learn(text.lines, "<eos>")
    start = {"AB": 0.5, "CD": 0.5}
    after = {"AB": 0.25, "CD": 0.25, "<eos>": 0.5}
    by_word = Bigram(words, {"<eos>": start, "AB": after, "CD": after})
    characters = Characters.learn(text.lines, "<eos>")
    ends = {" ": 0.5, "<eos>": 0.5}
    begins = {"A": 0.5, "C": 0.5}
    by_character = Bigram(
        characters,
        {"<eos>": begins, " ": begins, "A": {"B": 1.0}, "C": {"D": 1.0}, "B": ends, "D": ends},
    )
    scores = []
    for tokens, model in ((words, by_word), (characters, by_character)):
        encoded = tokens.encode_text(text)
        found = log_probabilities(model, encoded, EvaluationOptions())
        scores.append(score(encoded, found))
        per_word = list(word_scores(encoded, tokens, found))
        assert [w.word for w in per_word] == "AB CD CD <eos> CD <eos> AB AB <eos>".split()
        assert math.fsum(w.log_prob for w in per_word) == pytest.approx(-scores[-1].nats)
    one, two = scores
    # Six words of a half, and three times (each sentence) a half for each further decision.
    assert one.nats == pytest.approx(12 * math.log(2))
    for name in ("perplexity", "open_perplexity", "bits_per_character"):
        assert getattr(one, name) == pytest.approx(getattr(two, name), rel=1e-12), name
    assert (one.tokens, two.tokens) == (9, 18)
    assert (one.words, one.characters) == (two.words, two.characters) == (9, 18)
    assert one.perplexity == pytest.approx(2 ** (12 / 9))
    assert one.bits_per_character == pytest.approx(12 / 18)


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_come_back_and_travel_in_a_file(tmp_path, kind):
    text = Text("mine", lines(200, 5))
    tokens = tokenization.learn(text.lines, kind, "<eos>", pieces=24)
    save(tokens, tmp_path / "tokens.json")
    again = read_text_tokens(tmp_path / "tokens.json")
    assert again.names == tokens.names
    encoded = again.encode_text(text)
    assert tokens.decode(encoded.ids.tolist()) == "\n".join([*text.lines, ""])
    assert int((encoded.ids == EOS).sum()) == len(text.lines)
    assert encoded.unknown == 0
    assert encoded.unknown_nats == 0.0
    for i, line in enumerate(text.lines):
        start, stop = encoded.offsets[i : i + 2].tolist()
        assert encoded.ids[start:stop].tolist() == [*tokens.encode(line), EOS]
        assert tokens.encode_as_ids(line) == tokens.encode(line)


def test_a_vocabulary_is_cut_by_count_and_by_size():
    text = ["b b b a a c", "b a d"]
    assert Words.learn(text, "<eos>").names == ["<eos>", "<unk>", "b", "a", "c", "d"]
    assert Words.learn(text, "<eos>", min_count=2).names == ["<eos>", "<unk>", "b", "a"]
    assert Words.learn(text, "<eos>", max_size=3).names == ["<eos>", "<unk>", "b"]
    with pytest.raises(ValueError, match="no word is left for the vocabulary with min_count 9"):
        Words.learn(text, "<eos>", min_count=9)


def test_unknown_words_cost_the_nats_of_their_characters():
    known = Text("train", ["ab ab ba", "ba"])
    strange = Text("test", ["ab bax \u00e9"])
    words = Words.learn(known.lines, "<eos>", min_count=2)
    encoded = words.encode_text(strange)
    assert encoded.unknown == 2
    # a, b and the end are as likely as each other; x and \u00e9 may be anything.
    expected = (4 + 2) * math.log(3) + 2 * math.log(0x110000)
    assert encoded.unknown_nats == pytest.approx(expected)
    found = score(encoded, torch.full((4,), -1.0, dtype=torch.float64))
    assert found.perplexity == pytest.approx(math.e)
    assert found.open_perplexity == pytest.approx(math.exp((4 + expected) / 4))
    # What is unknown in the text itself is a word like any other.
    assert words.encode_text(Text("test", ["ab <unk>"])).unknown == 0
    characters = Characters.learn(known.lines, "<eos>")
    encoded = characters.encode_text(strange)
    assert (encoded.unknown, int((encoded.ids == characters.unk).sum())) == (2, 2)
    pieces = Pieces.learn(["ab ab ba", "ba"] * 5, "<eos>", size=6, kind="bpe")
    encoded = pieces.encode_text(strange)
    assert encoded.unknown == int((encoded.ids == pieces.unk).sum()) > 0


def test_tokens_have_the_numbers_that_a_recogniser_gives_them():
    text = lines(100, 6)
    ours, theirs = Characters.learn(text, "<eos>"), Characters.learn(text)
    assert ours.names[1:-1] == theirs.names[1:]
    pieces = Pieces.learn(text, "<eos>", 24, "unigram")
    assert pieces.names[1:] == Pieces(pieces.model).names[1:]
    assert pieces.encode(text[0]) == Pieces(pieces.model).encode(text[0])


@pytest.mark.parametrize("ends", [True, False])
def test_characters_at_once_are_those_one_by_one(ends):
    text = Text("mine", ["ab \u00e9a", "", "b\U0001f600"], ends)
    tokens = Characters.learn(["ab"], "<eos>")
    fast, slow = tokens.encode_text(text), Tokens.encode_text(tokens, text)
    assert fast.ids.tolist() == slow.ids.tolist()
    assert fast.offsets.tolist() == slow.offsets.tolist()
    assert (fast.unknown, fast.unknown_nats) == (slow.unknown, slow.unknown_nats)


def test_a_long_line_is_tokenized_like_short_ones():
    pieces = Pieces.learn(lines(100, 7), "<eos>", 24, "unigram")
    short = " ".join(lines(40, 8))
    long = " ".join([short] * 40)
    assert pieces.encode(long) == pieces.encode(short) * 40
    assert pieces.encode("the\u2581cat") == pieces.encode("the_cat")


def test_a_file_of_other_tokens_is_an_error(tmp_path):
    save(Characters.learn(["ab"]), tmp_path / "tokens.json")
    with pytest.raises(ValueError, match="does not hold the tokens .*: the first token is <blank>"):
        read_text_tokens(tmp_path / "tokens.json")
    with pytest.raises(ValueError, match="tokens must be words, characters, unigram or bpe"):
        tokenization.learn(["a"], "letters", "<eos>")


@pytest.mark.parametrize(
    ("data", "names", "kind"),
    [
        (
            {"kind": "characters", "names": ["<blank>", " ", "A"]},
            ["<blank>", " ", "A"],
            "characters",
        ),
        ({"kind": "words", "names": ["<blank>", "GO"]}, ["<blank>", "GO"], "words"),
        (
            {"kind": "words", "names": ["<eos>", "<unk>", "go"], "alphabet": "go"},
            ["<eos>", "<unk>", "go"],
            "words",
        ),
        (
            {"kind": "characters", "names": ["<eos>", " ", "<unk>"], "alphabet": " "},
            ["<eos>", " ", "<unk>"],
            "characters",
        ),
        (
            {"names": ["<eos>", "<unk>", "a"], "words": "ptb", "max_length": 7},
            ["<eos>", "<unk>", "a"],
            "captions",
        ),
    ],
)
def test_files_of_every_earlier_format(tmp_path, data, names, kind):
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps(data))
    tokens = tokenization.load(path)
    assert (tokens.names, tokens.kind) == (names, kind)
    save(tokens, path)
    assert tokenization.load(path).to_dict() == tokens.to_dict() == {"kind": kind, **data}


@pytest.mark.parametrize("special", ["<blank>", "<eos>"])
def test_pieces_of_earlier_files(tmp_path, special):
    pieces = Pieces.learn(["GO ON", "NO GO", "ON AND ON"], special, 9)
    data = {"kind": "pieces", "model": pieces.model.hex()}
    if special == "<eos>":
        data["alphabet"] = pieces.alphabet
    (tmp_path / "tokens.json").write_text(json.dumps(data))
    tokens = tokenization.load(tmp_path / "tokens.json", special)
    assert tokens.names == pieces.names and tokens.names[0] == special
    assert tokens.encode("NO GO") == pieces.encode("NO GO")
    # Without <unk> what is unknown is left out.
    assert (pieces.unk in tokens.encode("NO X")) == (special == "<eos>")


def test_tokens_are_learned_once(tmp_path):
    path = tmp_path / "tokens.json"
    first = tokenization.learn_once(path, ["a b"], "words", "<eos>")
    again = tokenization.learn_once(path, ["c d"], "words", "<eos>")
    assert again.names == first.names
    with pytest.raises(ValueError, match=r"tokens.json: holds words of an earlier training, but t"):
        tokenization.learn_once(path, ["a b"], "bpe", "<eos>", "target_tokens")


def test_another_number_of_tokens_than_the_model_has(tmp_path):
    path = tmp_path / "tokens.json"
    save(Characters.learn(["ab"]), path)
    with pytest.raises(ValueError, match=r"tokens.json: has 4 tokens, and the model of a.json kno"):
        tokenization.load(path, "<blank>", 5, "a.json")
    with pytest.raises(ValueError, match=r"tokens.json: holds words; must hold the words of capti"):
        save(Words.learn(["a"], "<eos>"), path)
        tokenization.load_vocabulary(path)
