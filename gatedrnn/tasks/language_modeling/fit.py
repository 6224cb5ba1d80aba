"""From a command line to a perplexity: what the ``train.py`` of language model recipes calls."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from speechbrain.utils.distributed import if_main_process, run_on_main
from speechbrain.utils.logger import get_logger
from torch import nn

from gatedrnn.data.report import Report
from gatedrnn.modules.parameter_budget import parameters, size_for
from gatedrnn.tasks.language_modeling.corpora.layouts import Corpus
from gatedrnn.tasks.language_modeling.train import LanguageModelBrain
from gatedrnn.tokens import text_tokens
from gatedrnn.tokens.text_tokens import Encoded, TextTokens
from gatedrnn.tokens.tokens import save
from gatedrnn.training.checkpoints import SafeCheckpointer
from gatedrnn.training.launch import run_recipe
from gatedrnn.training.log import Curve, TrainingLog, replace_text
from gatedrnn.training.model_description import write_text_description

logger = get_logger(__name__)

CURVE = Curve("perplexity", "perplexity per word", None)


def train_lm(
    arguments: Sequence[str], read: Callable[[Mapping[str, Any], Report], Corpus]
) -> dict[str, Any]:
    """Trains and tests a language model.

    Arguments
    ---------
    arguments : sequence of str
        Of the command line: a YAML file, and what to override in it.
    read : callable
        Reads the corpus, given the YAML's values and a report for its faults.

    Returns
    -------
    dict
        Figures of every test text.
    """

    def work(hparams: dict[str, Any], run_opts: Any) -> dict[str, Any]:
        report = Report(str(hparams.get("corpus", "text")))
        corpus = read(hparams, report)
        if if_main_process():
            report.log()
            report.write(Path(hparams["output_folder"]) / "report.json")
        return fit_language_model(hparams, run_opts, corpus)

    return run_recipe(arguments, work)


def fit_language_model(hparams: Mapping[str, Any], run_opts: Any, corpus: Corpus) -> dict[str, Any]:
    """Trains a language model, or goes on with its training, and tests the best of its checkpoints.

    Arguments
    ---------
    hparams : Mapping
        Of the YAML: ``output_folder``, ``seed``, ``tokens`` (and ``pieces``, ``min_count``,
        ``vocabulary``), ``model`` (and ``parameters``: see :func:`make_model`), ``opt_class``,
        ``epoch_counter``, and what ``LanguageModelBrain`` takes.
    run_opts : Mapping or RunOptions
        SpeechBrain's options of the command line.
    corpus : Corpus
        The texts; that for validation is tested, too.

    Returns
    -------
    dict
        Figures of every test text; also in ``results.json`` in the output folder.
    """
    folder = Path(hparams["output_folder"])
    folder.mkdir(parents=True, exist_ok=True)
    run_on_main(_make_tokens, args=[hparams, corpus, folder / "tokens.json"])
    tokens = text_tokens.load(folder / "tokens.json")
    encoded = {
        text.name: tokens.encode_text(text) for text in (corpus.train, corpus.valid, *corpus.tests)
    }
    train, valid = encoded[corpus.train.name], encoded[corpus.valid.name]
    _report_unknown(tokens, train, encoded)
    model, arguments = make_model(hparams, len(tokens))
    if if_main_process():
        write_text_description(hparams, len(tokens), arguments, corpus.train.ends, folder)
    brain = LanguageModelBrain(
        tokens=tokens,
        hparams=hparams,
        modules={"model": model},
        opt_class=hparams["opt_class"],
        run_opts=run_opts,
        checkpointer=SafeCheckpointer(folder / "save", {"model": model}),
        log=TrainingLog(folder, CURVE),
    )
    valid_loader = brain.validation_text(valid)
    if not brain.test_only:
        brain.fit(brain.counter, brain.training_text(train), valid_loader)
        brain.log.write()
        brain.average_best(valid_loader)
    epochs = brain.counter.current
    figures = {
        text.name: brain.test(encoded[text.name], folder, train)
        for text in (corpus.valid, *corpus.tests)
    }
    if if_main_process():
        results = {
            "seed": hparams["seed"],
            "tokens": tokens.kind,
            "vocabulary": len(tokens),
            "parameters": parameters(model),
            "parameters of the recurrence": parameters(model.rnn),
            "hidden_size": model.rnn.hidden_size,
            "epochs": epochs or brain.counter.current,
            **brain.spent(),
            "model": str(model.rnn.layer(0).cell),
            "sets": figures,
        }
        replace_text(folder / "results.json", json.dumps(results, indent=2) + "\n")
    return figures


def make_model(hparams: Mapping[str, Any], vocabulary: int) -> tuple[nn.Module, dict[str, Any]]:
    """Makes the model that a YAML describes, with the size that meets its budget.

    Arguments
    ---------
    hparams : Mapping
        ``model`` makes it given the size of the vocabulary, and takes ``hidden_size``; optionally
        ``parameters``: the most parameters that the whole model may have, in place of
        ``hidden_size``.
    vocabulary : int
        Number of tokens.

    Returns
    -------
    model : torch.nn.Module
        The model.
    arguments : dict
        What it was made with, besides the vocabulary.

    Example
    -------
    >>> from functools import partial
    >>> from gatedrnn.tasks.language_modeling.model import TextModel
    >>> model, arguments = make_model({"model": partial(TextModel), "parameters": 20_000}, 50)
    >>> arguments, parameters(model)
    ({'hidden_size': 31}, 18960)
    """
    make = hparams["model"]
    arguments = dict(make.keywords) if isinstance(make, functools.partial) else {}
    budget = hparams.get("parameters")
    if budget:
        size, count = size_for(lambda n: make(vocabulary, hidden_size=n), int(budget))
        arguments["hidden_size"] = size
        logger.info(f"hidden_size {size}: {count:,} of {int(budget):,} parameters")
        make = functools.partial(make, hidden_size=size)
    return make(vocabulary), arguments


def _make_tokens(hparams: Mapping[str, Any], corpus: Corpus, path: Path) -> None:
    kind = hparams.get("tokens", "words")
    if not path.is_file():
        size = hparams.get("vocabulary")
        learned = text_tokens.learn(
            corpus.train,
            kind,
            pieces=int(hparams.get("pieces", 1000)),
            min_count=int(hparams.get("min_count", 1)),
            max_size=None if size is None else int(size),
        )
        save(learned, path)
        return
    found = text_tokens.load(path)
    if found.kind != {"unigram": "pieces", "bpe": "pieces"}.get(kind, kind):
        raise ValueError(
            f"{path} holds {found.kind} of an earlier training, but tokens is {kind}: use another "
            "output_folder"
        )


def _report_unknown(tokens: TextTokens, train: Encoded, encoded: Mapping[str, Encoded]) -> None:
    """Says how much of the texts is unknown, and if the model has no chance to learn of it."""
    if not if_main_process():
        return
    for name, text in encoded.items():
        if text.unknown:
            share = 100 * text.unknown / max(1, len(text.ids))
            logger.info(f"{name}: {text.unknown} of {len(text.ids)} tokens unknown ({share:.2f} %)")
    unseen = not bool((train.ids == tokens.unk).any())
    if unseen and any(text.unknown for text in encoded.values()):
        logger.warning(
            "The training text has no unknown word, so that their probability is not learnt; with "
            "min_count: 2 words that occur once take their part"
        )
