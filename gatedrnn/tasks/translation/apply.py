"""Translations of sentences by a trained translator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch

from gatedrnn.seq2seq.encoder import collate_sources
from gatedrnn.seq2seq.search import SearchOptions, search
from gatedrnn.tasks.translation.bundle import TranslatorBundle
from gatedrnn.tokens import EOS

#: Batches of sentences that are read at once, to be sorted by length.
_BATCHES = 16
#: Average number of tokens per sentence, with padding, up to which a batch may be full.
_USUAL_LENGTH = 100


@dataclass(frozen=True)
class Translation:
    """A sentence and its translations.

    Arguments
    ---------
    source : str
        The sentence.
    texts : tuple of str
        The best one first; an empty one for a sentence without a word.
    scores : tuple of float
        Log-probability of each, normalized by the search's ``length_penalty``.
    unknown : tuple of str
        Parts of the sentence that have no token and were encoded as ``<unk>``.
    """

    source: str
    texts: tuple[str, ...]
    scores: tuple[float, ...]
    unknown: tuple[str, ...]


def translate(
    bundle: TranslatorBundle,
    sentences: Iterable[str],
    options: SearchOptions | None = None,
    batch_size: int = 32,
    ahead: int = _BATCHES,
) -> Iterator[Translation]:
    """Translates sentences, in their order.

    Arguments
    ---------
    bundle : TranslatorBundle
        The translator, on its device.
    sentences : iterable of str
        The sentences; read as they are needed.
    options : SearchOptions or None
        Search options; ``None`` for those of the training's test.
    batch_size : int
        Sentences per batch, at least 1.
    ahead : int
        Number of batches that are read before the first one is translated, at least 1, so that
        batches hold sentences of similar lengths.

    Raises
    ------
    ValueError
        If ``batch_size`` or ``ahead`` is not positive.

    Example
    -------
    >>> from gatedrnn.tasks.translation.corpora import Languages
    >>> from gatedrnn.tasks.translation.bundle import TranslatorConfig
    >>> from gatedrnn.tasks.translation.model import TranslatorSpec
    >>> from gatedrnn.tokens import Words
    >>> words = Words.learn(["guten Tag", "good day"], "<eos>")
    >>> sizes = {"network": "ran", "hidden_size": 4, "embedding_size": 4}
    >>> spec = TranslatorSpec(len(words), len(words), sizes, sizes)
    >>> config = TranslatorConfig(spec, Languages("de", "en"))
    >>> bundle = TranslatorBundle(config, words, words, spec.build().eval())
    >>> [translation.unknown for translation in translate(bundle, ["guten Abend", ""])]
    [('Abend',), ()]
    """
    if batch_size < 1 or ahead < 1:
        raise ValueError(f"batch_size and ahead must be at least 1, not {batch_size} and {ahead}")
    options = bundle.config.search if options is None else options
    sentences = iter(sentences)
    while chunk := list(islice(sentences, batch_size * ahead)):
        prepared = [bundle.config.languages.prepared(sentence) for sentence in chunk]
        tokens = [bundle.source.encode(sentence) for sentence in prepared]
        results = {}
        order = sorted((i for i in range(len(chunk)) if prepared[i]), key=lambda i: len(tokens[i]))
        for indices in _batches(order, [len(sentence) + 1 for sentence in tokens], batch_size):
            batch = _search(bundle, [[*tokens[i], EOS] for i in indices], options)
            results |= dict(zip(indices, batch, strict=True))
        for i, sentence in enumerate(chunk):
            unknown = tuple(bundle.source.unknown(prepared[i]))
            texts, scores = results.get(i, (("",), (0.0,)))
            yield Translation(sentence, texts, scores, unknown)


def _batches(order: list[int], sizes: list[int], batch_size: int) -> Iterator[list[int]]:
    """Indices of sentences, the short ones first; long sentences in smaller batches, or alone."""
    batch: list[int] = []
    for index in order:
        full = len(batch) == batch_size
        if batch and (full or (len(batch) + 1) * sizes[index] > batch_size * _USUAL_LENGTH):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


@torch.no_grad()
def _search(
    bundle: TranslatorBundle, sources: list[list[int]], options: SearchOptions
) -> list[tuple[tuple[str, ...], tuple[float, ...]]]:
    device = next(bundle.model.parameters()).device
    source, lengths = collate_sources([torch.tensor(tokens) for tokens in sources])
    encoded = bundle.model.encode(source.to(device), lengths.to(device))
    return [
        (tuple(bundle.target.join(h.tokens) for h in nbest), tuple(h.score for h in nbest))
        for nbest in search(bundle.model, encoded, options)
    ]
