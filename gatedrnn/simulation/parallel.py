"""A tiny made-up language and its translations, in the files of parallel text.

It serves where a recipe must run at once, with nothing to download. The translation puts the verb
last, adjectives behind their noun and when it happens first, and its articles agree with the noun:
word for word nothing comes out right. What is learnt from it says nothing about real data.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gatedrnn.data.files import write_atomically
from gatedrnn.simulation.labelled import write_once

#: Endings of the files.
SOURCE, TARGET = "en", "xx"
#: Noun -> its translation, and whether it is one of the second kind.
_NOUNS = {
    "dog": ("runo", False), "cat": ("mili", True), "child": ("pago", False),
    "bird": ("tiri", True), "house": ("domo", False), "river": ("akri", True),
}  # fmt: skip
_ARTICLES = {"the": ("lo", "li"), "a": ("uno", "uni")}
_ADJECTIVES = {"small": "pet", "red": "rug", "old": "vek", "quiet": "tas"}
_VERBS = {"sees": "vidar", "likes": "amar", "follows": "segar", "finds": "trovar"}
_TIMES = {"today": "odi", "often": "sov", "": ""}


def sentence(rng: np.random.Generator) -> tuple[str, str]:
    """Makes a sentence and its translation.

    Arguments
    ---------
    rng : np.random.Generator
        Decides which.

    Returns
    -------
    source : str
    target : str

    Example
    -------
    >>> sentence(np.random.default_rng(4))
    ('a red quiet river likes a old dog often', 'sov uni akri tas rug uno runo vek amar')
    """

    def phrase() -> tuple[str, str]:
        article, noun = (str(rng.choice(list(words))) for words in (_ARTICLES, _NOUNS))
        count = int(rng.choice([0, 0, 1, 1, 2]))
        adjectives = [str(word) for word in rng.choice(list(_ADJECTIVES), count, replace=False)]
        translated, second = _NOUNS[noun]
        behind = [_ADJECTIVES[word] for word in reversed(adjectives)]
        return (
            " ".join([article, *adjectives, noun]),
            " ".join([_ARTICLES[article][second], translated, *behind]),
        )

    (who, qui), (whom, quem) = phrase(), phrase()
    verb, when = (str(rng.choice(list(words))) for words in (_VERBS, _TIMES))
    words = (
        " ".join([who, verb, whom, when]),
        " ".join([_TIMES[when], qui, quem, _VERBS[verb]]),
    )
    return words[0].strip(), words[1].strip()


def write_parallel(
    folder: str | Path, train: int = 2000, valid: int = 100, test: int = 100, seed: int = 1
) -> None:
    """Writes ``train``, ``valid`` and ``test`` with the endings ``.en`` and ``.xx``, once.

    No sentence comes twice, in whatever set.

    Arguments
    ---------
    folder : str or Path
        Where to.
    train : int
        Numbers of pairs.
    valid : int
        Numbers of pairs.
    test : int
        Numbers of pairs.
    seed : int
        Decides all.

    Raises
    ------
    ValueError
        If the folder holds other files, or so many different sentences are not to be had.

    Example
    -------
    >>> folder = getfixture("tmp_path") / "pairs"
    >>> write_parallel(folder, 5, 2, 2)
    >>> [len((folder / f"train.{end}").read_text().splitlines()) for end in ("en", "xx")]
    [5, 5]
    """
    counts = {"train": train, "valid": valid, "test": test}
    if min(counts.values()) < 1 or sum(counts.values()) > 50_000:
        raise ValueError(
            "train, valid and test must be at least 1 pair each, and 50,000 together at most, not "
            f"{train}, {valid} and {test}"
        )

    def write(folder: Path) -> None:
        rng = np.random.default_rng(seed)
        made: dict[str, str] = {}
        while len(made) < sum(counts.values()):
            source, target = sentence(rng)
            made[source] = target
        pairs = iter(made.items())
        for name, count in counts.items():
            taken = [next(pairs) for _ in range(count)]
            for ending, side in ((SOURCE, 0), (TARGET, 1)):
                text = "".join(f"{pair[side]}\n" for pair in taken)
                write_atomically(folder / f"{name}.{ending}", text)

    write_once(Path(folder), {"kind": "parallel", **counts, "seed": seed}, write)
