"""N-best lists, and their rescoring by a language model with weights tuned on development data.

The score of a hypothesis becomes ``recognizer + weight * language model + insertion * words``;
where the lists have it, ``internal *`` the log-probability by the recognizer's internal language
model (:mod:`gatedrnn.tasks.asr.language_model`) is subtracted. The lists are scored once; all
weights are tried on these scores.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein
from torch import nn

from gatedrnn.data.files import write_atomically
from gatedrnn.tasks.language_modeling.prefix_scores import TextScores, score_texts
from gatedrnn.tokens import Tokens

#: Default grid.
WEIGHTS = tuple(round(0.1 * i, 1) for i in range(16)) + (1.75, 2.0, 2.5, 3.0)
INSERTIONS = tuple(0.5 * i for i in range(-4, 9))
INTERNALS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
#: File of the tuned weights, beside rescored lists.
LM_WEIGHTS_FILE = "setting.json"
#: Files of Kaldi's n-best folders (steps/rnnlmrescore.sh) with costs; the acoustic one is scaled.
KALDI_ACOUSTIC, KALDI_GRAPH = "acwt", ("lmwt.nolm", "lmwt.lmonly")
#: Files of Kaldi's n-best folders with words; and the references, which the user puts there.
KALDI_WORDS, KALDI_REFERENCE = "words_text", "text"


@dataclass(frozen=True)
class Candidate:
    """A hypothesis of an n-best list; ``record`` has its other keys in the file."""

    text: str
    score: float
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NBest:
    """The n-best list of an utterance: at least one candidate, the best first, different texts."""

    id: str
    reference: str | None
    candidates: tuple[Candidate, ...]
    record: Mapping[str, Any] = field(default_factory=dict)


def distinct_texts(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Keeps the best of the hypotheses with the same text, sorted; never none."""
    best: dict[str, Candidate] = {}
    for candidate in candidates:
        if candidate.text not in best or candidate.score > best[candidate.text].score:
            best[candidate.text] = candidate
    return tuple(sorted(best.values(), key=lambda c: -c.score)) or (Candidate("", 0.0),)


def read_nbest(path: str | Path, acoustic_scale: float = 1.0) -> list[NBest]:
    """Reads n-best lists.

    JSON lines have objects ``{"id", "ref", "hyps": [{"text", "score"}]}``, as
    :func:`~gatedrnn.tokens.hypotheses.n_best_record`; ``ref`` may be missing. A folder is the
    output of Kaldi's ``steps/rnnlmrescore.sh``: ``words_text`` (a line ``UTTERANCE-1 WORDS`` for
    each hypothesis), the costs ``acwt``, ``lmwt.nolm`` and ``lmwt.lmonly`` (``UTTERANCE-1 COST``;
    those that exist are summed), and optionally ``text``, the references.

    Arguments
    ---------
    path : str or Path
        File or folder.
    acoustic_scale : float
        Multiplies Kaldi's acoustic costs.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a line is invalid; the message names it.

    Example
    -------
    >>> path = getfixture("tmp_path") / "nbest.jsonl"
    >>> _ = path.write_text('{"id": "u1", "ref": "GO", "hyps": [{"text": "NO", "score": -1}]}\\n')
    >>> read_nbest(path)[0].candidates
    (Candidate(text='NO', score=-1.0, record={}),)
    """
    path = Path(path)
    if path.is_dir():
        return _read_kaldi(path, acoustic_scale)
    lists: dict[str, NBest] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            nbest = _of_record(json.loads(line))
            if nbest.id in lists:
                raise ValueError(f"there is already a list of {nbest.id!r}")
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{path}, line {number}: {error}; there must be a JSON object on each line"
            ) from error
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        lists[nbest.id] = nbest
    if not lists:
        raise ValueError(f"{path} holds no n-best lists")
    return list(lists.values())


