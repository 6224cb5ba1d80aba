"""Dialogue of a simulated meeting: turns of dialogue from a seeded grammar.

The texts follow a meeting's course (an opening, subjects with statements, questions and proposals,
decisions, a closing) and its manners: fillers, backchannels, broken-off words, laughter. They use
a few hundred words, so that a small recogniser can learn them in minutes.

A rule of the grammar is a list of alternatives, sampled with equal probability, so that one that is
written twice has twice the probability; names of rules stand in braces. Words and punctuation marks
are separated by spaces. `L_C_D` is pronounced letter by letter, as the AMI transcribers write it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

RULES: dict[str, tuple[str, ...]] = {
    # Sounds of thinking. Most of the time there are none.
    "um": ("", "", "", "", "", "", "um ,", "uh ,"),
    "so": ("", "", "", "so", "okay , so", "well ,", "and"),
    # Numbers.
    "digit": ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    "tens": ("twenty", "thirty", "forty", "fifty", "sixty"),
    "number": ("{digit}", "twelve", "fifteen", "{tens}", "{tens} five"),
    "percent": ("{tens} percent", "{tens} {digit} percent", "fifteen percent"),
    "price": ("twelve fifty", "twelve euros", "{number} euros", "{number} million euros"),
    "minutes": ("five minutes", "ten minutes", "{tens} minutes", "half an hour"),
    "count": ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "{tens}"),
    "day": ("monday", "tuesday", "friday"),
    # Things.
    "product": ("remote control", "remote control", "remote", "product", "device", "prototype"),
    "part": ("button", "screen", "chip", "battery", "case", "wheel", "speaker", "L_C_D", "display"),
    "parts": ("buttons", "batteries", "colours", "functions", "features", "chips", "users"),
    "subject": ("design", "budget", "interface", "market", "project", "schedule", "material"),
    "colour": ("red", "yellow", "blue", "black", "white", "green"),
    "material": ("plastic", "wood", "rubber", "titanium"),
    "quality": ("simple", "small", "easy to use", "expensive", "cheap", "new", "big", "modern"),
    "quality_good": ("good", "great", "nice", "important", "useful", "interesting"),
    "group": ("young people", "old people", "the users", "most people", "the company", "children"),
    "who": ("I", "we", "you", "they"),
    "we_do": ("I'll", "we'll", "we can", "we could", "I can", "I would", "we should"),
    "do_thing": (
        "use a {part}",
        "make the {part} {quality}",
        "look at the {subject}",
        "put the {part} on the side",
        "change the {subject}",
        "sell it for {price}",
        "talk about the {parts}",
        "have {count} {parts}",
        "use {material} for the case",
        "keep it {quality}",
        "work on the {subject}",
    ),
    "think": ("I think", "I think", "I guess", "maybe", "we think", "you know", "I mean"),
    # Dialogue acts. A turn is one or more of them.
    "opening": (
        "okay , {um} good morning everybody .",
        "right , {um} welcome to the meeting .",
        "okay , let's start the meeting .",
        "so {um} shall we start with the {subject} ?",
    ),
    "closing": (
        "okay , {um} that's it for today .",
        "right , we have {minutes} left .",
        "thank you everybody .",
        "okay , see you on {day} .",
    ),
    "introduce": (
        "okay , {um} next is the {subject} .",
        "now let's talk about the {subject} .",
        "{um} can you tell us about the {subject} ?",
        "so what about the {parts} ?",
        "the next thing is the {product} .",
        "we have {minutes} for the {subject} .",
    ),
    "state": (
        "{so} {um} the {product} should be {quality} .",
        "{so} the {part} is on the {colour} side .",
        "{so} {group} want a {quality} {product} .",
        "{percent} of the people don't like the {parts} .",
        "{so} {group} use only {percent} of the {parts} .",
        "{think} the {part} is too {quality} .",
        "{think} {um} {we_do} {do_thing} .",
        "{so} it has a {colour} {part} and {count} {parts} .",
        "the {part} will cost {price} .",
        "{so} we want to sell it for {price} .",
        "we need {count} {parts} for the {product} .",
        "the {product} is made of {material} .",
        "{so} {um} I looked at the {subject} .",
        "that's the {subject} for the {product} .",
        "there is a problem with the {part} .",
        "we need the {product} on {day} .",
        "the next meeting is on {day} .",
        "I will start with the {subject} on {day} .",
        "it's not very {quality} , but it's {quality_good} .",
        "you can turn on the T_V_ with the {part} .",
        "you just push the {part} and the T_V_ is on .",
    ),
    "propose": (
        "{so} {um} {we_do} {do_thing} .",
        "{think} {we_do} {do_thing} .",
        "why don't we {do_thing} ?",
        "what if {who} {do_thing} ?",
        "let's {do_thing} .",
    ),
    "ask": (
        "{so} how many {parts} do we need ?",
        "{um} what do you think about the {part} ?",
        "is the {part} {quality} ?",
        "{so} how much is the {part} ?",
        "do {group} like the {colour} one ?",
        "what colour is the {part} ?",
        "{um} should we {do_thing} ?",
        "when do we have the {product} ?",
        "does it have a {part} ?",
    ),
    "answer": (
        "yeah , {um} {think} it's {quality} .",
        "no , {um} {think} it's too {quality} .",
        "about {number} .",
        "{um} {count} {parts} , I think .",
        "it's {price} .",
        "on {day} , I think .",
        "in {minutes} , or next week .",
        "I don't know .",
        "{um} maybe {colour} or {colour} .",
        "yes , it has a {part} .",
    ),
    "agree": (
        "yeah , that's {quality_good} .",
        "okay , {we_do} {do_thing} .",
        "yeah , I agree .",
        "yes , that's a {quality_good} idea .",
        "right , that's true .",
        "sure , we can do that .",
    ),
    "disagree": (
        "no , {um} I don't think so .",
        "{um} but it's too {quality} .",
        "well , the {part} is {quality} .",
        "but then it will cost {price} .",
        "I'm not sure about the {part} .",
    ),
    "decide": (
        "okay , so {we_do} {do_thing} .",
        "right , so we have a {colour} {part} .",
        "okay , that's fine .",
        "so everybody is happy with the {part} .",
        "okay , {price} then .",
    ),
    "backchannel": (
        "yeah .",
        "yeah .",
        "mm-hmm .",
        "mm-hmm .",
        "okay .",
        "right .",
        "uh-huh .",
        "hmm .",
        "sure .",
        "yeah , yeah .",
        "oh okay .",
    ),
}

#: Word -> text for espeak-ng, which would read it letter by letter: phoneme mnemonics in brackets.
SPOKEN: dict[str, str] = {
    "mm-hmm": "[[m:h'Vm]]",
    "hmm": "[[h'm:]]",
    "uh-huh": "uh huh",
}

#: Words that speakers break off now and then, and what remains of them.
BROKEN_OFF: dict[str, str] = {
    "remote": "rem",
    "design": "de",
    "interface": "inter",
    "prototype": "proto",
    "expensive": "exp",
    "product": "prod",
}
#: Fraction of words that may be broken off which are.
BROKEN_SHARE = 0.03
#: Chance that a turn with the floor is answered by a backchannel of somebody else.
BACKCHANNEL_SHARE = 0.25
#: Chances, per turn, of the sounds that NXT annotations mark and nobody transcribes.
SOUND_SHARES = {"laugh": 0.03, "cough": 0.01, "gap": 0.01}

_SLOT = re.compile(r"\{(\w+)\}")
_PUNCTUATION = frozenset(".,?")


@dataclass(frozen=True)
class Token:
    """One element of a transcript: its text as a transcriber writes it (empty for sounds), and its
    kind: `word`, `punc`, `trunc` (a broken-off word), `disfmarker`, `gap`, `laugh` or `cough`.
    """

    text: str
    kind: str = "word"

    @property
    def spoken(self) -> str:
        """Text for the speech synthesizer."""
        if self.kind not in ("word", "trunc", "punc"):
            return ""
        return SPOKEN.get(self.text.lower(), self.text.replace("_", " ").strip())


@dataclass(frozen=True)
class Turn:
    """One turn of a speaker (counted from 0). A backchannel may overlap the turn it answers."""

    speaker: int
    tokens: tuple[Token, ...]
    backchannel: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """The words, broken-off ones included, without punctuation."""
        return tuple(token.text for token in self.tokens if token.kind in ("word", "trunc"))


def expand(rule: str, rng: np.random.Generator) -> str:
    """Samples a text of a rule: words and punctuation marks separated by single spaces."""
    if rule not in RULES:
        raise ValueError(f"the grammar has no rule {rule!r}; it has {', '.join(sorted(RULES))}")
    alternatives = RULES[rule]
    text = alternatives[int(rng.integers(len(alternatives)))]
    return " ".join(_SLOT.sub(lambda match: expand(match[1], rng), text).split())


def tokenize(text: str) -> tuple[Token, ...]:
    """Turns a text of the grammar into tokens, with capitals at the start of sentences."""
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
    """Every word of the grammar, in lower case; broken-off words are not counted."""
    texts = " ".join(text for alternatives in RULES.values() for text in alternatives)
    return frozenset(_SLOT.sub(" ", texts).lower().split()) - _PUNCTUATION


def dialogue(rng: np.random.Generator, speakers: int = 4) -> Iterator[Turn]:
    """Turns of a meeting, without end: an opening, then one subject after the other."""
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
    """The last words of a meeting."""
    return _turn(rng, speaker, "closing")


def _exchange(rng: np.random.Generator, speakers: int) -> Iterator[Turn]:
    """A question with its answer, or a proposal with its reply."""
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
    """A turn with the floor, half of the time with a second sentence, and perhaps a backchannel."""
    rules = (rule, *more) if rng.random() < 0.5 else (rule,)
    yield _turn(rng, speaker, *rules)
    if rng.random() < BACKCHANNEL_SHARE:
        listener = _other(rng, speaker, speakers)
        yield Turn(listener, tokenize(expand("backchannel", rng)), backchannel=True)


def _turn(rng: np.random.Generator, speaker: int, *rules: str) -> Turn:
    """A turn of some sentences, with disfluencies and sounds."""
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
