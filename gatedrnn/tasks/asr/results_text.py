"""What a training has come to, as text: a table of word error rates, and transcripts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speechbrain.utils.edit_distance import alignment, op_table

#: Stands where a word was left out, or where none was said.
NOTHING = "***"


def table(
    sets: Mapping[str, Mapping[str, float]],
    rescored: Mapping[str, Mapping[str, float]] | None = None,
) -> str:
    """A table of word error rates.

    Arguments
    ---------
    sets : Mapping
        Name -> figures, the ``"sets"`` of a training's ``results.json``.
    rescored : Mapping or None
        The same after rescoring, the ``"sets"`` of its ``"rescored"``: a row beside that of the
        set.

    Returns
    -------
    str

    Example
    -------
    >>> counts = {"substitutions": 6, "deletions": 3, "insertions": 1}
    >>> figures = {"WER": 5.0, "words": 200, "utterances": 30, **counts}
    >>> print(table({"eval": figures}, {"eval": {**figures, "WER": 4.5, "deletions": 2}}))
    set                  utterances    words    WER %    sub    del    ins
    eval                         30      200     5.00      6      3      1
    eval, rescored               30      200     4.50      6      2      1
    """
    head = (
        f"{'set':20} {'utterances':>10} {'words':>8} {'WER %':>8} {'sub':>6} {'del':>6} {'ins':>6}"
    )
    lines, rescored = [head], rescored or {}
    rows = [
        (name + after, found[name])
        for name in sets
        for after, found in (("", sets), (", rescored", rescored))
        if name in found
    ]
    for name, f in rows:
        lines.append(
            f"{name:20} {f['utterances']:>10} {f['words']:>8} {f['WER']:>8.2f} "
            f"{f['substitutions']:>6} {f['deletions']:>6} {f['insertions']:>6}"
        )
    return "\n".join(lines)


def read_n_best(path: str | Path) -> list[dict[str, Any]]:
    """Reads an n-best file.

    Arguments
    ---------
    path : str or Path
        ``nbest_SET.jsonl`` of a training's folder.

    Returns
    -------
    list of dict
        As :func:`gatedrnn.tasks.asr.ctc_search.n_best_record` makes them.
    """
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def side_by_side(said: Sequence[str], heard: Sequence[str]) -> tuple[str, str]:
    """Two transcripts, word under word.

    Arguments
    ---------
    said : sequence of str
        Words of the reference.
    heard : sequence of str
        Words of the hypothesis; those that are wrong are put in lower case.

    Returns
    -------
    (str, str)

    Example
    -------
    >>> said, heard = "WE NEED A NEW BUTTON".split(), "WE NEED NEW PATTERN".split()
    >>> print("\\n".join(side_by_side(said, heard)))
    WE NEED A   NEW BUTTON
    WE NEED *** NEW pattern
    """
    columns = []
    for kind, i, j in alignment(op_table(list(said), list(heard))):
        above = NOTHING if i is None else said[i]
        below = NOTHING if j is None else heard[j]
        columns.append((above, below if kind == "=" else below.lower()))
    widths = [max(map(len, column)) for column in columns]
    above, below = (
        " ".join(c[row].ljust(w) for c, w in zip(columns, widths, strict=True)).rstrip()
        for row in (0, 1)
    )
    return above, below


def transcripts(records: Sequence[Mapping[str, Any]], count: int = 6, words: int = 12) -> str:
    """Some utterances with what was said and what was heard.

    Arguments
    ---------
    records : sequence of Mapping
        Of :func:`read_n_best`.
    count : int
        How many: evenly spaced over the set, not chosen by how well they were recognised.
    words : int
        Most words of an utterance, so that it fits a line.

    Returns
    -------
    str

    Example
    -------
    >>> print(transcripts([{"id": "a", "ref": "GO ON NOW", "hyps": [{"text": "GO ON"}]}]))
    a
      said   GO ON NOW
      heard  GO ON ***
    """
    fitting = [r for r in records if 3 <= len(r["ref"].split()) <= words]
    fitting.sort(key=lambda r: r["id"])
    step = max(1, len(fitting) // max(1, count))
    lines = []
    for record in fitting[::step][:count]:
        said, heard = side_by_side(record["ref"].split(), record["hyps"][0]["text"].split())
        lines += [record["id"], f"  said   {said}", f"  heard  {heard}"]
    return "\n".join(lines)
