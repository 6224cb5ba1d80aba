"""Classes from scores: the most probable ones, and the accuracy and confusions of a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch


class Prediction(NamedTuple):
    """A class and its probability."""

    label: str
    probability: float


def most_probable(
    scores: torch.Tensor, classes: Sequence[str], count: int = 1
) -> list[list[Prediction]]:
    """The most probable classes of each sequence, best first.

    scores: (batch, classes), unnormalised.
    """
    probabilities = scores.float().softmax(dim=1)
    ordered = probabilities.sort(dim=1, descending=True, stable=True)
    rows = zip(ordered.indices[:, :count].tolist(), ordered.values[:, :count].tolist(), strict=True)
    return [
        [Prediction(classes[index], value) for index, value in zip(*row, strict=True)]
        for row in rows
    ]


def accuracy(results: Sequence[Mapping[str, Any]]) -> float:
    """Percentage of results whose ``prediction`` is their ``label``."""
    correct = sum(result["label"] == result["prediction"] for result in results)
    return 100.0 * correct / max(1, len(results))


def confusion_matrix(results: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> str:
    """Tab-separated counts: a row for each true ``label``, a column for each ``prediction``."""
    counts = [[0] * len(classes) for _ in classes]
    for result in results:
        counts[result["label"]][result["prediction"]] += 1
    rows = [["class", *classes]]
    rows += [[name, *map(str, row)] for name, row in zip(classes, counts, strict=True)]
    return "".join("\t".join(row) + "\n" for row in rows)