@dataclass(frozen=True)
class LMWeights:
    """Weights of a language model.

    Arguments
    ---------
    weight : float
        Factor of its log-probabilities.
    insertion : float
        Added for each word, since a language model alone prefers short texts.
    internal : float
        Factor of the log-probabilities by the recognizer's internal language model, which are
        subtracted.

    Example
    -------
    >>> LMWeights.from_dict({"weight": 0.5})
    LMWeights(weight=0.5, insertion=0.0, internal=0.0)
    """

    weight: float = 0.0
    insertion: float = 0.0
    internal: float = 0.0

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> LMWeights:
        """Validates a JSON object with some of the fields."""
        names = tuple(cls.__dataclass_fields__)
        if not isinstance(data, Mapping) or set(data) - set(names):
            raise ValueError(f"it must be an object with {', '.join(names)}, not {data!r}")
        for name, value in data.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value):
                raise ValueError(f"{name} must be a finite number, not {value!r}")
        return cls(**{name: float(value) for name, value in data.items()})


def write_lm_weights(path: str | Path, weights: LMWeights) -> None:
    """Writes weights as JSON."""
    write_atomically(Path(path), json.dumps(asdict(weights)) + "\n")


def read_lm_weights(path: str | Path) -> LMWeights:
    """Reads the file of :func:`write_lm_weights`, or the output folder of ``gatedrnn rescore``."""
    path = Path(path)
    path = path / LM_WEIGHTS_FILE if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; gatedrnn rescore --output writes it")
    try:
        return LMWeights.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(f"{path} does not hold a language model's weight: {error}") from error


@dataclass(frozen=True)
class ErrorCount:
    """Word errors (minimum number of edits) and words of the references."""

    errors: int
    words: int

    @property
    def rate(self) -> float:
        """Word error rate, in percent."""
        return 100 * self.errors / self.words


@dataclass(frozen=True)
class ScoredLists:
    """N-best lists with all scores; rows are padded on the right.

    recognizer, model, words: score by the recognizer (minus infinity in padding), by the language
        model, and number of words, (utterances, hypotheses); an earlier language model's part is
        not in the recognizer's score
    errors: word errors, (utterances, hypotheses); None unless all references are known
    cost: work of the language model
    internal: log-probability by the recognizer's internal language model, (utterances,
        hypotheses); None unless all lists have it
    """

    lists: tuple[NBest, ...]
    recognizer: np.ndarray
    model: np.ndarray
    words: np.ndarray
    errors: np.ndarray | None
    cost: TextScores
    internal: np.ndarray | None = None

    def scores(self, weights: LMWeights) -> np.ndarray:
        """Scores of all hypotheses, (utterances, hypotheses)."""
        scores = self.recognizer + weights.weight * self.model + weights.insertion * self.words
        if not weights.internal:
            return scores
        if self.internal is None:
            name = next(
                n.id for n in self.lists if any("ilm" not in c.record for c in n.candidates)
            )
            raise ValueError(
                f"the hypotheses of {name} have no log-probabilities by an internal language model "
                "(ilm): test the recogniser with --internal_lm=True, which writes them"
            )
        return scores - weights.internal * self.internal

    @property
    def hypotheses(self) -> int:
        """Number of hypotheses of all lists."""
        return sum(len(nbest.candidates) for nbest in self.lists)

    def error_count(self, weights: LMWeights | None = None) -> ErrorCount:
        """Word errors of the best hypotheses; without weights, of those of the recognizer."""
        best = self.scores(weights or LMWeights()).argmax(1)
        return self._count(self._errors()[np.arange(len(best)), best])

    def oracle(self) -> ErrorCount:
        """Word errors of the hypotheses with the fewest: the lower bound of rescoring."""
        errors = np.where(np.isfinite(self.recognizer), self._errors(), np.iinfo(np.int64).max)
        return self._count(errors.min(1))

    def records(self, weights: LMWeights) -> list[dict[str, Any]]:
        """The lists in their new order, as :func:`~gatedrnn.tokens.hypotheses.n_best_record`.

        ``score`` is the new one; ``am`` and ``lm`` are those of recognizer and language model. The
        word times (``words``) are kept where the best hypothesis is still the same.
        """
        records = []
        parts = zip(self.lists, self.scores(weights), self.recognizer, self.model, strict=True)
        for nbest, scores, recognizer, model in parts:
            order = np.argsort(-scores[: len(nbest.candidates)], kind="stable").tolist()
            hyps = [
                {
                    "text": nbest.candidates[i].text,
                    "score": round(float(scores[i]), 4),
                    **nbest.candidates[i].record,
                    "am": float(recognizer[i]),
                    "lm": round(float(model[i]), 4),
                }
                for i in order
            ]
            others = {k: v for k, v in nbest.record.items() if k != "words" or order[0] == 0}
            reference = {} if nbest.reference is None else {"ref": nbest.reference}
            records.append({"id": nbest.id, **reference, "hyps": hyps, **others})
        return records

    def _errors(self) -> np.ndarray:
        if self.errors is None:
            name = next(nbest.id for nbest in self.lists if nbest.reference is None)
            raise ValueError(f"no reference is known of {name}: word errors cannot be counted")
        return self.errors

    def _count(self, errors: np.ndarray) -> ErrorCount:
        words = sum(len((nbest.reference or "").split()) for nbest in self.lists)
        if not words:
            raise ValueError("the references hold no words: there is no word error rate")
        return ErrorCount(int(errors.sum()), words)


