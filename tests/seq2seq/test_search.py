"""Searches, compared with an exhaustive search."""

from __future__ import annotations

import itertools

import pytest
import torch

from gatedrnn.seq2seq.decoder import Decoder
from gatedrnn.seq2seq.search import (
    SearchOptions,
    beam_search,
    diverse_beam_search,
    greedy,
    sample,
    sampled_log_probs,
    search,
)
from gatedrnn.tasks.captioning.model import Captioner, FeatureEncoder

#: <eos>, <unk> and three words.
VOCABULARY, LONGEST = 5, 3


def tiny(network="lstmp", kind="soft", seed=0):
    torch.manual_seed(seed)
    decoder = Decoder(
        VOCABULARY,
        4,
        network,
        2,
        hidden_size=4,
        embedding_size=3,
        attention={"kind": kind, "size": 3},
    )
    captioner = Captioner(FeatureEncoder(3, 4), decoder).double()
    with torch.no_grad():
        for parameter in captioner.parameters():
            parameter.uniform_(-1.5, 1.5)
    lengths = torch.tensor([1.0, 0.6, 0.2], dtype=torch.float64)
    media = torch.randn(3, 5, 3, dtype=torch.float64)
    return captioner.eval(), captioner.encode(media, lengths)


def every_caption(captioner, encoded, item, options, words=(2, 3, 4)):
    """Every allowed caption with its score."""
    one = encoded.select(torch.tensor([item]))
    result = {}
    for size in range(options.min_length, options.max_length + 1):
        for tokens in itertools.product(words, repeat=size):
            scores = captioner.decoder(torch.tensor([[0, *tokens]]), one).scores[0]
            log_probs = scores.log_softmax(1)
            total = sum(float(log_probs[t, w]) for t, w in enumerate((*tokens, 0)))
            result[tokens] = options.normalize(total, size)
    return result


@torch.no_grad()
@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("shortest", [0, 2])
@pytest.mark.parametrize("kind", ["soft", "top_down", "late"])
def test_a_wide_beam_finds_what_there_is(kind, penalty, shortest):
    captioner, encoded = tiny(kind=kind)
    # More beams than the forty captions of up to three words.
    options = SearchOptions(60, LONGEST, shortest, length_penalty=penalty)
    result = beam_search(captioner, encoded, options)
    for item in range(3):
        expected = every_caption(captioner, encoded, item, options)
        assert len(result[item]) == len(expected)
        for hypothesis in result[item]:
            assert hypothesis.score == pytest.approx(expected[hypothesis.tokens], abs=1e-9)
        ranked = [hypothesis.score for hypothesis in result[item]]
        assert ranked == sorted(ranked, reverse=True)


@torch.no_grad()
@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_that_stops_early_still_finds_the_best(seed):
    """As many captions as are wanted, but enough beams that nothing is lost on the way."""
    captioner, encoded = tiny(seed=seed)
    options = SearchOptions(27, LONGEST, length_penalty=1.0)
    for item, result in enumerate(beam_search(captioner, encoded, options)):
        expected = every_caption(captioner, encoded, item, options)
        best = max(expected, key=expected.get)
        assert result[0].tokens == best
        assert result[0].score == pytest.approx(expected[best], abs=1e-9)


@pytest.mark.parametrize("network", ["lstmp", "ran", "beta"])
@pytest.mark.parametrize("kind", ["soft", "top_down", "late"])
def test_a_batch_is_its_items_one_by_one(network, kind):
    captioner, encoded = tiny(network, kind)
    cases = [
        (beam_search, SearchOptions(4, 6, length_penalty=1.0)),
        (diverse_beam_search, SearchOptions(4, 6, groups=2)),
        (search, SearchOptions(1, 6)),
    ]
    for run, options in cases:
        together = run(captioner, encoded, options)
        for item in range(3):
            alone = run(captioner, encoded.select(torch.tensor([item])), options)[0]
            same(together[item], alone)


def same(result, expected):
    assert [h.tokens for h in result] == [h.tokens for h in expected]
    for a, b in zip(result, expected, strict=True):
        assert a.score == pytest.approx(b.score, abs=1e-9)
        assert torch.allclose(a.attention, b.attention, atol=1e-6)
        assert a.attention.shape == (len(a.tokens), 5)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_one_beam_is_greedy(penalty, seed):
    captioner, encoded = tiny(seed=seed)
    options = SearchOptions(1, 8, length_penalty=penalty, block_ngrams=2)
    result = beam_search(captioner, encoded, options)
    for beam, best in zip(result, greedy(captioner, encoded, options), strict=True):
        same(beam, [best])


@pytest.mark.parametrize("seed", range(3))
def test_one_diverse_group_is_a_beam_search(seed):
    captioner, encoded = tiny(seed=seed)
    options = SearchOptions(4, 6, groups=1, diversity=3.0)
    for result, expected in zip(
        diverse_beam_search(captioner, encoded, options),
        beam_search(captioner, encoded, options),
        strict=True,
    ):
        same(result, expected)


