"""Talk of a simulated meeting: turns of dialogue from a seeded grammar.

The texts follow a meeting's course (an opening, subjects with statements, questions and proposals,
decisions, a closing) and its manners: fillers, backchannels, broken-off words, laughter. They use
a few hundred words, so that a small recogniser can learn them in minutes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gatedrnn.simulation.phrases import BROKEN_OFF, RULES, SPOKEN

#: Share of words that may be broken off which are.
BROKEN_SHARE = 0.03
#: Chance that a turn with the floor draws a backchannel from somebody else.
BACKCHANNEL_SHARE = 0.25
#: Chances, per turn, of the sounds that NXT annotations mark and nobody transcribes.
SOUND_SHARES = {"laugh": 0.03, "cough": 0.01, "gap": 0.01}

_SLOT = re.compile(r"\{(\w+)\}")
_PUNCTUATION = frozenset(".,?")


@dataclass(frozen=True)
class Token:
    """One element of a transcript.

    Arguments
    ---------
    text : str
        As a transcriber writes it: `Okay`, `T_V_`, `,`; empty for sounds.
    kind : str
        `word`, `punc`, `trunc` (a broken-off word), `disfmarker`, `gap`, `laugh` or `cough`.

    Example
    -------
    >>> Token("T_V_").spoken, Token("Okay").spoken, Token("", "laugh").spoken
    ('T V', 'Okay', '')
    """

    text: str
    kind: str = "word"

    @property
    def spoken(self) -> str:
        """What the synthesiser is given for it."""
        if self.kind not in ("word", "trunc", "punc"):
            return ""
        return SPOKEN.get(self.text.lower(), self.text.replace("_", " ").strip())


@dataclass(frozen=True)
class Turn:
    """What one speaker says in one go.

    Arguments
    ---------
    speaker : int
        Who says it, counted from 0.
    tokens : tuple of Token
        What is said.
    backchannel : bool
        Whether it only shows that somebody listens; it may then be spoken over another turn.
    """

    speaker: int
    tokens: tuple[Token, ...]
    backchannel: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """The words, broken-off ones included, without punctuation."""
        return tuple(token.text for token in self.tokens if token.kind in ("word", "trunc"))


def expand(rule: str, rng: np.random.Generator) -> str:
    """Draws one text of a rule.

    Arguments
    ---------
    rule : str
        Name of the rule.
    rng : np.random.Generator
        Where chance comes from.

    Returns
    -------
    str
        Words and punctuation marks separated by single spaces.

    Raises
    ------
    ValueError
        If there is no such rule.

    Example
    -------
    >>> expand("digit", np.random.default_rng(0)) in RULES["digit"]
    True
    """
    if rule not in RULES:
        raise ValueError(f"the grammar has no rule {rule!r}; it has {', '.join(sorted(RULES))}")
    alternatives = RULES[rule]
    drawn = alternatives[int(rng.integers(len(alternatives)))]
    return " ".join(_SLOT.sub(lambda match: expand(match[1], rng), drawn).split())


def tokenize(text: str) -> tuple[Token, ...]:
    """Turns a text of the grammar into tokens, with capitals at the start of sentences.

    Arguments
    ---------
    text : str
        Words and punctuation marks separated by spaces.

    Returns
    -------
    tuple of Token

    Example
    -------
    >>> [token.text for token in tokenize("okay , I see . right .")]
    ['Okay', ',', 'I', 'see', '.', 'Right', '.']
    """
    tokens = []
    sentence_start = True
    for piece in text.split():
        if piece in _PUNCTUATION:
            tokens.append(Token(piece, "punc"))
            sentence_start = piece != ","
        else:
            tokens.append(Token(piece[0].upper() + piece[1:] if sentence_start else piece))
            sentence_start = False
    return tuple(tokens)


def vocabulary() -> frozenset[str]:
    """Every word that the grammar can say, in lower case; broken-off words are not counted.

    Returns
    -------
    frozenset of str

    Example
    -------
    >>> words = vocabulary()
    >>> "remote" in words and "mm-hmm" in words, 150 <= len(words) <= 400
    (True, True)
    """
    texts = " ".join(text for alternatives in RULES.values() for text in alternatives)
    return frozenset(_SLOT.sub(" ", texts).lower().split()) - _PUNCTUATION


def dialogue(rng: np.random.Generator, speakers: int = 4) -> Iterator[Turn]:
    """Turns of a meeting, without end: an opening, then one subject after the other.

    Arguments
    ---------
    rng : np.random.Generator
        Where chance comes from; the same state gives the same meeting.
    speakers : int
        How many people sit at the table, at least 2.

    Yields
    ------
    Turn

    Raises
    ------
    ValueError
        If there are fewer than two speakers.

    Example
    -------
    >>> turns = dialogue(np.random.default_rng(0))
    >>> first = next(turns)
    >>> first.backchannel, len(first.words) > 2
    (False, True)
    """
    if speakers < 2:
        raise ValueError(f"a meeting needs at least 2 speakers, not {speakers}")
    chair = int(rng.integers(speakers))
    yield from _floor(rng, chair, speakers, "opening")
    while True:
        yield from _floor(rng, chair, speakers, "introduce")
        expert = _other(rng, chair, speakers)
        for _ in range(int(rng.integers(1, 4))):
            yield from _floor(rng, expert, speakers, "state", "state")
        for _ in range(int(rng.integers(1, 4))):
            yield from _exchange(rng, speakers)
        yield from _floor(rng, chair, speakers, "decide")


def closing(rng: np.random.Generator, speaker: int) -> Turn:
    """The last words of a meeting.

    Arguments
    ---------
    rng : np.random.Generator
        Where chance comes from.
    speaker : int
        Who says them.

    Returns
    -------
    Turn

    Example
    -------
    >>> closing(np.random.default_rng(0), 2).speaker
    2
    """
    return _turn(rng, speaker, "closing")


def _exchange(rng: np.random.Generator, speakers: int) -> Iterator[Turn]:
    """A question with its answer, or a proposal with what others make of it."""
    first = int(rng.integers(speakers))
    second = _other(rng, first, speakers)
    if rng.random() < 0.5:
        yield from _floor(rng, first, speakers, "ask")
        yield from _floor(rng, second, speakers, "answer", "state")
    else:
        yield from _floor(rng, first, speakers, "propose", "state")
        yield from _floor(rng, second, speakers, "agree" if rng.random() < 0.7 else "disagree")


def _floor(
    rng: np.random.Generator, speaker: int, speakers: int, rule: str, *more: str
) -> Iterator[Turn]:
    """A turn with the floor, half of the time with a second sentence, and who listens aloud."""
    rules = (rule, *more) if rng.random() < 0.5 else (rule,)
    yield _turn(rng, speaker, *rules)
    if rng.random() < BACKCHANNEL_SHARE:
        listener = _other(rng, speaker, speakers)
        yield Turn(listener, tokenize(expand("backchannel", rng)), backchannel=True)


def _turn(rng: np.random.Generator, speaker: int, *rules: str) -> Turn:
    """A turn of some sentences, with what goes wrong in speech."""
    tokens = []
    for token in tokenize(" ".join(expand(rule, rng) for rule in rules)):
        if token.text in BROKEN_OFF and rng.random() < BROKEN_SHARE:
            tokens += [Token(BROKEN_OFF[token.text], "trunc"), Token("", "disfmarker")]
        tokens.append(token)
    for kind, share in SOUND_SHARES.items():
        if rng.random() < share:
            tokens.append(Token("", kind))
    return Turn(speaker, tuple(tokens))


def _other(rng: np.random.Generator, speaker: int, speakers: int) -> int:
    """Anybody but the speaker."""
    return (speaker + int(rng.integers(1, speakers))) % speakers
