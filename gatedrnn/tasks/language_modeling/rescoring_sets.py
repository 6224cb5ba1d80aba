"""Sets of lists rescored as one: chosen on the first, reported on all; what it came to, as text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatedrnn.data.files import write_atomically
from gatedrnn.tasks.language_modeling.nbest import NBest
from gatedrnn.tasks.language_modeling.prefix_scores import score_texts
from gatedrnn.tasks.language_modeling.rescoring import (
    INSERTIONS,
    WEIGHTS,
    ScoredLists,
    Setting,
    Tuning,
    score_lists,
    tune,
)


@dataclass(frozen=True)
class Grid:
    """What is tried; where each has one value, that is taken as it is.

    Arguments
    ---------
    weights : sequence of float
        Of the language model.
    insertions : sequence of float
        What each word adds.
    internals : sequence of float or None
        Of an internal language model; see :func:`~gatedrnn.tasks.language_modeling.rescoring.tune`.
    """

    weights: Sequence[float] = WEIGHTS
    insertions: Sequence[float] = INSERTIONS
    internals: Sequence[float] | None = None

    @property
    def given(self) -> Setting | None:
        """The only setting there is; None if there are several."""
        internals = (0.0,) if self.internals is None else self.internals
        if not len(self.weights) == len(self.insertions) == len(internals) == 1:
            return None
        return Setting(self.weights[0], self.insertions[0], internals[0])


@dataclass(frozen=True)
class Rescored:
    """Sets of lists, and how much the language model counts.

    Arguments
    ---------
    sets : tuple of ScoredLists
        The sets, that of the choice first.
    setting : Setting
        The same for all.
    tuning : Tuning or None
        How it was chosen; None if it was given.
    """

    sets: tuple[ScoredLists, ...]
    setting: Setting
    tuning: Tuning | None

    def choice(self, place: str | Path) -> str:
        """The setting and where it comes from, in a line; one more for each edge of the grid.

        Arguments
        ---------
        place : str or Path
            What it was chosen on.

        Returns
        -------
        str
        """
        s = self.setting
        said = f"language model weight {s.weight:g}, insertion {s.insertion:g}"
        if s.internal:
            said += f", internal {s.internal:g}"
        if self.tuning is None:
            return f"{said}, given"
        lines = [f"{said}, chosen on {place} among {self.tuning.tried}"]
        lines += [
            f"  the best {edge} is at the end of what was tried: there may be a better one"
            for edge in self.tuning.edges
        ]
        return "\n".join(lines)


def check_line_ends(language_model: Any, name: str | Path) -> None:
    """Refuses a language model that cannot tell how probable it is that a sentence ends.

    Arguments
    ---------
    language_model : LanguageModel
        The model.
    name : str or Path
        What it is called.

    Raises
    ------
    ValueError
        If it was trained on text without ends of lines.
    """
    if not language_model.config.model.line_ends:
        raise ValueError(
            f"{name} was trained on text without ends of lines: it cannot tell how "
            "probable it is that a sentence ends"
        )


def rescore_sets(
    sets: Sequence[Sequence[NBest]], language_model: Any, grid: Grid = Grid()
) -> Rescored:
    """Scores lists once, chooses on the first set how much the language model counts, and no more.

    Arguments
    ---------
    sets : sequence of sequence of NBest
        Sets of lists; references are needed of the first, unless nothing is to be chosen.
    language_model : LanguageModel
        Of :func:`~gatedrnn.tasks.language_modeling.export.load_language_model`.
    grid : Grid
        What is tried.

    Returns
    -------
    Rescored

    Example
    -------
    >>> from gatedrnn.tasks.language_modeling.nbest import Candidate
    >>> from gatedrnn.tasks.language_modeling.bundle import LanguageModel, LanguageModelConfig
    >>> from gatedrnn.tasks.language_modeling.specification import TextModelSpec
    >>> from gatedrnn.tokens import Words
    >>> tokens = Words.learn(["GO ON"], "<eos>")
    >>> spec = TextModelSpec(len(tokens), {"hidden_size": 4})
    >>> model = LanguageModel(LanguageModelConfig(spec), tokens, spec.build())
    >>> lists = [NBest("u1", "GO ON", (Candidate("GO", -1.0), Candidate("GO ON", -1.5)))]
    >>> found = rescore_sets([lists], model, Grid([0.0], [0.0, 1.0]))
    >>> found.setting, found.sets[0].outcome(found.setting).errors
    (Setting(weight=0.0, insertion=1.0, internal=0.0), 0)
    """
    model, tokens = language_model.model, language_model.tokens
    if sets and sets[0]:
        # What is compiled or looked up once is no part of what scoring costs.
        score_texts(model, tokens, [sets[0][0].candidates[0].text])
    scored = [score_lists(one, model, tokens) for one in sets]
    tuning = None
    setting = grid.given
    if setting is None:
        tuning = tune(scored[0], grid.weights, grid.insertions, grid.internals)
        setting = tuning.setting
    return Rescored(tuple(scored), setting, tuning)


def describe(scored: ScoredLists, setting: Setting, search_seconds: float | None = None) -> str:
    """What rescoring did to a set, and what it cost.

    Arguments
    ---------
    scored : ScoredLists
        The set.
    setting : Setting
        How much the language model counts.
    search_seconds : float or None
        What the search of the lists took.

    Returns
    -------
    str
    """
    cost = scored.cost
    parts = []
    if scored.errors is None:
        parts.append("word errors not counted, as not all references are known")
    else:
        before, after, oracle = scored.outcome(), scored.outcome(setting), scored.oracle()
        parts.append(
            f"WER {before.rate:.2f} % -> {after.rate:.2f} % (oracle {oracle.rate:.2f} %), "
            f"{before.errors} -> {after.errors} errors in {before.words} words"
        )
    parts.append(
        f"{len(scored.lists)} utterances, {readings(scored)} readings, {cost.unknown} unknown; "
        f"{cost.seconds:.2f} s of language model for {cost.tokens} tokens, {cost.read} of them read"
    )
    if search_seconds:
        share = cost.seconds / search_seconds
        parts.append(f"{search_seconds:.2f} s of search: language model to search {share:.2f}")
    return "; ".join(parts)


def readings(scored: ScoredLists) -> int:
    """Number of readings of a set.

    Arguments
    ---------
    scored : ScoredLists
        The set.

    Returns
    -------
    int
    """
    return sum(len(nbest.candidates) for nbest in scored.lists)


def write_lists(path: str | Path, scored: ScoredLists, setting: Setting) -> None:
    """Writes lists in their new order, as JSON lines.

    Arguments
    ---------
    path : str or Path
        The file; its folder is made.
    scored : ScoredLists
        The lists.
    setting : Setting
        How much the language model counts.
    """
    records = scored.records(setting)
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    write_atomically(Path(path), text)