def test_groups_keep_away_from_each_others_words():
    captioner, encoded = tiny()
    # So dear that no group takes a word that an earlier one has just taken.
    options = SearchOptions(3, 4, 1, groups=3, diversity=1e6)
    for result in diverse_beam_search(captioner, encoded, options):
        assert {h.tokens[0] for h in result} == {2, 3, 4}
    free = SearchOptions(4, 4, groups=4, diversity=0.0)
    for result in diverse_beam_search(captioner, encoded, free):
        assert len(result) == 1  # four times the same


@torch.no_grad()
def test_scores_and_attention_are_those_of_reading_the_caption():
    captioner, encoded = tiny("residual")
    options = SearchOptions(6, 5, groups=2, diversity=2.0)
    for item, result in enumerate(search(captioner, encoded, options)):
        one = encoded.select(torch.tensor([item]))
        for h in result:
            output = captioner.decoder(torch.tensor([[0, *h.tokens]]), one)
            log_probs = output.scores[0].log_softmax(1)
            expected = sum(float(log_probs[t, w]) for t, w in enumerate((*h.tokens, 0)))
            assert h.score == pytest.approx(expected, abs=1e-9)
            assert torch.allclose(h.attention, output.attention[0, :-1].float(), atol=1e-6)


def test_rules_hold():
    captioner, encoded = tiny()
    with torch.no_grad():
        captioner.decoder.softmax.bias[1] = 50.0  # <unk> is the most probable token
    for options in (
        SearchOptions(4, 7, 5, block_ngrams=2),
        SearchOptions(1, 7, 5, block_ngrams=2),
        SearchOptions(4, 7, 5, block_ngrams=2, groups=2),
    ):
        for result in search(captioner, encoded, options):
            for h in result:
                assert 5 <= len(h.tokens) <= 7
                assert not {0, 1} & set(h.tokens)
                pairs = list(itertools.pairwise(h.tokens))
                assert len(set(pairs)) == len(pairs)
    with_unknown = greedy(captioner, encoded, SearchOptions(unknown=True, max_length=3))
    assert [h.tokens for h in with_unknown] == [(1, 1, 1)] * 3
    # Three words that may come once each: then only the end is allowed.
    short = SearchOptions(3, 9, 9, block_ngrams=1)
    assert all(len(h.tokens) == 3 for h in search(captioner, encoded, short)[0])


def test_searches_leave_the_mode_alone_and_drop_nothing():
    captioner, encoded = tiny()
    quiet = search(captioner, encoded, SearchOptions(3))
    captioner.decoder.drop = type(captioner.decoder.drop)(0.5, 0.5, 0.5)
    captioner.train()
    for result, expected in zip(search(captioner, encoded, SearchOptions(3)), quiet, strict=True):
        same(result, expected)
    assert captioner.decoder.training


@pytest.mark.parametrize("kind", ["soft", "top_down", "late"])
@pytest.mark.parametrize(
    "options",
    [
        SearchOptions(max_length=4),
        SearchOptions(max_length=4, min_length=2, temperature=0.6, block_ngrams=2, unknown=True),
    ],
)
def test_drawn_log_probabilities_are_those_of_reading(kind, options):
    captioner, encoded = tiny(kind=kind)
    draw = torch.Generator().manual_seed(3)
    sampled = sample(captioner, encoded, 5, draw, options)
    assert len(sampled.tokens) == 15
    output = captioner.decoder(sampled.decoder_input, encoded.repeat(5))
    again = sampled_log_probs(output.scores, sampled.tokens, options)
    assert torch.allclose(again, sampled.log_probs, rtol=0, atol=1e-9)
    weights = torch.randn(15, dtype=torch.float64)
    parameters = list(captioner.decoder.parameters())
    expected = torch.autograd.grad((again * weights).sum(), parameters, retain_graph=True)
    result = torch.autograd.grad((sampled.log_probs * weights).sum(), parameters)
    for a, b in zip(result, expected, strict=True):
        assert torch.isfinite(a).all()
        assert torch.allclose(a, b, rtol=0, atol=1e-9)


@torch.no_grad()
def test_captions_are_drawn_as_often_as_their_probability():
    captioner, encoded = tiny()
    one = encoded.select(torch.tensor([0]))
    options = SearchOptions(max_length=1)
    sampled = sample(captioner, one, 4000, torch.Generator().manual_seed(0), options)
    scores = captioner.decoder(torch.tensor([[0]]), one).scores[0, 0]
    scores[1] = -torch.inf
    result = torch.bincount(sampled.tokens[:, 0], minlength=VOCABULARY) / 4000
    assert (result - scores.softmax(0)).abs().max() < 0.03
    with pytest.raises(ValueError, match="count must be at least 1, not 0"):
        sample(captioner, one, 0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"beam_size": 5, "groups": 2}, "groups share the beams evenly"),
        ({"beam_size": 0}, "beam_size must be a whole number from 1 to 1000, not 0"),
        ({"min_length": 17}, "min_length must be from 0 to max_length"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"length_penalty": -1.0}, "length_penalty must be a number from 0 to 10, not -1.0"),
    ],
)
def test_impossible_options_are_told(wrong, message):
    with pytest.raises(ValueError, match=message):
        SearchOptions(**wrong)
