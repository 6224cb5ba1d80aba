"""Sentences and their translations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from gatedrnn.data.report import Report


@dataclass(frozen=True)
class Pairs:
    """Sentences of one language, each with its translation into another.

    Arguments
    ---------
    name : str
        What results call them.
    source, target : sequence of str
        The sentences, words separated by single spaces.

    Raises
    ------
    ValueError
        If there are not as many translations as sentences, or none at all.

    Example
    -------
    >>> pairs = Pairs("test", ["guten Tag", "guten Tag"], ["hello", "good day"])
    >>> len(pairs), pairs.references()
    (2, {'guten Tag': ['hello', 'good day']})
    """

    name: str
    source: Sequence[str]
    target: Sequence[str]

    def __post_init__(self) -> None:
        if len(self.source) != len(self.target):
            raise ValueError(
                f"{self.name}: {len(self.source)} sentences cannot have {len(self.target)} "
                "translations, one each"
            )
        if not self.source:
            raise ValueError(f"{self.name}: there is no pair of sentences")

    def __len__(self) -> int:
        return len(self.source)

    def references(self) -> dict[str, list[str]]:
        """The different translations of each sentence, in the order in which they come.

        Returns
        -------
        dict
        """
        found: dict[str, list[str]] = {}
        for source, target in zip(self.source, self.target, strict=True):
            known = found.setdefault(source, [])
            if target not in known:
                known.append(target)
        return found


@dataclass(frozen=True)
class Languages:
    """What a translator reads and writes: plain data, which its bundle keeps.

    Arguments
    ---------
    source, target : str
        Codes of the two languages, such as ``"de"``.
    lowercase : bool
        Whether it knows small letters only.
    bleu_tokenize : str
        How sacreBLEU splits what it writes, see :mod:`gatedrnn.tasks.translation.metrics`.

    Raises
    ------
    ValueError
        If a value is something else.

    Example
    -------
    >>> languages = Languages("de", "en", lowercase=True)
    >>> languages.prepared("  Guten   Tag "), Languages.from_dict(languages.to_dict()) == languages
    ('guten tag', True)
    """

    source: str
    target: str
    lowercase: bool = False
    bleu_tokenize: str = "13a"

    def __post_init__(self) -> None:
        code = "the code of a language"
        for name, what in (("source", code), ("target", code), ("bleu_tokenize", "a name")):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise ValueError(f"languages: {name} must be {what}, not {getattr(self, name)!r}")
        if not isinstance(self.lowercase, bool):
            raise ValueError(f"languages: lowercase must be true or false, not {self.lowercase!r}")

    def prepared(self, sentence: str) -> str:
        """A sentence as training has seen it: words separated by single spaces.

        Arguments
        ---------
        sentence : str
            The sentence.

        Returns
        -------
        str
        """
        squeezed = " ".join(sentence.split())
        return squeezed.lower() if self.lowercase else squeezed

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain data.

        Returns
        -------
        dict
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Languages:
        """Reads what :meth:`to_dict` gave.

        Arguments
        ---------
        data : Any
            Plain data.

        Returns
        -------
        Languages

        Raises
        ------
        ValueError
            If it is something else.
        """
        known = [one.name for one in fields(cls)]
        if not isinstance(data, Mapping) or set(data) != set(known):
            raise ValueError(f"languages must be an object with {', '.join(known)}, not {data!r}")
        return cls(**data)


@dataclass(frozen=True)
class ParallelCorpus:
    """The pairs of a training.

    Arguments
    ---------
    source, target : str
        Codes of the two languages, such as ``"de"``.
    train, valid : Pairs
        To learn from, and to choose by.
    tests : tuple of Pairs
        What figures are reported on, once; those of ``valid`` are tested, too.
    """

    source: str
    target: str
    train: Pairs
    valid: Pairs
    tests: tuple[Pairs, ...] = field(default=())

    @property
    def evaluated(self) -> Mapping[str, Pairs]:
        """Name -> what is tested."""
        return {pairs.name: pairs for pairs in (self.valid, *self.tests)}

    def reversed(self) -> ParallelCorpus:
        """The same for the other direction.

        Returns
        -------
        ParallelCorpus
        """

        def turned(pairs: Pairs) -> Pairs:
            return Pairs(pairs.name, pairs.target, pairs.source)

        tests = tuple(map(turned, self.tests))
        return ParallelCorpus(
            self.target, self.source, turned(self.train), turned(self.valid), tests
        )


def described(corpus: ParallelCorpus, report: Report) -> ParallelCorpus:
    """Puts the numbers of pairs and words of a corpus into a report.

    Arguments
    ---------
    corpus : ParallelCorpus
        The corpus.
    report : Report
        Takes the numbers.

    Returns
    -------
    ParallelCorpus
        The corpus.
    """
    for pairs in (corpus.train, corpus.valid, *corpus.tests):
        report.figures[pairs.name] = {
            "pairs": len(pairs),
            "different sources": len(set(pairs.source)),
            "words": [sum(len(s.split()) for s in side) for side in (pairs.source, pairs.target)],
            "characters": [sum(map(len, side)) for side in (pairs.source, pairs.target)],
        }
    return corpus
