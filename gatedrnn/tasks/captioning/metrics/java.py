"""METEOR and SPICE of captions, through pycocoevalcap and its Java programs."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from gatedrnn.tasks.captioning.metrics.ngrams import Words

#: Score of the corpus, and of each item.
CorpusAndItems = tuple[float, tuple[float, ...]]


class Unavailable(ValueError):
    """A metric that cannot be computed here; the message has the reason and a remedy."""


def meteor(captions: Sequence[Words], references: Sequence[Sequence[Words]]) -> CorpusAndItems:
    """METEOR 1.5.

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
        # The scorer only reports that the answer is empty; Java's own message is more precise.
        scorer.meteor_p.kill()
        lines = scorer.meteor_p.stderr.read().decode(errors="replace").strip().splitlines()
        raise Unavailable(f"its program failed ({lines[-1] if lines else error})") from error
    return corpus, tuple(items)


def spice(captions: Sequence[Words], references: Sequence[Sequence[Words]]) -> CorpusAndItems:
    """SPICE, on scene graphs from Stanford's CoreNLP.

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
    """References and captions in the form of pycocoevalcap: index -> texts."""
    return (
        {i: [_text(words) for words in item] for i, item in enumerate(references)},
        {i: [_text(words)] for i, words in enumerate(captions)},
    )


def _text(words: Words) -> str:
    # Three bars separate the fields of METEOR's lines.
    return " ".join(word for word in words if "|||" not in word)