@dataclass(frozen=True)
class Tuning:
    """The best weights of a grid: of equal ones those nearest to zero, ``weight`` first.

    edges: weights whose best value is the first or the last of several; there may be a better one
        outside the grid
    """

    weights: LMWeights
    error_count: ErrorCount
    tried: int
    edges: tuple[str, ...]


def score_lists(lists: Sequence[NBest], model: nn.Module, tokens: Tokens) -> ScoredLists:
    """Scores n-best lists by a language model.

    Recognizer and language model need not have the same tokens: the text of a hypothesis is scored,
    with the nats of unknown words. Raises a ValueError if there is no list, or no word of any
    hypothesis or reference is known.
    """
    if not lists:
        raise ValueError("there are no n-best lists")
    texts = [candidate.text for nbest in lists for candidate in nbest.candidates]
    cost = score_texts(model, tokens, texts)
    # The hypotheses of a poor recognizer may have no word of the language; the references have.
    references = [nbest.reference or "" for nbest in lists]
    if any(texts) and not any(_knows(tokens, text) for text in (*texts, *references)):
        raise ValueError(
            f"the language model knows no word of the hypotheses, such as {max(texts, key=len)!r}: "
            "was it trained on text of another case?"
        )
    shape = len(lists), max(len(nbest.candidates) for nbest in lists)
    recognizer, scores = np.full(shape, -np.inf), np.zeros(shape)
    words, errors = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    internal = np.zeros(shape)
    values = iter(cost.log_probs.tolist())
    for i, nbest in enumerate(lists):
        reference = (nbest.reference or "").split()
        for j, candidate in enumerate(nbest.candidates):
            hypothesis = candidate.text.split()
            recognizer[i, j] = candidate.record.get("am", candidate.score)
            scores[i, j], internal[i, j] = next(values), candidate.record.get("ilm", 0.0)
            words[i, j], errors[i, j] = len(hypothesis), Levenshtein.distance(reference, hypothesis)
    known = all(nbest.reference is not None for nbest in lists)
    has_internal = all("ilm" in candidate.record for n in lists for candidate in n.candidates)
    return ScoredLists(
        tuple(lists),
        recognizer,
        scores,
        words,
        errors if known else None,
        cost,
        internal if has_internal else None,
    )


def tune(
    scored: ScoredLists,
    weights: Sequence[float] = WEIGHTS,
    insertions: Sequence[float] = INSERTIONS,
    internals: Sequence[float] | None = None,
) -> Tuning:
    """Chooses the weights with the fewest word errors in a grid.

    ``internals`` None: :data:`INTERNALS` if the lists have log-probabilities by an internal
    language model, else 0. Raises a ValueError if the grid is empty, or a reference or an internal
    log-probability is missing.
    """
    if internals is None:
        internals = (0.0,) if scored.internal is None else INTERNALS
    if not len(weights) or not len(insertions) or not len(internals):
        raise ValueError("there must be at least one weight, insertion and internal to try")
    grid = [LMWeights(*values) for values in itertools.product(weights, insertions, internals)]
    counts = [scored.error_count(weights) for weights in grid]
    best, count = min(
        zip(grid, counts, strict=True),
        key=lambda pair: (
            pair[1].errors,
            abs(pair[0].weight),
            abs(pair[0].internal),
            abs(pair[0].insertion),
        ),
    )
    edges = [
        name
        for name, value, values in (
            ("weight", best.weight, weights),
            ("insertion", best.insertion, insertions),
            ("internal", best.internal, internals),
        )
        # Zero is no edge: below it the language model would be contradicted.
        if len(set(values)) > 1 and value in (min(values), max(values)) and value
    ]
    return Tuning(best, count, len(grid), tuple(edges))


