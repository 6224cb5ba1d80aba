"""N-best lists: JSON lines of a training's test, or a folder of Kaldi's archives."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Files of Kaldi's n-best folders (steps/rnnlmrescore.sh) with costs; the acoustic one is scaled.
KALDI_ACOUSTIC, KALDI_GRAPH = "acwt", ("lmwt.nolm", "lmwt.lmonly")
#: Files of Kaldi's n-best folders with words; and the references, which the user puts there.
KALDI_WORDS, KALDI_REFERENCE = "words_text", "text"


@dataclass(frozen=True)
class Candidate:
    """A hypothesis of an n-best list.

    Arguments
    ---------
    text : str
        Words separated by single spaces.
    score : float
        Log-probability by the recognizer, or another score: higher is better.
    record : Mapping
        Other keys of the hypothesis in its file.
    """

    text: str
    score: float
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NBest:
    """The n-best list of an utterance.

    Arguments
    ---------
    id : str
        Name of the utterance.
    reference : str or None
        Reference transcript, if known.
    candidates : tuple of Candidate
        At least one, the best first, with different texts.
    record : Mapping
        Other keys of the utterance in its file.
    """

    id: str
    reference: str | None
    candidates: tuple[Candidate, ...]
    record: Mapping[str, Any] = field(default_factory=dict)


def distinct_texts(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Keeps the best of the hypotheses with the same text, sorted; an empty one if there is none.

    Example
    -------
    >>> candidates = [Candidate("GO", -3.0), Candidate("NO", -2.0), Candidate("GO", -1.0)]
    >>> [(c.text, c.score) for c in distinct_texts(candidates)]
    [('GO', -1.0), ('NO', -2.0)]
    """
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

    Returns
    -------
    list of NBest

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
