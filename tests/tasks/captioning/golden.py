"""Captions with the scores that pycocoevalcap gives them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from gatedrnn.tasks.captioning.metrics import Captions
from tests.data.corpora import real_data

DATA = Path(__file__).with_name("data")
#: The sets that come with the tests, and those that lie with the real data.
EMBEDDED = ("nlg_eval_readme", "aac_example_2")
SETS = (
    "nlg_eval_readme",
    "aac_example_1",
    "aac_example_2",
    "flickr8k_human_vs_human_500",
)
_NAMES = {"Bleu_": "BLEU-", "ROUGE_L": "ROUGE-L", "CIDEr": "CIDEr-D"}


def embedded(name: str) -> dict[str, Any]:
    """A set that comes with the tests."""
    return json.loads((DATA / "pycocoevalcap.json").read_text(encoding="utf-8"))[name]


def real(name: str) -> dict[str, Any]:
    """A set of the real data, in the same form; skips where it is not there."""
    with gzip.open(real_data("captions", "metrics", f"{name}.json.gz"), "rt") as stream:
        data = json.load(stream)
    scores = dict(data["scores"])
    for old, new in _NAMES.items():
        scores = {key.replace(old, new): value for key, value in scores.items()}
    items = [
        {
            "text": item["hyp"],
            "references": item["refs"],
            "words": item["hyp_tok"],
            "reference_words": item["refs_tok"],
            "scores": {
                "CIDEr-D": item["cider"], "METEOR": item["meteor"], "BLEU-4": item["bleu4"]
            },
        }
        for item in data["items"]
    ]  # fmt: skip
    return {"scores": scores, "items": items}


def captions(data: dict[str, Any], tokenized: bool) -> tuple[Captions, Captions]:
    """References and hypotheses, as text or as words parted by spaces."""
    text, references = ("words", "reference_words") if tokenized else ("text", "references")
    references_by_id = {str(i): tuple(item[references]) for i, item in enumerate(data["items"])}
    hypotheses = {str(i): (item[text],) for i, item in enumerate(data["items"])}
    return Captions("references", "jsonl", references_by_id), Captions(
        "captions", "jsonl", hypotheses
    )
