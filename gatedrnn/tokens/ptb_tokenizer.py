"""Words of a caption, as Stanford's PTBTokenizer makes them and pycocoevalcap keeps them.

Published figures are of words made by that program, which needs Java. The rules here were found by
asking it (CoreNLP 3.4.1, ``-lowerCase``), not taken from its source: of several patterns that fit
at a place, the longest match is the next word, as in the program. On the 150,000 captions of
Flickr8k, AudioCaps, Clotho and Multi30k there is no difference. Where a caption ends in a letter
and a period, the program looks at the NEXT caption in its file to tell whether the period is the
letter's; here a caption stands for itself. Captions are taken to be English.

Punctuation goes, brackets stay as ``-lrb-`` and ``-rrb-``, and so do ``!!`` and ``??``: the list of
what goes has neither. That is no good idea, but it is what all figures are made with.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

from gatedrnn.tokens.ptb_tables import ABBREVIATIONS, BEFORE_NUMBERS, CLOSED_UP, REPLACED, STARTERS

#: What is no word. pycocoevalcap also has -LRB- and the like, which never come in lower case.
PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])
_BRACKETS = str.maketrans(
    {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
)
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&nbsp;": " ", "&amp;": "&"}

# Parts of patterns: apostrophe, letter, letter or digit, words with hyphens, and the end of a word.
_A, _L, _W = "['’]", r"[^\W\d_]", r"[^\W_]"
_HYPHENED = rf"{_W}+(?:[-‐‑]{_W}+)*"
_END = rf"(?!{_W})"
_ABBREVIATION = rf"(?:{'|'.join(ABBREVIATIONS)})\."
_ACRONYM = rf"{_L}(?:\.{_L})*\."
_LINK = r"[^\s<>\"'()]*[^\s<>\"'().,;:!?]"
_HALVES = "|".join(rf"{a}(?={b}(?!{_W}|-{_W}|{_A}{_L}))" for a, b in CLOSED_UP)
_OTHER_HALVES = "|".join(f"(?<={a}){b}" for a, b in CLOSED_UP)

#: Patterns, and by how much what must follow makes a match longer than what it takes.
_RULES = tuple(
    (re.compile(pattern, re.IGNORECASE), ahead)
    for pattern, ahead in (
        # Words, hyphens and slashes within.
        (_HYPHENED, 0),
        (rf"{_W}+(?:_+{_W}+)+(?:-{_W}+)*|{_HYPHENED}_{_W}+", 0),
        (rf"{_HYPHENED}(?:/{_HYPHENED}){{1,2}}", 0),
        (rf"{_L}+(?:[!?]{_L}+)+", 0),
        (r"(?-i:[A-Z]{1,3}&[A-Z]{1,3})", 0),
        # Contractions: ca n't, it 's, gon na, 't is.
        (rf"{_L}*?{_L}(?=n{_A}t{_END})", 3),
        (rf"n{_A}t{_END}", 0),
        (rf"{_A}(?:s|m|d|re|ve|ll){_END}", 0),
        (_HALVES, 4),
        (rf"(?:{_OTHER_HALVES}){_END}", 0),
        (rf"'t(?=(?:is|was)(?:n{_A}t)?{_END})", 3),
        # Apostrophes that belong to a word: o'clock, O'Neil, 'em, rock 'n' roll, '90s.
        (rf"ma{_A}am|{_W}*-?o{_A}clo(?:ck)?|c{_A}mon|{_L}*[aeo]{_A}e[nr]{_END}", 0),
        (rf"(?:[dlon]|qu|c(?=.es)|(?-i:[A-HJ-XZ])){_A}{_L}{_L}+(?:-{_W}+)*", 0),
        (rf"(?:[dlyj]|qu){_A}(?={_L})|ol{_A}", 0),
        (rf"{_A}(?:em|til|till|cause){_END}", 0),
        (rf"{_A}n{_A}|{_A}n{_END}(?![-,])", 0),
        (rf"{_A}[2-9]0s(?!{_W}|-)|{_A}\d\d(?!{_W}|[-/.,\"]|{_A})", 0),
        # Periods that belong to a word.
        (rf"{_ABBREVIATION}|(?:{'|'.join(BEFORE_NUMBERS)})\.(?=\d)", 0),
        (rf"(?:{_ACRONYM}|{_ABBREVIATION})-(?:{_ACRONYM}|{_HYPHENED})", 0),
        (rf"{_ACRONYM}(?!{_L})", 0),
        (rf"{_L}{_W}*(?:\.{_L}{_W}*)+(?:-{_W}+)*", 0),
        # Numbers, dates, money.
        (r"[-+]?\d*(?:[.,:]\d+)+|[-+]\d+", 0),
        (rf"\d*(?:[.,]\d+)+(?:-{_W}+)+", 0),
        (r"\d{1,4}[-/]\d{1,2}[-/]\d{1,4}|\d+-\d+/\d+|\(\d{3}\)\d{3}-\d{4}", 0),
        (r"(?-i:US|HK|NZ|[ACRS])\$", 0),
        # The web.
        (rf"https?://{_LINK}|www\.{_LINK}", 0),
        (rf"<?{_W}[\w.+-]*@{_W}[\w-]*(?:\.[\w-]+)*>?", 0),
        (r"</?[A-Za-z][^<>\s]*>|&(?:#\d+|[a-z]+acute);|@[A-Za-z_]\w*|#[A-Za-z]+", 0),
        (rf">?[:;=][-o']?[()]{_END}|>?[:;=]-?[DP|\]]{_END}|:[03pd]{_END}", 0),
        # Marks.
        (r"--+|\.\.\.+|[!?]+|_+|``|''|@@|\*\*|<<|>>|\^_\^|-_-|C\+\+|[CF]#", 0),
        (r".", 0),
    )
)


def tokenize(text: str) -> tuple[str, ...]:
    """Takes a caption apart into words in lower case, without punctuation.

    Arguments
    ---------
    text : str
        The caption.

    Returns
    -------
    tuple of str

    Example
    -------
    >>> tokenize("Two dogs can't see the man's T-shirt, at 5 p.m.")
    ('two', 'dogs', 'ca', "n't", 'see', 'the', 'man', "'s", 't-shirt', 'at', '5', 'p.m.')
    """
    found: list[str] = []
    chunks = _cleaned(text).split()
    for chunk, after in pairwise([*chunks, ""]):
        # The period of "no. 5" is the word's, that of "no." is not; "group B. The" ends a sentence.
        if chunk[-1] == "." and chunk[:-1].lower() in BEFORE_NUMBERS and after[:1].isdigit():
            found.append(chunk.lower())
        elif len(chunk) == 2 and chunk[1] == "." and chunk[0].isupper() and after in STARTERS:
            found.append(chunk[0].lower())
        else:
            found += _words(chunk)
    return tuple(found)


def _cleaned(text: str) -> str:
    """The text with few kinds of quotes and dashes, and without what is no text."""
    for entity, character in _ENTITIES.items():
        text = text.replace(entity, character)
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_mapped, unicodedata.normalize("NFC", text)))


@lru_cache(maxsize=4096)
def _mapped(character: str) -> str:
    """What becomes of a character: signs stand by themselves, unreadable ones part words."""
    if character in REPLACED:
        return REPLACED[character]
    kind = unicodedata.category(character)
    if kind[0] in "ZC" or kind == "Nl" or character == "\ufffd" or ord(character) > 0xFFFF:
        return " "
    if character.isascii() or character in "’‐‑":
        return character
    return f" {character} " if kind[0] in "PS" or kind == "No" else character


@lru_cache(maxsize=65536)
def _words(chunk: str) -> tuple[str, ...]:
    """Words of what stands between spaces."""
    found, start = [], 0
    while start < len(chunk):
        longest, stop = 0, start
        for pattern, ahead in _RULES:
            match = pattern.match(chunk, start)
            if match and match.end() > start and match.end() - start + ahead > longest:
                longest, stop = match.end() - start + ahead, match.end()
        word = chunk[start:stop].lower().translate(_BRACKETS)
        start = stop
        if re.fullmatch(rf"n?{_A}(?:t|s|m|d|re|ve|ll)", word):
            word = word.replace("’", "'")
        if word not in PUNCTUATION and not re.fullmatch(r"[\"’‐‑]|--+|\.{3,}", word):
            found.append(word)
    return tuple(found)
