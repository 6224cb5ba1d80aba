"""METEOR and SPICE of captions, through pycocoevalcap and its Java programs."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from gatedrnn.tasks.captioning.metrics.bleu import Words

#: Score of all items together, and of each.
Found = tuple[float, tuple[float, ...]]


class Unavailable(ValueError):
    """A measure that cannot be computed here; the message says why, and what would help."""


def meteor(captions: Sequence[Words], references: Sequence[Sequence[Words]]) -> Found:
    """METEOR 1.5.

    Arguments
    ---------
    captions : sequence of sequence of str
        Words of each caption.
    references : sequence of sequence of sequence of str
        References of each caption.

    Returns
    -------
    tuple
        Score of the corpus, and tuple of float of the items.

    Raises
    ------
    Unavailable
        If Java or pycocoevalcap is missing, or the program fails.
    """
    _need_java()
    scorer = _need("pycocoevalcap.meteor.meteor").Meteor()
    try:
        corpus, items = scorer.compute_score(*_inputs(captions, references))
    except (ValueError, OSError) as error:
        # What it could not read is empty; what Java said says more.
        scorer.meteor_p.kill()
        said = scorer.meteor_p.stderr.read().decode(errors="replace").strip().splitlines()
        raise Unavailable(f"its program failed ({said[-1] if said else error})") from error
    return corpus, tuple(items)


def spice(captions: Sequence[Words], references: Sequence[Sequence[Words]]) -> Found:
    """SPICE: of scene graphs that Stanford's CoreNLP parses the captions to.

    Arguments
    ---------
    captions : sequence of sequence of str
        Words of each caption.
    references : sequence of sequence of sequence of str
        References of each caption.

    Returns
    -------
    tuple
        Mean, and tuple of float of the items.

    Raises
    ------
    Unavailable
        If Java, pycocoevalcap or CoreNLP's models are missing, or the program fails.
    """
    _need_java()
    module = _need("pycocoevalcap.spice.spice")
    # Without them the package would fetch 400 MB, over plain http, without asking.
    if not any(Path(module.__file__).parent.glob("lib/stanford-corenlp-*-models.jar")):
        raise Unavailable(
            "CoreNLP's models are not there; fetch them once, 400 MB, with "
            "python -m pycocoevalcap.spice.get_stanford_models"
        )
    try:
        _, items = module.Spice().compute_score(*_inputs(captions, references))
    except (subprocess.CalledProcessError, OSError, ValueError) as error:
        raise Unavailable(f"its program failed ({error}); it is known to run on Java 8") from error
    each = tuple(float(item["All"]["f"]) for item in items)
    return sum(each) / len(each), each


def _need_java() -> None:
    if shutil.which("java") is None:
        raise Unavailable("there is no java on the PATH")


def _need(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise Unavailable(
            f'{error.name} is not installed: pip install "gatedrnn[java-metrics]"'
        ) from error


def _inputs(
    captions: Sequence[Words], references: Sequence[Sequence[Words]]
) -> tuple[dict[int, Any], dict[int, Any]]:
    """References and captions as pycocoevalcap wants them: texts by number, in order."""
    return (
        {i: [_text(words) for words in item] for i, item in enumerate(references)},
        {i: [_text(words)] for i, words in enumerate(captions)},
    )


def _text(words: Words) -> str:
    # Three bars part the fields of METEOR's lines.
    return " ".join(word for word in words if "|||" not in word)
