"""Results of a training as text: a table of word error rates, and transcripts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gatedrnn.data.result_table import ResultTable
from gatedrnn.scoring.alignment import RULES, align

#: Stands for a deleted or an inserted word.
NOTHING = "***"


def table(
    sets: Mapping[str, Mapping[str, float]],
    rescored: Mapping[str, Mapping[str, float]] | None = None,
) -> str:
    """Word error rates of ``"sets"`` of ``results.json``, and of the ``"sets"`` after rescoring.

    Example
    -------
    >>> counts = {"substitutions": 6, "deletions": 3, "insertions": 1}
    >>> metrics = {"WER": 5.0, "words": 200, "utterances": 30, **counts}
    >>> print(table({"eval": metrics}, {"eval": {**metrics, "WER": 4.5, "deletions": 2}}))
    set             utterances  words  WER %  sub  del  ins
    eval                    30    200   5.00    6    3    1
    eval, rescored          30    200   4.50    6    2    1
    """
    result = ResultTable(["set", "utterances", "words", "WER %", "sub", "del", "ins"])
    keys = ("utterances", "words", "WER", "substitutions", "deletions", "insertions")
    for name in sets:
        for label, rows in ((name, sets), (f"{name}, rescored", rescored or {})):
            if name in rows:
                result.add(label, *(rows[name][key] for key in keys))
    return result.text()


def read_n_best(path: str | Path) -> list[dict[str, Any]]:
    """The records of ``nbest_SET.jsonl`` of a training's folder."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def side_by_side(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[str, str]:
    """Two lines with aligned words; wrong words of the hypothesis are in lower case.

    Example
    -------
    >>> reference, hypothesis = "WE NEED A NEW BUTTON".split(), "WE NEED NEW PATTERN".split()
    >>> print("\\n".join(side_by_side(reference, hypothesis)))
    WE NEED A   NEW BUTTON
    WE NEED *** NEW pattern
    """
    columns = []
    for above, below in align(reference, hypothesis, RULES["levenshtein"]):
        shown = NOTHING if below is None else below if above == below else below.lower()
        columns.append((NOTHING if above is None else above, shown))
    widths = [max(map(len, column)) for column in columns]
    above, below = (
        " ".join(c[row].ljust(w) for c, w in zip(columns, widths, strict=True)).rstrip()
        for row in (0, 1)
    )
    return above, below


def transcripts(records: Sequence[Mapping[str, Any]], count: int = 6, words: int = 12) -> str:
    """Reference and hypothesis of some n-best records, evenly spaced over the set.

    Only those with 3 to ``words`` words are shown, so that they fit a line.

    Example
    -------
    >>> print(transcripts([{"id": "a", "ref": "GO ON NOW", "hyps": [{"text": "GO ON"}]}]))
    a
      reference   GO ON NOW
      hypothesis  GO ON ***
    """
    fitting = [r for r in records if 3 <= len(r["ref"].split()) <= words]
    fitting.sort(key=lambda r: r["id"])
    step = max(1, len(fitting) // max(1, count))
    lines = []
    for record in fitting[::step][:count]:
        above, below = side_by_side(record["ref"].split(), record["hyps"][0]["text"].split())
        lines += [record["id"], f"  reference   {above}", f"  hypothesis  {below}"]
    return "\n".join(lines)
