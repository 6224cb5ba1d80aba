"""Translations of sentences, some at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch

from gatedrnn.seq2seq.search import SearchOptions, search
from gatedrnn.tasks.translation.bundle import TranslatorBundle
from gatedrnn.tasks.translation.data import collate_sources
from gatedrnn.tokens import EOS

#: Batches of sentences that are read at once, to be sorted by their lengths.
_BATCHES = 16
#: Tokens up to which as many sentences as are wanted go together: others are padded to the longest.
_USUAL = 100


@dataclass(frozen=True)
class Translation:
    """A sentence and its translations.

    Arguments
    ---------
    source : str
        The sentence.
    texts : tuple of str
        The best one first; of a sentence without a word an empty one.
    scores : tuple of float
        Log-probability of each, divided as the search's ``length_penalty`` says.
    unknown : tuple of str
        What of the sentence has no token, and was read as ``<unk>``.
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
        The sentences; they are read as they are needed.
    options : SearchOptions or None
        How translations are searched for; ``None`` for the search of the training's test.
    batch_size : int
        Sentences at a time.
    ahead : int
        So many batches are read before the first of them is translated: sentences of like lengths
        then go together.

    Yields
    ------
    Translation

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
    >>> found = TranslatorBundle(config, words, words, spec.build().eval())
    >>> [one.unknown for one in translate(found, ["guten Abend", ""])]
    [('Abend',), ()]
    """
    if batch_size < 1 or ahead < 1:
        raise ValueError(f"batch_size and ahead must be at least 1, not {batch_size} and {ahead}")
    options = bundle.config.search if options is None else options
    sentences = iter(sentences)
    while chunk := list(islice(sentences, batch_size * ahead)):
        read = [bundle.config.languages.prepared(sentence) for sentence in chunk]
        tokens = [bundle.source.encode(sentence) for sentence in read]
        made = {}
        order = sorted((i for i in range(len(chunk)) if read[i]), key=lambda i: len(tokens[i]))
        for places in _batches(order, [len(one) + 1 for one in tokens], batch_size):
            found = _search(bundle, [[*tokens[i], EOS] for i in places], options)
            made |= dict(zip(places, found, strict=True))
        for i, sentence in enumerate(chunk):
            unknown = tuple(bundle.source.unknown(read[i]))
            texts, scores = made.get(i, (("",), (0.0,)))
            yield Translation(sentence, texts, scores, unknown)


def _batches(order: list[int], sizes: list[int], batch_size: int) -> Iterator[list[int]]:
    """Places of sentences, the short ones first; long sentences in smaller batches, or alone."""
    batch: list[int] = []
    for place in order:
        full = len(batch) == batch_size
        if batch and (full or (len(batch) + 1) * sizes[place] > batch_size * _USUAL):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


@torch.no_grad()
def _search(
    bundle: TranslatorBundle, sources: list[list[int]], options: SearchOptions
) -> list[tuple[tuple[str, ...], tuple[float, ...]]]:
    device = next(bundle.model.parameters()).device
    batch, lengths = collate_sources(sources)
    encoded = bundle.model.encode(batch.to(device), lengths.to(device))
    return [
        (tuple(bundle.target.join(one.tokens) for one in found), tuple(o.score for o in found))
        for found in search(bundle.model, encoded, options)
    ]
