"""BLEU and chrF of translations, as sacreBLEU computes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatedrnn.data.errors import MissingExtraError
from gatedrnn.data.files import write_atomically

#: How sacreBLEU splits texts into words; ``zh`` for Chinese, ``char`` for all else without spaces.
TOKENIZERS = ("13a", "intl", "zh", "char", "none")


@dataclass(frozen=True)
class TranslationScore:
    """Scores of some translations.

    Arguments
    ---------
    figures : dict
        ``BLEU`` and ``chrF``, from 0 to 100; ``length ratio``, of hypotheses to references;
        ``exact match``, the share of hypotheses that are one of their references; and
        ``sentences``.
    signatures : dict
        Measure -> sacreBLEU's signature, without which its figure says little.
    """

    figures: dict[str, float]
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
        For each sentence all that are right, at least one; some may have more than others.
    tokenize : str
        One of ``TOKENIZERS``.

    Returns
    -------
    TranslationScore

    Raises
    ------
    ImportError
        If sacreBLEU is not installed.
    ValueError
        If ``tokenize`` is something else, or hypotheses and references do not fit.

    Example
    -------
    >>> found = score_translations(["a dog runs fast"], [["a dog runs fast", "a fast dog"]])
    >>> round(found.figures["BLEU"], 3), found.figures["exact match"]
    (100.0, 1.0)
    """
    bleu, chrf = make_measures(tokenize)
    if len(hypotheses) != len(references) or not all(references):
        raise ValueError(
            f"{len(hypotheses)} hypotheses need references, at least one each, and not "
            f"{sum(map(bool, references))}"
        )
    streams = in_streams(references)
    found = bleu.corpus_score(list(hypotheses), streams)
    hits = sum(h in right for h, right in zip(hypotheses, references, strict=True))
    figures = {
        "BLEU": found.score,
        "chrF": chrf.corpus_score(list(hypotheses), streams).score,
        "length ratio": found.ratio,
        "exact match": hits / len(hypotheses),
        "sentences": len(hypotheses),
    }
    signatures = {"BLEU": str(bleu.get_signature()), "chrF": str(chrf.get_signature())}
    return TranslationScore(figures, signatures)


def make_measures(tokenize: str) -> tuple[Any, Any]:
    """Makes sacreBLEU's BLEU and chrF.

    Arguments
    ---------
    tokenize : str
        One of ``TOKENIZERS``.

    Returns
    -------
    tuple
        Both.

    Raises
    ------
    ImportError
        If sacreBLEU is not installed.
    ValueError
        If ``tokenize`` is something else.
    """
    if tokenize not in TOKENIZERS:
        raise ValueError(f"bleu_tokenize must be one of {', '.join(TOKENIZERS)}, not {tokenize!r}")
    try:
        from sacrebleu.metrics import BLEU, CHRF
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            'translation needs sacreBLEU: pip install "gatedrnn[mt]"'
        ) from error
    return BLEU(tokenize=tokenize), CHRF()


def in_streams(references: Sequence[Sequence[str]]) -> list[list[str]]:
    """References as sacreBLEU wants them: all first ones, all second ones, and so on.

    Arguments
    ---------
    references : sequence of sequence of str
        Of each sentence.

    Returns
    -------
    list of list of str
        Empty texts where a sentence has no further one.

    Example
    -------
    >>> in_streams([["a", "b"], ["c"]])
    [['a', 'c'], ['b', '']]
    """
    most = max(map(len, references))
    return [[right[i] if i < len(right) else "" for right in references] for i in range(most)]


def write_translations(
    folder: Path,
    name: str,
    sources: Sequence[str],
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    score: TranslationScore,
) -> Path:
    """Writes translations for sacreBLEU's own command, and for readers.

    Arguments
    ---------
    folder : Path
        Where ``hypotheses_NAME.txt``, ``references_NAME.0.txt`` (and further ones), and
        ``translation_NAME.txt``, to be read, go.
    name : str
        Name of the set.
    sources : sequence of str
        The sentences and their translations.
    hypotheses : sequence of str
        The sentences and their translations.
    references : sequence of sequence of str
        What would be right.
    score : TranslationScore
        Of :func:`score_translations`.

    Returns
    -------
    Path
        What is to be read.
    """

    def write(file: str, lines: Sequence[str]) -> Path:
        write_atomically(folder / file, "".join(f"{line}\n" for line in lines))
        return folder / file

    write(f"hypotheses_{name}.txt", hypotheses)
    for number, stream in enumerate(in_streams(references)):
        write(f"references_{name}.{number}.txt", stream)
    report = [f"{measure}: {value:.4f}" for measure, value in score.figures.items()]
    report += [f"{measure}: {signature}" for measure, signature in score.signatures.items()]
    for source, made, right in zip(sources, hypotheses, references, strict=True):
        report += ["", f"read   {source}", f"made   {made}", *(f"right  {text}" for text in right)]
    return write(f"translation_{name}.txt", report)
