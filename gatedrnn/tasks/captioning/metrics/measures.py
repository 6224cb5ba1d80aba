"""The score of a captioner: BLEU, ROUGE-L, CIDEr-D, and with Java METEOR, SPICE and SPIDEr."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from gatedrnn.scoring.bootstrap import Interval, bounds, resample
from gatedrnn.tasks.captioning.metrics import java
from gatedrnn.tasks.captioning.metrics.files import Captions
from gatedrnn.tasks.captioning.metrics.ngrams import (
    ORDERS,
    BleuCounts,
    Cider,
    DocumentFrequencies,
    Words,
    rouge_l,
)
from gatedrnn.tokens.ptb_tokenizer import tokenize

BLEU = tuple(f"BLEU-{order}" for order in range(1, ORDERS + 1))
ROUGE, CIDER_D, CIDER = "ROUGE-L", "CIDEr-D", "CIDEr plain"
METEOR, SPICE, SPIDER = "METEOR", "SPICE", "SPIDEr"

#: Name -> what makes words of a caption.
TOKENIZERS: dict[str, Callable[[str], tuple[str, ...]]] = {
    "ptb": tokenize,
    "none": lambda text: tuple(text.split()),
}
#: What is done with items that have no caption to score, and with captions without references.
MISSING = ("error", "empty", "ignore")
EXTRA = ("error", "ignore")
#: Whether the measures that need Java are computed.
JAVA = ("auto", "never", "always")
_LISTED = 5


@dataclass(frozen=True)
class Options:
    """How is scored.

    Arguments
    ---------
    tokenizer : str
        ``"ptb"``, or ``"none"`` for texts whose words are parted by spaces already.
    missing : str
        Items without caption: ``"error"`` stops, ``"empty"`` scores an empty caption, ``"ignore"``
        leaves them out, such as the references of another split.
    extra : str
        Captions without references: ``"error"`` stops, ``"ignore"`` leaves them out.
    java : str
        METEOR and SPICE: ``"auto"`` where they can be computed, ``"never"``, or ``"always"``, which
        stops where they cannot.
    resamples, seed : int
        Of the bootstrap.

    Raises
    ------
    ValueError
        If a value is none of these.
    """

    tokenizer: str = "ptb"
    missing: str = "error"
    extra: str = "error"
    java: str = "auto"
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in (("tokenizer", tuple(TOKENIZERS)), ("missing", MISSING),
                              ("extra", EXTRA), ("java", JAVA)):  # fmt: skip
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}"
                )
        for name, least in (("resamples", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")


@dataclass(frozen=True)
class Measure:
    """A measure.

    Arguments
    ---------
    corpus : float
        Of all items together.
    each : tuple of float
        Of each item.
    interval : Interval or None
        95 % interval of ``corpus`` over other items of the same kind, references' weights as they
        are; None for a single item and for METEOR, which is no mean of its items.
    """

    corpus: float
    each: tuple[float, ...]
    interval: Interval | None = None


@dataclass(frozen=True)
class CaptionScore:
    """How a captioner did.

    Arguments
    ---------
    reference, hypothesis : Captions
        What was compared.
    options : Options
        How.
    ids : tuple of str
        The items, in the order of the reference.
    measures : Mapping
        Name -> measure.
    left_out : Mapping
        Name of a measure that was not computed -> why.
    missing, extra : tuple of str
        Items without caption, captions without references.
    wordless : int
        Captions to score that hold no word.
    weighed_by : str
        The file by whose references CIDEr weighs.
    """

    reference: Captions
    hypothesis: Captions
    options: Options
    ids: tuple[str, ...]
    measures: Mapping[str, Measure]
    left_out: Mapping[str, str]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    wordless: int
    weighed_by: str


def score(
    reference: Captions,
    hypothesis: Captions,
    options: Options | None = None,
    weighing: Captions | None = None,
) -> CaptionScore:
    """Scores a captioner.

    Arguments
    ---------
    reference : Captions
        What people wrote.
    hypothesis : Captions
        One caption per item.
    options : Options or None
        How; None for the defaults.
    weighing : Captions or None
        By whose references CIDEr weighs n-grams, such as those of a whole validation set; None
        for ``reference``, as far as it is scored.

    Returns
    -------
    CaptionScore

    Raises
    ------
    ValueError
        If the two do not belong together.

    Example
    -------
    >>> wrote = Captions("r", "coco", {"1": ("A dog runs.",), "2": ("Two cats sleep.",)})
    >>> made = Captions("h", "coco", {"2": ("Two cats sleep",), "1": ("A cat runs",)})
    >>> found = score(wrote, made, Options(java="never"))
    >>> found.ids, found.measures["ROUGE-L"].each[1], sorted(found.left_out)
    (('1', '2'), 1.0, ['METEOR', 'SPICE', 'SPIDEr'])
    """
    options = options or Options()
    ids, missing, extra = _paired(reference, hypothesis, options)
    words = TOKENIZERS[options.tokenizer]
    made = [words(hypothesis.texts.get(name, ("",))[0]) for name in ids]
    wrote = [[words(text) for text in reference.texts[name]] for name in ids]
    frequencies = DocumentFrequencies.of(
        wrote if weighing is None else ([words(t) for t in ts] for ts in weighing.texts.values())
    )
    matches = [BleuCounts.of(a, b) for a, b in zip(made, wrote, strict=True)]
    together = reduce(add, matches).scores
    each = {
        **{name: tuple(m.scores[i] for m in matches) for i, name in enumerate(BLEU)},
        ROUGE: tuple(rouge_l(a, b) for a, b in zip(made, wrote, strict=True)),
        CIDER_D: _cider(Cider(frequencies), made, wrote),
        CIDER: _cider(Cider(frequencies, clipped=False), made, wrote),
    }
    corpus = {name: sum(values) / len(ids) for name, values in each.items()}
    corpus |= dict(zip(BLEU, together, strict=True))
    left_out = _add_java(corpus, each, made, wrote, options)
    intervals = _intervals(matches, each, options)
    return CaptionScore(
        reference,
        hypothesis,
        options,
        tuple(ids),
        {name: Measure(corpus[name], each[name], intervals.get(name)) for name in each},
        left_out,
        missing,
        extra,
        sum(not caption for caption in made),
        (weighing or reference).path,
    )


def _paired(
    reference: Captions, hypothesis: Captions, options: Options
) -> tuple[list[str], tuple[str, ...], tuple[str, ...]]:
    """Items to score, items without caption, captions without references."""
    missing = tuple(name for name in reference.texts if name not in hypothesis.texts)
    extra = tuple(name for name in hypothesis.texts if name not in reference.texts)
    if len(missing) == len(reference.texts):
        raise ValueError(
            f"{hypothesis.path} has no caption for any of the {len(missing)} items of "
            f"{reference.path}: it has {_some(extra)}, they are called {_some(missing)}"
        )
    if missing and options.missing == "error":
        raise ValueError(
            f"{hypothesis.path} lacks captions for {len(missing)} of {len(reference.texts)} items: "
            f"{_some(missing)}; leave them out with --missing ignore, or score them as empty"
        )
    if extra and options.extra == "error":
        raise ValueError(
            f"{hypothesis.path} has {len(extra)} that {reference.path} has not: {_some(extra)}; "
            "leave them out with --extra ignore"
        )
    left = set(missing) if options.missing == "ignore" else set()
    return [name for name in reference.texts if name not in left], missing, extra


def _some(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _cider(
    cider: Cider, made: Sequence[Words], wrote: Sequence[Sequence[Words]]
) -> tuple[float, ...]:
    return tuple(
        cider.score(cider.vector(caption), [cider.vector(words) for words in references])
        for caption, references in zip(made, wrote, strict=True)
    )


def _add_java(
    corpus: dict[str, float],
    each: dict[str, tuple[float, ...]],
    made: Sequence[Words],
    wrote: Sequence[Sequence[Words]],
    options: Options,
) -> dict[str, str]:
    """Adds what needs Java; returns why something could not be added."""
    left_out: dict[str, str] = {}
    for name, compute in ((METEOR, java.meteor), (SPICE, java.spice)):
        if options.java == "never":
            left_out[name] = "as was asked for (--java never)"
            continue
        try:
            corpus[name], each[name] = compute(made, wrote)
        except java.Unavailable as error:
            if options.java == "always":
                raise ValueError(f"{name}: {error}") from error
            left_out[name] = str(error)
    if SPICE in each:
        pairs = zip(each[CIDER_D], each[SPICE], strict=True)
        each[SPIDER] = tuple((a + b) / 2 for a, b in pairs)
        corpus[SPIDER] = (corpus[CIDER_D] + corpus[SPICE]) / 2
    else:
        left_out[SPIDER] = "it is the mean of CIDEr-D and SPICE"
    return left_out


def _intervals(
    matches: Sequence[BleuCounts], each: Mapping[str, tuple[float, ...]], options: Options
) -> dict[str, Interval]:
    """Bootstrap intervals, all measures on the same draws."""
    units = len(matches)
    if units < 2:
        return {}
    means = [name for name in each if name not in (*BLEU, METEOR)]
    counts = [(m.length, m.reference, *m.correct, *m.possible) for m in matches]
    rows = np.column_stack([counts, *(each[name] for name in means)])
    drawn = resample(rows, options.resamples, options.seed)
    samples = {name: drawn[:, 2 + 2 * ORDERS + i] / units for i, name in enumerate(means)}
    bleu = np.array(
        [
            BleuCounts(s[0], s[1], tuple(s[2 : 2 + ORDERS]), tuple(s[2 + ORDERS :])).scores
            for s in drawn[:, : 2 + 2 * ORDERS].tolist()
        ]
    )
    samples |= {name: bleu[:, i] for i, name in enumerate(BLEU)}
    return {name: Interval(*bounds(values, units), units) for name, values in samples.items()}
