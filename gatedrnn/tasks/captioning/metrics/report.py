"""Reports of captioners' scores: text and Markdown to read, plain data for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from gatedrnn.data.result_table import ResultTable, Section, list_names
from gatedrnn.tasks.captioning.metrics.measures import CIDER_D, CaptionScore

#: What makes words of captions, for a reader.
_TOKENIZERS = {
    "ptb": "gatedrnn's, like Stanford's PTBTokenizer without punctuation",
    "none": "none, words are parted by spaces",
}


def of_scores(scores: Sequence[CaptionScore]) -> list[Section]:
    """The report of one captioner or several.

    Arguments
    ---------
    scores : sequence of CaptionScore
        How they did.

    Returns
    -------
    list of Section
        For :func:`gatedrnn.data.result_table.render`.
    """
    several = len(scores) > 1
    sections: list[Section] = []
    for found in scores:
        table = ResultTable(["", "score", "95 % by item"], digits=4)
        for name, measure in found.measures.items():
            span = measure.interval
            table.add(name, measure.corpus, span and f"{span.low:.4f} to {span.high:.4f}")
        body = [*_preface(found), table]
        if found.left_out:
            gone = [f"- {name}: {why}" for name, why in found.left_out.items()]
            body.append("\n".join(["LEFT OUT:", *gone]))
        sections.append((found.hypothesis.path if several else "", body))
    if several:
        sections.append(("Side by side", [_side_by_side(scores)]))
    return sections


def _side_by_side(scores: Sequence[CaptionScore]) -> ResultTable:
    names = list(dict.fromkeys(name for score in scores for name in score.measures))
    table = ResultTable(["", *names], digits=4)
    for score in scores:
        values = (score.measures[n].corpus if n in score.measures else None for n in names)
        table.add(score.hypothesis.path, *values)
    return table


def _preface(score: CaptionScore) -> list[str]:
    """What was compared, and all that a reader of the figures must know."""
    numbers = [len(score.reference.texts[name]) for name in score.ids]
    fewest, most = min(numbers), max(numbers)
    each = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    lines = [
        f"reference   {score.reference.path} ({score.reference.format})\n"
        f"hypothesis  {score.hypothesis.path} ({score.hypothesis.format})\n"
        f"items       {len(score.ids)}, with {each} reference(s) each\n"
        f"tokenizer   {_TOKENIZERS[score.options.tokenizer]}",
        f"{CIDER_D} is what pycocoevalcap and most papers call CIDEr; n-grams are weighed by the "
        f"references of {score.weighed_by}.",
    ]
    if score.missing:
        what = "scored as empty" if score.options.missing == "empty" else "left out"
        lines.append(f"MISSING: {list_names(score.missing)} have no caption ({what})")
    if score.extra:
        lines.append(f"EXTRA: {list_names(score.extra)} are not in the reference (left out)")
    if score.wordless:
        lines.append(f"NOTE: {score.wordless} of the captions hold no word")
    if len(score.ids) == 1 and score.weighed_by == score.reference.path:
        lines.append("NOTE: with one item CIDEr weighs every n-gram 0")
    return lines


def plain(score: CaptionScore) -> dict[str, Any]:
    """A score as plain data, every item with its caption and scores.

    Arguments
    ---------
    score : CaptionScore
        The score.

    Returns
    -------
    dict
    """
    empty = ("",)
    return {
        "reference": {"path": score.reference.path, "format": score.reference.format},
        "hypothesis": {"path": score.hypothesis.path, "format": score.hypothesis.format},
        "weighed_by": score.weighed_by,
        "options": asdict(score.options),
        "measures": {
            name: {"score": m.corpus, "interval": m.interval and asdict(m.interval)}
            for name, m in score.measures.items()
        },
        "left_out": dict(score.left_out),
        "missing": list(score.missing),
        "extra": list(score.extra),
        "wordless": score.wordless,
        "items": [
            {
                "id": name,
                "text": score.hypothesis.texts.get(name, empty)[0],
                "references": list(score.reference.texts[name]),
                **{measure: m.each[i] for measure, m in score.measures.items()},
            }
            for i, name in enumerate(score.ids)
        ],
    }
