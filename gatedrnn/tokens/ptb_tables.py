"""Words and characters that the tokeniser of captions knows by name."""

from __future__ import annotations

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

#: Character -> what stands for it; the spaces part it from its neighbours.
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
