"""Scores of captions: files of captions, their metrics (METEOR and SPICE with Java), the report."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import numpy as np

from gatedrnn.data.config import Choices, Config, Range
from gatedrnn.data.result_table import ResultTable, Section, list_names
from gatedrnn.scoring.measures import Interval, bounds, resample
from gatedrnn.tasks.captioning.ngrams import (
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

#: Name -> tokenizer.
TOKENIZERS: dict[str, Callable[[str], tuple[str, ...]]] = {
    "ptb": tokenize,
    "none": lambda text: tuple(text.split()),
}
_TOKENIZER_NAMES = {
    "ptb": "gatedrnn's, like Stanford's PTBTokenizer without punctuation",
    "none": "none, words are separated by spaces",
}
_COCO_OR_JSONL = (
    'COCO: {"annotations": [{"image_id", "caption"}, ...]}, or that list by itself; JSON lines: '
    '{"id", "references": [...]} for references, {"id", "text"} for captions'
)
#: Number of items that an error message lists.
_LISTED = 5
#: Score of the corpus, and of each item.
CorpusAndItems = tuple[float, tuple[float, ...]]


# ---- files of captions --------------------------------------------------------------------------


@dataclass(frozen=True)
class Captions:
    """Captions of items, one or several each.

    Arguments
    ---------
    path : str
        The file.
    format : str
        ``"coco"`` or ``"jsonl"``.
    texts : Mapping
        Item -> its captions, in the order of the file; not empty.
    """

    path: str
    format: str
    texts: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        if not self.texts:
            raise ValueError(f"{self.path}: no caption in it (read as {self.format})")


def read_captions(path: str | Path, references: bool) -> Captions:
    """Reads captions; the format, COCO's JSON or JSON lines, is detected.

    Arguments
    ---------
    path : str or Path
        The file.
    references : bool
        Whether they are references: then an item may have several, and of a JSON line with
        ``references`` and ``text`` the former are read.

    Raises
    ------
    ValueError
        If it has neither format, an item has no caption, or a hypothesis file has two of an item.

    Example
    -------
    >>> path = getfixture("tmp_path") / "hyp.json"
    >>> _ = path.write_text('[{"image_id": 7, "caption": "a dog runs"}]')
    >>> read_captions(path, references=False).texts
    {'7': ('a dog runs',)}
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: {error}; captions must be UTF-8") from error
    document = _json_document(text)
    try:
        if document is None:
            captions = Captions(str(path), "jsonl", _by_item(_from_lines(text, references)))
        else:
            captions = Captions(str(path), "coco", _by_item(_from_coco(document)))
    except (KeyError, TypeError, ValueError) as error:
        what = f"there is no {error.args[0]!r}" if isinstance(error, KeyError) else error
        raise ValueError(f"{path}: {what}") from error
    several = [] if references else [name for name, t in captions.texts.items() if len(t) > 1]
    if several:
        raise ValueError(
            f"{path}: {len(several)} items have several captions, such as {several[0]}; a "
            "hypothesis file has one of each item"
        )
    return captions


