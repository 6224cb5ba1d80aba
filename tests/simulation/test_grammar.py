"""Texts of simulated meetings."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gatedrnn.simulation.grammar import (
    BROKEN_OFF,
    RULES,
    Token,
    closing,
    dialogue,
    expand,
    tokenize,
    vocabulary,
)


def take(seed: int, count: int) -> list:
    return list(itertools.islice(dialogue(np.random.default_rng(seed)), count))


def test_vocabulary_is_some_hundred_words_and_complete():
    words = vocabulary()
    assert 150 <= len(words) <= 400
    spoken = {
        token.text.lower()
        for turn in take(0, 4000)
        for token in turn.tokens
        if token.kind == "word"
    }
    assert spoken <= words
    assert words - spoken <= vocabulary() & set(
        " ".join((*RULES["opening"], *RULES["closing"])).split()
    ), "words that nobody ever says"


def test_same_seed_same_talk_and_another_seed_another():
    assert take(3, 50) == take(3, 50)
    assert take(3, 50) != take(4, 50)


def test_dialogue_has_flow_and_manners():
    turns = take(1, 600)
    assert {turn.speaker for turn in turns} == {0, 1, 2, 3}
    answered = [
        (turn, after)
        for turn, after in itertools.pairwise(t for t in turns if not t.backchannel)
        if turn.tokens[-1].text == "?"
    ]
    assert len(answered) > 30
    for turn, after in itertools.pairwise(turns):
        assert not (after.backchannel and after.speaker == turn.speaker)
    kinds = {token.kind for turn in turns for token in turn.tokens}
    assert {"word", "punc", "trunc", "disfmarker", "laugh", "gap"} <= kinds
    spoken = {word.lower() for turn in turns for word in turn.words}
    assert {"um", "uh", "mm-hmm", "uh-huh", "hmm", "yeah"} <= spoken
    assert 0.1 < sum(turn.backchannel for turn in turns) / len(turns) < 0.3
    assert max(len(turn.words) for turn in turns) < 40


def test_sentences_start_with_capitals_and_no_digits():
    tokens = tokenize("so it's twelve euros . I agree . T_V_ ?")
    assert [token.text for token in tokens if token.kind == "punc"] == [".", ".", "?"]
    assert tokens[0].text == "So"
    assert not any(character.isdigit() for word in vocabulary() for character in word)


def test_spoken_forms():
    assert Token("L_C_D").spoken == "L C D"
    assert Token("Mm-hmm").spoken.startswith("[[")
    assert Token(BROKEN_OFF["remote"], "trunc").spoken == "rem"
    assert Token("", "gap").spoken == ""


def test_closing_and_errors():
    assert closing(np.random.default_rng(0), 3).speaker == 3
    with pytest.raises(ValueError, match="no rule 'weather'"):
        expand("weather", np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least 2 speakers"):
        next(dialogue(np.random.default_rng(0), speakers=1))
