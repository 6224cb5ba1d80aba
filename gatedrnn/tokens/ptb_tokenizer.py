"""Words of a caption, as Stanford's PTBTokenizer makes them and pycocoevalcap keeps them.

Published results use words of that program, which needs Java. These rules were derived from its
output (CoreNLP 3.4.1, ``-lowerCase``), not from its source: of several patterns that match at a
place, the longest match is the next word, as in the program. On the 150,000 captions of Flickr8k,
AudioCaps, Clotho and Multi30k there is no difference. Where a caption ends in a letter and a
period, the program reads the NEXT caption in its file to tell whether the period belongs to the
letter; here a caption stands for itself. Captions are assumed to be English.

Punctuation is removed, but for brackets, which become ``-lrb-`` and ``-rrb-``, and ``!!`` and
``??``: pycocoevalcap's list of punctuation has neither, and all published results use that list.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

#: Words whose period is their own; single letters and acronyms are not listed.
ABBREVIATIONS = tuple(
    """
    mr mrs ms dr prof rev sen rep gen col capt lt sgt maj cmdr gov pres hon messrs mme mlle bros
    assn univ bldg blvd ave rd sq ft ct st mt dept est inc jr sr vs etc corp co cos ltd mfg natl
    supt tel treas jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri
    calif fla va ga mich minn mo conn ariz ala colo ky md mont neb nev okla penn tenn vt wis wyo ind
    kan kans adj adv al cf comp cong ext invt seq alex wm jos ph ph\\.d
    """.split()
)

#: Words whose period is their own before a number.
BEFORE_NUMBERS = ("no", "nos", "fig", "figs", "op", "pp", "art")

#: Words that are written as one and count as two.
CLOSED_UP = (
    ("can", "not"),
    ("gon", "na"),
    ("got", "ta"),
    ("wan", "na"),
    ("gim", "me"),
    ("lem", "me"),
)

#: Words that show, after a letter with a period, that the period ends a sentence.
STARTERS = frozenset(
    """
    A An The It He She They We You This That These There Here Her Their Our One Some Many Other What
    When If As At In After While Since But So Then Now However Yet According About Mr. Once Such
    Last More
    """.split()
)

#: Character -> what stands for it; the spaces separate it from its neighbours.
REPLACED = {
    **dict.fromkeys("‘‹", "`"),
    "›": "'",
    **dict.fromkeys("“”«»", '"'),
    **dict.fromkeys("–—―", " -- "),
    "…": "...",
    **dict.fromkeys("€¤", "$"),
    "£": "#",
    "¢": " cents ",
    "½": " 1/2 ",
    "¼": " 1/4 ",
    "¾": " 3/4 ",
    "⅓": " 1/3 ",
    "⅔": " 2/3 ",
    "\xad": "",
}

#: Removed. pycocoevalcap also has -LRB- and the like, which never come in lower case.
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
    """Splits a caption into words in lower case, without punctuation."""
    words: list[str] = []
    chunks = _cleaned(text).split()
    for chunk, after in pairwise([*chunks, ""]):
        # The period of "no. 5" is the word's, that of "no." is not; "group B. The" ends a sentence.
        if chunk[-1] == "." and chunk[:-1].lower() in BEFORE_NUMBERS and after[:1].isdigit():
            words.append(chunk.lower())
        elif len(chunk) == 2 and chunk[1] == "." and chunk[0].isupper() and after in STARTERS:
            words.append(chunk[0].lower())
        else:
            words += _words(chunk)
    return tuple(words)


def _cleaned(text: str) -> str:
    """The text with few kinds of quotes and dashes, without entities and control characters."""
    for entity, character in _ENTITIES.items():
        text = text.replace(entity, character)
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_mapped, unicodedata.normalize("NFC", text)))


@lru_cache(maxsize=4096)
def _mapped(character: str) -> str:
    """The text for a character: signs stand by themselves, unreadable ones separate words."""
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
    """The words of a text without spaces."""
    words, start = [], 0
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
            words.append(word)
    return tuple(words)