def _json_document(text: str) -> Any:
    """The file as one JSON value, None if it is JSON lines."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    # A file of one JSON line is a JSON document, too.
    return None if isinstance(value, dict) and "annotations" not in value else value


def _from_coco(document: Any) -> Iterator[tuple[str, str]]:
    entries = document["annotations"] if isinstance(document, dict) else document
    if not isinstance(entries, list):
        raise ValueError(
            f"neither a list of captions nor JSON lines; it must be one of: {_COCO_OR_JSONL}"
        )
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            raise ValueError(f"entry {number} is no JSON object")
        if "image_id" not in entry:
            raise ValueError(f"entry {number} has no 'image_id'")
        yield str(entry["image_id"]), _caption(entry.get("caption"), f"entry {number}")


def _from_lines(text: str, references: bool) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    # Not splitlines, which would also split at separators that may occur in a text.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            record = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{place}: {error}; there must be an object on each line") from error
        if not isinstance(record, dict) or "id" not in record:
            raise ValueError(f"{place} is no JSON object with 'id'")
        name = str(record["id"])
        if name in seen:
            raise ValueError(f"{place}: item {name} appears twice")
        seen.add(name)
        for caption in _captions_of(record, references, place):
            yield name, _caption(caption, place)


def _captions_of(record: Mapping[str, Any], references: bool, place: str) -> list[Any]:
    if references and "references" in record:
        several = record["references"]
        if not isinstance(several, list) or not several:
            raise ValueError(f"{place}: 'references' must be a list of at least one caption")
        return several
    for key in ("text", "caption"):
        if key in record:
            return [record[key]]
    keys = "'references' or 'text'" if references else "'text'"
    raise ValueError(f"{place} has no {keys}")


def _caption(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{place}: a caption must be a string, not {value!r}")
    return value


def _by_item(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    texts: dict[str, list[str]] = {}
    for name, caption in pairs:
        texts.setdefault(name, []).append(caption)
    return {name: tuple(captions) for name, captions in texts.items()}


# ---- metrics ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CaptionScoreOptions(Config):
    """Options of :func:`score_captions`.

    Arguments
    ---------
    tokenizer : str
        ``"ptb"``, or ``"none"`` for texts whose words are separated by spaces already.
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
    """

    tokenizer: Annotated[str, Choices(*TOKENIZERS)] = "ptb"
    missing: Annotated[str, Choices("error", "empty", "ignore")] = "error"
    extra: Annotated[str, Choices("error", "ignore")] = "error"
    java: Annotated[str, Choices("auto", "never", "always")] = "auto"
    resamples: Annotated[int, Range(1, 1 << 31)] = 1000
    seed: Annotated[int, Range(0, 1 << 31)] = 0


@dataclass(frozen=True)
class CaptionMetric:
    """Value of a metric.

    Arguments
    ---------
    corpus : float
        Of all items.
    each : tuple of float
        Of each item.
    interval : Interval or None
        Bootstrap interval (95 %) of ``corpus`` over items, with fixed document frequencies; None
        for a single item and for METEOR, which is no mean of its items.
    """

    corpus: float
    each: tuple[float, ...]
    interval: Interval | None = None


@dataclass(frozen=True)
class CaptionScore:
    """Scores of a system's captions.

    Arguments
    ---------
    reference, hypothesis : Captions
        What was compared.
    options : CaptionScoreOptions
        The options.
    ids : tuple of str
        The items, in the order of the reference.
    measures : Mapping
        Name -> :class:`CaptionMetric`.
    left_out : Mapping
        Name of a metric that was not computed -> reason.
    missing, extra : tuple of str
        Items without caption, captions without references.
    wordless : int
        Number of hypotheses without a word.
    weighed_by : str
        The file whose references give CIDEr's document frequencies.
    """

    reference: Captions
    hypothesis: Captions
    options: CaptionScoreOptions
    ids: tuple[str, ...]
    measures: Mapping[str, CaptionMetric]
    left_out: Mapping[str, str]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    wordless: int
    weighed_by: str


def score_captions(
    reference: Captions,
    hypothesis: Captions,
    options: CaptionScoreOptions | None = None,
    weighing: Captions | None = None,
) -> CaptionScore:
    """Scores captions: BLEU, ROUGE-L, CIDEr-D, CIDEr, and with Java METEOR, SPICE and SPIDEr.

    Arguments
    ---------
    reference : Captions
        The references.
    hypothesis : Captions
        One caption per item.
    options : CaptionScoreOptions or None
        None for the defaults.
    weighing : Captions or None
        References for CIDEr's document frequencies, such as those of a whole validation set; None
        for those of the scored items.

    Raises
    ------
    ValueError
        If the two do not have the same items.

    Example
    -------
    >>> references = Captions("r", "coco", {"1": ("A dog runs.",), "2": ("Two cats sleep.",)})
    >>> captions = Captions("h", "coco", {"2": ("Two cats sleep",), "1": ("A cat runs",)})
    >>> score = score_captions(references, captions, CaptionScoreOptions(java="never"))
    >>> score.ids, score.measures["ROUGE-L"].each[1], sorted(score.left_out)
    (('1', '2'), 1.0, ['METEOR', 'SPICE', 'SPIDEr'])
    """
    options = options or CaptionScoreOptions()
    ids, missing, extra = _paired(reference, hypothesis, options)
    words = TOKENIZERS[options.tokenizer]
    captions = [words(hypothesis.texts.get(name, ("",))[0]) for name in ids]
    references = [[words(text) for text in reference.texts[name]] for name in ids]
    frequencies = DocumentFrequencies.of(
        references
        if weighing is None
        else ([words(text) for text in texts] for texts in weighing.texts.values())
    )
    counts = [BleuCounts.of(a, b) for a, b in zip(captions, references, strict=True)]
    each = {
        **{name: tuple(c.scores[i] for c in counts) for i, name in enumerate(BLEU)},
        ROUGE: tuple(rouge_l(a, b) for a, b in zip(captions, references, strict=True)),
        CIDER_D: _cider(Cider(frequencies), captions, references),
        CIDER: _cider(Cider(frequencies, clipped=False), captions, references),
    }
    corpus = {name: sum(values) / len(ids) for name, values in each.items()}
    corpus |= dict(zip(BLEU, reduce(add, counts).scores, strict=True))
    left_out = _add_java(corpus, each, captions, references, options)
    intervals = _intervals(counts, each, options)
    return CaptionScore(
        reference,
        hypothesis,
        options,
        tuple(ids),
        {name: CaptionMetric(corpus[name], each[name], intervals.get(name)) for name in each},
        left_out,
        missing,
        extra,
        sum(not caption for caption in captions),
        (weighing or reference).path,
    )


def _paired(
    reference: Captions, hypothesis: Captions, options: CaptionScoreOptions
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
    left_out = set(missing) if options.missing == "ignore" else set()
    return [name for name in reference.texts if name not in left_out], missing, extra


def _some(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _cider(
    cider: Cider, captions: Sequence[Words], references: Sequence[Sequence[Words]]
) -> tuple[float, ...]:
    return tuple(
        cider.score(cider.vector(caption), [cider.vector(words) for words in texts])
        for caption, texts in zip(captions, references, strict=True)
    )


def _add_java(
    corpus: dict[str, float],
    each: dict[str, tuple[float, ...]],
    captions: Sequence[Words],
    references: Sequence[Sequence[Words]],
    options: CaptionScoreOptions,
) -> dict[str, str]:
    """Adds the metrics that need Java; returns the reasons for those that are left out."""
    left_out: dict[str, str] = {}
    for name, compute in ((METEOR, meteor), (SPICE, spice)):
        if options.java == "never":
            left_out[name] = "as was asked for (--java never)"
            continue
        try:
            corpus[name], each[name] = compute(captions, references)
        except Unavailable as error:
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
    counts: Sequence[BleuCounts],
    each: Mapping[str, tuple[float, ...]],
    options: CaptionScoreOptions,
) -> dict[str, Interval]:
    """Bootstrap intervals, of all metrics on the same resamples."""
    units = len(counts)
    if units < 2:
        return {}
    means = [name for name in each if name not in (*BLEU, METEOR)]
    bleu_columns = [(c.length, c.reference, *c.correct, *c.possible) for c in counts]
    rows = np.column_stack([bleu_columns, *(each[name] for name in means)])
    sums = resample(rows, options.resamples, options.seed)
    samples = {name: sums[:, 2 + 2 * ORDERS + i] / units for i, name in enumerate(means)}
    bleu = np.array(
        [
            BleuCounts(s[0], s[1], tuple(s[2 : 2 + ORDERS]), tuple(s[2 + ORDERS :])).scores
            for s in sums[:, : 2 + 2 * ORDERS].tolist()
        ]
    )
    samples |= {name: bleu[:, i] for i, name in enumerate(BLEU)}
    return {name: Interval(*bounds(values, units), units) for name, values in samples.items()}


# ---- report -------------------------------------------------------------------------------------


def report_sections(scores: Sequence[CaptionScore]) -> list[Section]:
    """Report of one system or several, for :func:`gatedrnn.data.result_table.render`."""
    several = len(scores) > 1
    sections: list[Section] = []
    for score in scores:
        table = ResultTable(["", "score", "95 % by item"], digits=4)
        for name, metric in score.measures.items():
            span = metric.interval
            table.add(name, metric.corpus, span and f"{span.low:.4f} to {span.high:.4f}")
        body = [*_preface(score), table]
        if score.left_out:
            reasons = [f"- {name}: {reason}" for name, reason in score.left_out.items()]
            body.append("\n".join(["LEFT OUT:", *reasons]))
        sections.append((score.hypothesis.path if several else "", body))
    if several:
        names = list(dict.fromkeys(name for score in scores for name in score.measures))
        table = ResultTable(["", *names], digits=4)
        for score in scores:
            values = (score.measures[n].corpus if n in score.measures else None for n in names)
            table.add(score.hypothesis.path, *values)
        sections.append(("Side by side", [table]))
    return sections


def _preface(score: CaptionScore) -> list[str]:
    """What was compared, and what a reader of the metrics must know."""
    numbers = [len(score.reference.texts[name]) for name in score.ids]
    low, high = min(numbers), max(numbers)
    each = f"{low}" if low == high else f"{low} to {high}"
    lines = [
        f"reference   {score.reference.path} ({score.reference.format})\n"
        f"hypothesis  {score.hypothesis.path} ({score.hypothesis.format})\n"
        f"items       {len(score.ids)}, with {each} reference(s) each\n"
        f"tokenizer   {_TOKENIZER_NAMES[score.options.tokenizer]}",
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


def score_to_dict(score: CaptionScore) -> dict[str, Any]:
    """A score for JSON, with every item's captions and scores."""
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
                **{metric: m.each[i] for metric, m in score.measures.items()},
            }
            for i, name in enumerate(score.ids)
        ],
    }


class Unavailable(ValueError):
    """A metric that cannot be computed here; the message has the reason and a remedy."""


def meteor(captions: Sequence[Words], references: Sequence[Sequence[Words]]) -> CorpusAndItems:
    """METEOR 1.5."""
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
    """SPICE, on scene graphs from Stanford's CoreNLP."""
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