@dataclass(frozen=True)
class Grid:
    """Weights to be tried; a single value of each is taken without tuning (:attr:`fixed`)."""

    weights: Sequence[float] = WEIGHTS
    insertions: Sequence[float] = INSERTIONS
    internals: Sequence[float] | None = None

    @property
    def fixed(self) -> LMWeights | None:
        """The only weights of the grid; None if there are several."""
        internals = (0.0,) if self.internals is None else self.internals
        if not len(self.weights) == len(self.insertions) == len(internals) == 1:
            return None
        return LMWeights(self.weights[0], self.insertions[0], internals[0])


@dataclass(frozen=True)
class Rescored:
    """Sets of scored lists, that of the tuning first, and their weights; tuning None if fixed."""

    sets: tuple[ScoredLists, ...]
    weights: LMWeights
    tuning: Tuning | None

    def choice(self, place: str | Path) -> str:
        """The weights and how they were chosen, in a line; a further one for each edge."""
        w = self.weights
        text = f"language model weight {w.weight:g}, insertion {w.insertion:g}"
        if w.internal:
            text += f", internal {w.internal:g}"
        if self.tuning is None:
            return f"{text}, given"
        lines = [f"{text}, chosen on {place} among {self.tuning.tried}"]
        lines += [
            f"  the best {edge} is at the end of what was tried: there may be a better one"
            for edge in self.tuning.edges
        ]
        return "\n".join(lines)


def check_line_ends(language_model: Any, name: str | Path) -> None:
    """Raises a ValueError for a model of text without ends of lines: sentences have no end."""
    if not language_model.config.model.line_ends:
        raise ValueError(
            f"{name} was trained on text without ends of lines: it cannot tell how "
            "probable it is that a sentence ends"
        )


def rescore_sets(
    sets: Sequence[Sequence[NBest]], language_model: Any, grid: Grid = Grid()
) -> Rescored:
    """Scores sets of n-best lists, tunes the weights on the first set and applies them to all.

    References are needed in the first set, unless the grid is a single point.

    Example
    -------
    >>> from gatedrnn.tasks.language_modeling.rescoring import Candidate
    >>> from gatedrnn.tasks.language_modeling.bundle import LanguageModel, LanguageModelConfig
    >>> from gatedrnn.tasks.language_modeling.bundle import TextModelSpec
    >>> from gatedrnn.tokens import Words
    >>> tokens = Words.learn(["GO ON"], "<eos>")
    >>> spec = TextModelSpec(len(tokens), {"hidden_size": 4})
    >>> model = LanguageModel(LanguageModelConfig(spec), tokens, spec.build())
    >>> lists = [NBest("u1", "GO ON", (Candidate("GO", -1.0), Candidate("GO ON", -1.5)))]
    >>> result = rescore_sets([lists], model, Grid([0.0], [0.0, 1.0]))
    >>> result.weights, result.sets[0].error_count(result.weights).errors
    (LMWeights(weight=0.0, insertion=1.0, internal=0.0), 0)
    """
    model, tokens = language_model.model, language_model.tokens
    if sets and sets[0]:
        # Compilation is not part of the measured cost.
        score_texts(model, tokens, [sets[0][0].candidates[0].text])
    scored = [score_lists(lists, model, tokens) for lists in sets]
    tuning = None
    weights = grid.fixed
    if weights is None:
        tuning = tune(scored[0], grid.weights, grid.insertions, grid.internals)
        weights = tuning.weights
    return Rescored(tuple(scored), weights, tuning)


def describe(scored: ScoredLists, weights: LMWeights, search_seconds: float | None = None) -> str:
    """Word errors before and after rescoring, and its cost, in a line."""
    cost = scored.cost
    parts = []
    if scored.errors is None:
        parts.append("word errors not counted, as not all references are known")
    else:
        before, after, oracle = scored.error_count(), scored.error_count(weights), scored.oracle()
        parts.append(
            f"WER {before.rate:.2f} % -> {after.rate:.2f} % (oracle {oracle.rate:.2f} %), "
            f"{before.errors} -> {after.errors} errors in {before.words} words"
        )
    parts.append(
        f"{len(scored.lists)} utterances, {scored.hypotheses} hypotheses, {cost.unknown} unknown; "
        f"{cost.seconds:.2f} s of language model for {cost.tokens} tokens, {cost.read} of them read"
    )
    if search_seconds:
        share = cost.seconds / search_seconds
        parts.append(f"{search_seconds:.2f} s of search: language model to search {share:.2f}")
    return "; ".join(parts)


