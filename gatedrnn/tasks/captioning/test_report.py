"""Figures of a test of captions, and what there is to read of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gatedrnn.data.result_table import render
from gatedrnn.tasks.captioning.corpora.items import CaptionItem
from gatedrnn.tasks.captioning.metrics.files import Captions
from gatedrnn.tasks.captioning.metrics.measures import CIDER_D, CaptionScore, Options, score
from gatedrnn.tasks.captioning.metrics.report import of_scores
from gatedrnn.tasks.captioning.self_critical import CaptionReward
from gatedrnn.tokens import Vocabulary
from gatedrnn.tokens.ptb_tokenizer import tokenize


def scored(
    items: Sequence[CaptionItem], results: Sequence[Mapping[str, Any]], path: Path, java: str
) -> CaptionScore:
    """Scores the captions of a test.

    Arguments
    ---------
    items : sequence of CaptionItem
        With their references.
    results : sequence of Mapping
        ``id`` and ``caption`` of each.
    path : Path
        Where the captions are written, for the report.
    java : str
        Whether to compute METEOR and SPICE: ``"never"``, ``"auto"`` or ``"always"``.

    Returns
    -------
    CaptionScore
    """
    wrote = Captions("the references", "jsonl", {item.id: item.references for item in items})
    made = Captions(str(path), "coco", {r["id"]: (r["caption"],) for r in results})
    return score(wrote, made, Options(java=java))


def figures_of(
    found: CaptionScore,
    items: Sequence[CaptionItem],
    results: Sequence[Mapping[str, Any]],
    vocabulary: Vocabulary,
    true: Mapping[str, frozenset[str]] | None = None,
) -> dict[str, float]:
    """Figures of a test.

    Arguments
    ---------
    found : CaptionScore
        Of :func:`scored`.
    items : sequence of CaptionItem
        With their references.
    results : sequence of Mapping
        ``id``, ``number``, ``caption`` and ``greedy`` of each.
    vocabulary : Vocabulary
        How captions are spelled.
    true : Mapping or None
        Item -> all captions that are true of it.

    Returns
    -------
    dict
        Each measure; ``greedy CIDEr-D``; ``exact match``: the share of captions that are one of
        their references; if it is known ``true``: of those that are true; and ``items``.
    """
    figures = {name: measure.corpus for name, measure in found.measures.items()}
    plain = _greedy(items, results)
    figures[f"greedy {CIDER_D}"] = plain
    references = {item.id: item.references for item in items}
    figures["exact match"] = _share(results, references, vocabulary)
    if true is not None:
        figures["true"] = _share(results, true, vocabulary)
    return figures | {"items": len(results)}


def _greedy(items: Sequence[CaptionItem], results: Sequence[Mapping[str, Any]]) -> float:
    reward = CaptionReward([[tokenize(t) for t in i.references] for i in items], ended=False)
    total = sum(reward(r["number"], tokenize(r["greedy"])) for r in results)
    return total / max(1, len(results))


def _share(
    results: Sequence[Mapping[str, Any]], right: Mapping[str, Any], vocabulary: Vocabulary
) -> float:
    """Share of captions that are right, whatever their punctuation."""
    words = vocabulary.split
    hits = sum(words(r["caption"]) in {words(text) for text in right[r["id"]]} for r in results)
    return hits / max(1, len(results))


def report_of(
    found: CaptionScore, figures: Mapping[str, float], results: Sequence[Mapping[str, Any]]
) -> str:
    """A report to read: scores, then every caption with its references.

    Arguments
    ---------
    found : CaptionScore
        Of :func:`scored`.
    figures : Mapping
        Of :func:`figures_of`.
    results : sequence of Mapping
        ``id`` and ``caption`` of each.

    Returns
    -------
    str
    """
    more = {n: v for n, v in figures.items() if n not in found.measures}
    each = found.measures[CIDER_D].each
    marks = dict(zip(found.ids, each, strict=True))
    lines = [render(of_scores([found]), False), ""]
    lines += [f"{name}: {value:.4f}" for name, value in more.items()]
    for result in results:
        name = result["id"]
        lines += ["", f"{name} ({CIDER_D} {marks[name]:.3f})", f"  made   {result['caption']}"]
        lines += [f"  wrote  {text}" for text in found.reference.texts[name]]
    return "\n".join(lines) + "\n"
