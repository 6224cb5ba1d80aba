"""BLEU and chrF of translations, as sacreBLEU computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatedrnn.data.files import write_atomically
from gatedrnn.lazy import require

#: sacreBLEU's tokenizers; ``zh`` for Chinese, ``char`` for other languages without spaces.
TOKENIZERS = ("13a", "intl", "zh", "char", "none")


@dataclass(frozen=True)
class TranslationScore:
    """Scores of translations.

    Arguments
    ---------
    metrics : dict
        ``BLEU`` and ``chrF``, from 0 to 100; ``length ratio``, of hypotheses to references;
        ``exact match``, the fraction of hypotheses that equal a reference; and ``sentences``.
    signatures : dict
        Metric -> sacreBLEU's signature, which makes it comparable.
    """

    metrics: dict[str, float]
    signatures: dict[str, str]


def score_translations(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], tokenize: str = "13a"
) -> TranslationScore:
    """Scores translations.

    Arguments
    ---------
    hypotheses : sequence of str
        One per sentence.
    references : sequence of sequence of str
        For each sentence at least one; sentences may have different numbers of references.
    tokenize : str
        One of ``TOKENIZERS``.

    Raises
    ------
    ImportError
        If sacreBLEU is not installed.
    ValueError
        If ``tokenize`` is unknown, or a sentence has no reference.

    Example
    -------
    >>> score = score_translations(["a dog runs fast"], [["a dog runs fast", "a fast dog"]])
    >>> round(score.metrics["BLEU"], 3), score.metrics["exact match"]
    (100.0, 1.0)
    """
    bleu, chrf = make_metrics(tokenize)
    if len(hypotheses) != len(references) or not all(references):
        raise ValueError(
            f"{len(hypotheses)} hypotheses need references, at least one each, and not "
            f"{sum(map(bool, references))}"
        )
    streams = reference_streams(references)
    bleu_score = bleu.corpus_score(list(hypotheses), streams)
    hits = sum(h in texts for h, texts in zip(hypotheses, references, strict=True))
    metrics = {
        "BLEU": bleu_score.score,
        "chrF": chrf.corpus_score(list(hypotheses), streams).score,
        "length ratio": bleu_score.ratio,
        "exact match": hits / len(hypotheses),
        "sentences": len(hypotheses),
    }
    signatures = {"BLEU": str(bleu.get_signature()), "chrF": str(chrf.get_signature())}
    return TranslationScore(metrics, signatures)


def make_metrics(tokenize: str) -> tuple[Any, Any]:
    """sacreBLEU's BLEU and chrF; an error if ``tokenize`` is unknown or sacreBLEU is missing."""
    if tokenize not in TOKENIZERS:
        raise ValueError(f"bleu_tokenize must be one of {', '.join(TOKENIZERS)}, not {tokenize!r}")
    metrics = require("sacrebleu.metrics", "scores of translations", "mt", "sacreBLEU")
    return metrics.BLEU(tokenize=tokenize), metrics.CHRF()


def reference_streams(references: Sequence[Sequence[str]]) -> list[list[str]]:
    """References in sacreBLEU's form: the first ones of all sentences, the second ones, and so on.

    A stream has an empty text where a sentence has no further reference.
    """
    count = max(map(len, references))
    return [[texts[i] if i < len(texts) else "" for texts in references] for i in range(count)]


def write_translations(
    folder: Path,
    name: str,
    translations: Mapping[str, str],
    references: Sequence[Sequence[str]],
    score: TranslationScore,
) -> Path:
    """Writes the translations of a set, for sacreBLEU's own command and as a report.

    Files are ``hypotheses_NAME.txt``, ``references_NAME.0.txt`` (and further ones), and the report
    ``translation_NAME.txt``, whose path is returned.

    translations: Sentence -> its translation.
    references: Of each sentence, in the same order.
    """

    def write(file: str, lines: Sequence[str]) -> Path:
        write_atomically(folder / file, "".join(f"{line}\n" for line in lines))
        return folder / file

    write(f"hypotheses_{name}.txt", list(translations.values()))
    for number, stream in enumerate(reference_streams(references)):
        write(f"references_{name}.{number}.txt", stream)
    report = [f"{metric}: {value:.4f}" for metric, value in score.metrics.items()]
    report += [f"{metric}: {signature}" for metric, signature in score.signatures.items()]
    for (source, hypothesis), texts in zip(translations.items(), references, strict=True):
        report += ["", f"source      {source}", f"hypothesis  {hypothesis}"]
        report += [f"reference   {text}" for text in texts]
    return write(f"translation_{name}.txt", report)