def write_lists(path: str | Path, scored: ScoredLists, weights: LMWeights) -> None:
    """Writes lists in their new order, as JSON lines."""
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in scored.records(weights)]
    write_atomically(Path(path), "".join(lines))


def _of_record(data: Any) -> NBest:
    if not isinstance(data, Mapping):
        raise ValueError("there must be an object with id, ref and hyps")
    name, reference, hyps = (data.get(key) for key in ("id", "ref", "hyps"))
    if not isinstance(name, str):
        raise ValueError(f"id must be text, not {name!r}")
    if not isinstance(reference, str | None):
        raise ValueError(f"ref must be text, not {reference!r}")
    if not isinstance(hyps, list):
        raise ValueError(f"hyps must be a list of objects with text and score, not {hyps!r}")
    others = {key: value for key, value in data.items() if key not in ("id", "ref", "hyps")}
    reference = None if reference is None else " ".join(reference.split())
    return NBest(name, reference, distinct_texts(map(_candidate, hyps)), others)


def _candidate(data: Any) -> Candidate:
    if not isinstance(data, Mapping) or not isinstance(data.get("text"), str):
        raise ValueError(f"each of hyps must be an object with text and score, not {data!r}")
    others = {key: value for key, value in data.items() if key not in ("text", "score")}
    # Parts of the score, if there was a language model.
    others |= {key: _number(others[key]) for key in ("am", "lm", "ilm") if key in others}
    return Candidate(" ".join(data["text"].split()), _number(data.get("score")), others)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"a score must be a finite number, not {value!r}")
    return float(value)


def _read_kaldi(folder: Path, acoustic_scale: float) -> list[NBest]:
    words = _archive(folder / KALDI_WORDS)
    scales = {KALDI_ACOUSTIC: acoustic_scale, **dict.fromkeys(KALDI_GRAPH, 1.0)}
    scales = {name: scale for name, scale in scales.items() if (folder / name).is_file()}
    if not scales:
        raise FileNotFoundError(
            f"{folder} has no costs: there must be {', '.join((KALDI_ACOUSTIC, *KALDI_GRAPH))}, or "
            "some of them"
        )
    scores = dict.fromkeys(words, 0.0)
    for name, scale in scales.items():
        costs = _archive(folder / name)
        if costs.keys() != words.keys():
            key = sorted(costs.keys() ^ words.keys())[0]
            raise ValueError(f"{folder}: {name} and {KALDI_WORDS} differ: only one has {key}")
        for key, cost in costs.items():
            try:
                scores[key] -= scale * _number(float(cost))
            except ValueError as error:
                raise ValueError(f"{folder / name}: {key}: {cost!r} is no cost") from error
    lists: dict[str, list[Candidate]] = {}
    for key, text in words.items():
        name, dash, place = key.rpartition("-")
        if not dash or not place.isdigit():
            raise ValueError(f"{folder / KALDI_WORDS}: {key!r} must be UTTERANCE-NUMBER")
        lists.setdefault(name, []).append(Candidate(text, scores[key]))
    path = folder / KALDI_REFERENCE
    references = _archive(path) if path.is_file() else {}
    return [NBest(n, references.get(n), distinct_texts(c)) for n, c in lists.items()]


def _archive(path: Path) -> dict[str, str]:
    """Key -> the rest of the line, of a Kaldi text archive."""
    lines: dict[str, str] = {}
    for number, line in enumerate(_lines(path), start=1):
        key, *rest = line.split() or [""]
        if key in lines:
            raise ValueError(f"{path}, line {number}: there is already a line of {key!r}")
        if key:
            lines[key] = " ".join(rest)
    if not lines:
        raise ValueError(f"{path} is empty")
    return lines


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}") from error


def _knows(tokens: Tokens, text: str) -> bool:
    return any(token != tokens.unk for token in tokens.encode(text))
