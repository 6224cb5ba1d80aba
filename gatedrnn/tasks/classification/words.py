"""Words of sentences for classifiers: tokens, and an embedding, perhaps of others' vectors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger

from gatedrnn.tasks.classification.corpora.labelled import Splits
from gatedrnn.tasks.classification.corpora.word_vectors import read_vectors
from gatedrnn.tasks.classification.model import WordEmbedding
from gatedrnn.tokens import EOS_NAME, Tokens, Words, learn_once, read_text_tokens, save

logger = get_logger(__name__)


def make_tokens(hparams: Mapping[str, Any], sets: Splits, path: Path) -> None:
    """Learns the tokens of the sentences for training, if it has not been done.

    With word vectors of others, words of the other sentences that have one are known, too.

    Arguments
    ---------
    hparams : Mapping
        ``tokens``, ``min_count``, ``pieces``: see :func:`gatedrnn.tokens.learn`;
        ``vectors``: a file, or null.
    sets : Splits
        Sentences.
    path : Path
        The file to write.

    Raises
    ------
    ValueError
        If the file holds tokens of another kind, or ``vectors`` are wanted for tokens that are no
        words.
    """
    kind, vectors = hparams.get("tokens", "words"), hparams.get("vectors")
    if vectors and kind != "words":
        raise ValueError(f"vectors: there are some of words, but tokens is {kind}")
    pieces, min_count = int(hparams.get("pieces", 1000)), int(hparams.get("min_count", 1))
    options = {"pieces": pieces, "min_count": min_count}
    there = path.is_file()
    tokens = learn_once(path, sets.train.inputs, kind, EOS_NAME, **options)
    if vectors and not there:
        others = {w for part in (sets.valid, *sets.tests) for s in part.inputs for w in s.split()}
        others -= set(tokens.names)
        # What has no vector stays unknown: its embedding would be one that was never trained.
        known = read_vectors(vectors, {*tokens.names, *others}).keys() & others
        save(Words([*tokens.names, *sorted(known)], tokens.alphabet), path)


def embedding_of(
    hparams: Mapping[str, Any], sets: Splits, path: Path
) -> tuple[WordEmbedding, Tokens]:
    """Makes the embedding of tokens.

    Arguments
    ---------
    hparams : Mapping
        ``embedding`` makes it given the number of tokens; ``vectors``: a file of word vectors to
        begin with, or null.
    sets : Splits
        Sentences.
    path : Path
        What :func:`make_tokens` wrote.

    Returns
    -------
    embedding : WordEmbedding
        The embedding.
    tokens : Tokens
        The tokens.
    """
    tokens = read_text_tokens(path)
    embedding = hparams["embedding"](len(tokens), unknown=tokens.unk)
    vectors = hparams.get("vectors")
    if vectors:
        filled = embedding.fill(tokens.names, read_vectors(vectors, tokens.names))
        if if_main_process():
            logger.info(f"{filled} of {len(tokens)} words begin with a vector of {vectors}")
    if if_main_process():
        for part in (sets.valid, *sets.tests):
            unknown = sum(len(tokens.unknown(sentence)) for sentence in part.inputs)
            logger.info(f"{part.name}: {len(part)} sentences, {unknown} unknown words")
    return embedding, tokens
