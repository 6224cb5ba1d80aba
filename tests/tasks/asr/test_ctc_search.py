"""Searches of connectionist temporal classification against sums over all alignments."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from speechbrain.decoders import CTCPrefixBeamSearcher

from gatedrnn.tasks.asr import decode as ctc
from gatedrnn.tasks.asr.decode import PrefixBeam, SearchOptions, prefix_beam_search
from gatedrnn.tokens import Characters

FRAMES, VOCABULARY = 6, 4


def all_readings(log_probs: torch.Tensor) -> list[tuple[tuple[int, ...], float]]:
    """Every reading with its probability, summed over every alignment."""
    sums: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(VOCABULARY), repeat=len(log_probs)):
        tokens = tuple(t for t, _ in itertools.groupby(path) if t)
        score = math.exp(sum(float(log_probs[f, t]) for f, t in enumerate(path)))
        sums[tokens] = sums.get(tokens, 0.0) + score
    return sorted(((t, math.log(p)) for t, p in sums.items()), key=lambda item: -item[1])


@pytest.fixture
def log_probs():
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(3, FRAMES, VOCABULARY, generator=generator, dtype=torch.float64)
    return (1.5 * logits).log_softmax(-1)


def test_a_wide_beam_is_exact(log_probs):
    counts = torch.tensor([6, 5, 1])
    found = prefix_beam_search(log_probs, counts, SearchOptions(9999, min_log_prob=-1e9))
    for scores, count, hypotheses in zip(log_probs, counts.tolist(), found, strict=True):
        exact = dict(all_readings(scores[:count]))
        assert {h.tokens for h in hypotheses} == set(exact)
        for hypothesis in hypotheses:
            assert hypothesis.score == pytest.approx(exact[hypothesis.tokens], abs=1e-9)
        scores = [h.score for h in hypotheses]
        assert scores == sorted(scores, reverse=True)


def test_it_finds_what_speechbrains_search_finds(log_probs):
    options = {"beam_prune_logp": -1e9, "token_prune_min_logp": -1e9, "prune_history": False}
    theirs = CTCPrefixBeamSearcher(
        blank_index=0, vocab_list=["_", "a", "b", "c"], beam_size=999, topk=5, **options
    )(log_probs, torch.ones(3))
    wide = SearchOptions(999, min_log_prob=-1e9)
    ours = prefix_beam_search(log_probs, torch.full((3,), FRAMES), wide)
    ours = [hypotheses[:5] for hypotheses in ours]
    for a, b in zip(ours, theirs, strict=True):
        assert ["".join("_abc"[t] for t in h.tokens) for h in a] == [h.text for h in b]
        assert [h.score for h in a] == pytest.approx([float(h.score) for h in b], abs=1e-6)


def test_greedy_takes_the_best_path(log_probs):
    (first, *_) = ctc.greedy(log_probs, torch.tensor([6, 3, 1]))
    best = log_probs[0].argmax(-1).tolist()
    assert first.tokens == tuple(t for t, _ in itertools.groupby(best) if t)
    assert first.score == pytest.approx(float(log_probs[0].max(-1).values.sum()))


def test_words_get_the_times_of_their_best_alignment():
    tokens = Characters(["<blank>", " ", "A", "B"])
    path = torch.tensor([0, 0, 2, 2, 0, 2, 1, 0, 3, 3, 0, 0])
    log_probs = (20.0 * torch.nn.functional.one_hot(path, 4)).log_softmax(-1)
    words = ctc.word_times(log_probs, ctc.Hypothesis((2, 2, 1, 3), 0.0), tokens, 0.03)
    assert [(w.word, round(w.start, 3), round(w.end, 3)) for w in words] == [
        ("AA", 0.06, 0.18),
        ("B", 0.24, 0.3),
    ]
    with pytest.raises(ValueError, match="do not fit into 3 frames"):
        ctc.word_times(log_probs[:3], ctc.Hypothesis((2, 2, 3), 0.0), tokens, 0.03)


def test_repeated_tokens_are_one_unless_a_blank_is_between():
    rows = [[0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]
    (best,) = ctc.greedy(torch.tensor([rows]).log(), torch.tensor([4]))
    assert best.tokens == (1, 1)
    beam = PrefixBeam(SearchOptions(16))
    for frame in torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log():
        beam.advance(frame.unsqueeze(0))
    assert beam.hypotheses()[0].tokens == (1,)
