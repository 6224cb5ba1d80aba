"""From a command line to translations: what the ``train.py`` of translation recipes calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from speechbrain.utils.distributed import if_main_process, run_on_main
from speechbrain.utils.logger import get_logger

from gatedrnn.data.report import Report
from gatedrnn.data.text import Text
from gatedrnn.modules.parameter_budget import parameters, size_for
from gatedrnn.tasks.translation.corpora.pairs import Languages, Pairs, ParallelCorpus
from gatedrnn.tasks.translation.data import TranslationDataset, short_enough, some_of
from gatedrnn.tasks.translation.model import (
    TRAINING_ONLY,
    Translator,
    TranslatorSpec,
    make_translator,
)
from gatedrnn.tasks.translation.train import TranslationBrain, make_search
from gatedrnn.tokens import text_tokens
from gatedrnn.tokens.text_tokens import TextTokens
from gatedrnn.tokens.tokens import save
from gatedrnn.training.checkpoints import SafeCheckpointer
from gatedrnn.training.launch import run_recipe
from gatedrnn.training.log import Curve, TrainingLog, replace_text
from gatedrnn.training.model_description import write_translator_description

logger = get_logger(__name__)

CURVE = Curve("BLEU", "BLEU of greedy translations", (0, 100))
#: Sides of a pair.
SIDES = ("source", "target")


def train_translator(
    arguments: Sequence[str], read: Callable[[Mapping[str, Any], Report], ParallelCorpus]
) -> dict[str, Any]:
    """Trains and tests a translator.

    Arguments
    ---------
    arguments : sequence of str
        Of the command line: a YAML file, and what to override in it.
    read : callable
        Reads the corpus, given the YAML's values and a report for its faults: on the first process
        before the others, so that what it writes is there for these.

    Returns
    -------
    dict
        Figures of every test set.
    """

    def work(hparams: dict[str, Any], run_opts: Any) -> dict[str, Any]:
        name = str(hparams.get("corpus", "pairs"))
        run_on_main(read, args=[hparams, Report(name)])
        report = Report(name)
        return fit_translator(hparams, run_opts, read(hparams, report), report)

    return run_recipe(arguments, work)


def fit_translator(
    hparams: Mapping[str, Any], run_opts: Any, corpus: ParallelCorpus, report: Report
) -> dict[str, Any]:
    """Trains a translator, or goes on with its training, and tests the best of its checkpoints.

    Arguments
    ---------
    hparams : Mapping
        Of the YAML: ``output_folder``, ``seed``, ``source_tokens`` and ``target_tokens`` (see
        :func:`make_tokens`), ``lowercase``; ``max_length``, ``max_ratio`` and ``max_pairs`` (of
        training); what :func:`make_model` takes, ``opt_class``, ``epoch_counter``, and what
        :class:`~gatedrnn.tasks.translation.train.TranslationBrain` takes.
    run_opts : Mapping or RunOptions
        SpeechBrain's options of the command line.
    corpus : ParallelCorpus
        The pairs; those of ``valid`` are tested, too.
    report : Report
        What reading them has found; it is written into the output folder.

    Returns
    -------
    dict
        Figures of every test set; also in ``results.json`` in the output folder.
    """
    folder = Path(hparams["output_folder"])
    folder.mkdir(parents=True, exist_ok=True)
    if hparams["lowercase"]:
        corpus = _lower(corpus)
    for side in SIDES:
        run_on_main(make_tokens, args=[hparams, corpus.train, side, folder])
    source, target = (text_tokens.load(folder / f"{side}_tokens.json") for side in SIDES)
    longest, ratio = int(hparams["max_length"]), float(hparams["max_ratio"])
    train = short_enough(corpus.train, source, target, longest, ratio, report)
    train = some_of(train, hparams["max_pairs"])
    model, spec = make_model(hparams, len(source), len(target))
    if if_main_process():
        report.figures["pairs to learn from"] = len(train)
        report.log()
        report.write(folder / "report.json")
        tokenize = str(hparams["bleu_tokenize"])
        languages = Languages(corpus.source, corpus.target, bool(hparams["lowercase"]), tokenize)
        write_translator_description(spec, languages, make_search(hparams, target), folder)
    brain = TranslationBrain(
        tokens=target,
        valid=corpus.valid,
        hparams=hparams,
        modules={"model": model},
        opt_class=hparams["opt_class"],
        run_opts=run_opts,
        checkpointer=SafeCheckpointer(folder / "save", {"model": model}),
        log=TrainingLog(folder, CURVE),
    )

    def loader(pairs: Pairs, make: Callable[..., Any]) -> Any:
        found = TranslationDataset(pairs, source, target)
        return make(found, found.sizes)

    loaders = {n: loader(p, brain.evaluation_loader) for n, p in corpus.evaluated.items()}
    if not brain.test_only:
        valid = loaders[corpus.valid.name]
        brain.fit(brain.counter, loader(train, brain.training_loader), valid)
        brain.log.write()
        brain.average_best(valid)
    epochs = brain.counter.current
    figures = {n: brain.test(p, loaders[n], folder) for n, p in corpus.evaluated.items()}
    if if_main_process():
        results = {
            "seed": hparams["seed"],
            "languages": [corpus.source, corpus.target],
            "pairs": len(train),
            "vocabularies": [len(source), len(target)],
            "parameters": parameters(model),
            "parameters of the encoder's stack": parameters(model.encoder.stack),
            "parameters of the decoder": parameters(model.decoder),
            "hidden_size": model.decoder.core.stack.hidden_size,
            "epochs": epochs or brain.counter.current,
            **brain.spent(),
            "model": str(model.decoder.core.stack.layer(0).cell),
            "sets": figures,
        }
        replace_text(folder / "results.json", json.dumps(results, indent=2) + "\n")
    return figures


def make_model(
    hparams: Mapping[str, Any], source: int, target: int
) -> tuple[Translator, TranslatorSpec]:
    """Makes the translator that a YAML describes, with the size that meets its budget.

    Arguments
    ---------
    hparams : Mapping
        ``encoder``: arguments of ``TokenEncoder``; ``decoder``:
        those of :class:`~gatedrnn.seq2seq.decoder.Decoder`; optionally ``parameters``: the
        most that the whole translator may have, in place of both ``hidden_size``.
    source : int
        Numbers of tokens.
    target : int
        Numbers of tokens.

    Returns
    -------
    translator : Translator
        The translator.
    spec : TranslatorSpec
        What it is built of.

    Example
    -------
    >>> sizes = {"network": "ran", "embedding_size": 16}
    >>> options = {"encoder": sizes, "decoder": sizes, "parameters": 30_000}
    >>> translator, spec = make_model(options, 50, 40)
    >>> parameters(translator) <= 30_000, spec.encoder == spec.decoder
    (True, True)
    """
    sides = [dict(hparams["encoder"]), dict(hparams["decoder"])]

    def make(hidden_size: int) -> Translator:
        sized = ({**side, "hidden_size": hidden_size} for side in sides)
        return make_translator(source, target, *sized)

    budget = hparams.get("parameters")
    if budget:
        size, count = size_for(make, int(budget))
        sides = [{**side, "hidden_size": size} for side in sides]
        logger.info(f"hidden_size {size}: {count:,} of {int(budget):,} parameters")
    lasting = ({n: v for n, v in side.items() if n not in TRAINING_ONLY} for side in sides)
    return make_translator(source, target, *sides), TranslatorSpec(source, target, *lasting)


def make_tokens(hparams: Mapping[str, Any], train: Pairs, side: str, folder: Path) -> None:
    """Learns the tokens of a side of the training pairs, unless they are there.

    Arguments
    ---------
    hparams : Mapping
        ``source_tokens`` and ``target_tokens``: arguments of
        :func:`~gatedrnn.tokens.text_tokens.learn`.
    train : Pairs
        The training pairs.
    side : str
        ``"source"`` or ``"target"``.
    folder : Path
        Where ``SIDE_tokens.json`` is, or is written.

    Raises
    ------
    ValueError
        If they are of another training.
    """
    options = dict(hparams[f"{side}_tokens"])
    kind = options.pop("kind")
    path = folder / f"{side}_tokens.json"
    if not path.is_file():
        # A sentence of many pairs counts as often as training sees it.
        save(text_tokens.learn(Text(side, getattr(train, side)), kind, **options), path)
        return
    found: TextTokens = text_tokens.load(path)
    if found.kind != {"unigram": "pieces", "bpe": "pieces"}.get(kind, kind):
        raise ValueError(
            f"{path} holds {found.kind} of an earlier training, but {side}_tokens is {kind}: use "
            "another output_folder"
        )


def _lower(corpus: ParallelCorpus) -> ParallelCorpus:
    """All in small letters."""

    def lower(pairs: Pairs) -> Pairs:
        sides = ([text.lower() for text in side] for side in (pairs.source, pairs.target))
        return Pairs(pairs.name, *sides)

    tests = tuple(map(lower, corpus.tests))
    train, valid = lower(corpus.train), lower(corpus.valid)
    return ParallelCorpus(corpus.source, corpus.target, train, valid, tests)
