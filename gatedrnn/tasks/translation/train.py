"""Training of translators: cross-entropy, BLEU of greedy translations, tests by beam search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import speechbrain as sb
from speechbrain.utils.distributed import if_main_process
from torch import nn

from gatedrnn.data.report import Report
from gatedrnn.modules.parameter_budget import parameters
from gatedrnn.seq2seq.model import TeacherForcingOutput
from gatedrnn.seq2seq.search import SearchOptions, greedy, search
from gatedrnn.tasks.translation.corpora import Languages, Pairs, ParallelCorpus
from gatedrnn.tasks.translation.data import (
    TranslationDataset,
    collate,
    short_enough,
    some_of,
)
from gatedrnn.tasks.translation.metrics import (
    TranslationScore,
    make_measures,
    score_translations,
    write_translations,
)
from gatedrnn.tasks.translation.model import (
    TRAINING_ONLY,
    Translator,
    TranslatorSpec,
    make_translator,
)
from gatedrnn.tokens import EOS_NAME, IGNORE, UNKNOWN, Tokens, learn_once, read_text_tokens
from gatedrnn.training.batching import Batch
from gatedrnn.training.brain import Brain, Objective
from gatedrnn.training.fit import (
    Training,
    size_within_budget,
    train,
)
from gatedrnn.training.log import Curve
from gatedrnn.training.model_description import TRANSLATIONS

#: Sides of a pair.
SIDES = ("source", "target")

Stage = sb.Stage


def make_search(hparams: Mapping[str, Any], tokens: Tokens) -> SearchOptions:
    """Makes the search of a training's tests.

    Arguments
    ---------
    hparams : Mapping
        ``max_length``, ``beam_size`` and ``search``, see :class:`TranslationBrain`.
    tokens : Tokens
        Of the language that is written.

    Returns
    -------
    SearchOptions

    Raises
    ------
    ValueError
        If a value is out of its range.
    """
    return SearchOptions(**{
        "max_length": int(hparams["max_length"]), "beam_size": hparams["beam_size"],
        # The search knows <unk> by its place among words; characters and pieces spell all that
        # training has, and do not learn to say it.
        "unknown": tokens.unk != UNKNOWN, **(hparams["search"] or {}),
    })  # fmt: skip


class TranslationBrain(Brain):
    """Trains a :class:`~gatedrnn.tasks.translation.model.Translator`.

    The best checkpoint is that with the highest BLEU of greedy translations of the validation
    sentences. A sentence that stands in several pairs is translated once, and all its translations
    are right.

    Arguments
    ---------
    tokens : Tokens
        Of the language that is written.
    valid : Pairs
        What is chosen by, as in the dataset.
    modules : Mapping
        ``model``, a :class:`~gatedrnn.tasks.translation.model.Translator`.
    hparams : Mapping
        Besides those of :class:`~gatedrnn.training.brain.Brain`:

        - ``label_smoothing``: part of the probability that is spread over all tokens;
        - ``max_length``: most tokens of a translation;
        - ``beam_size`` and ``search``: of the tests, see
          :class:`~gatedrnn.seq2seq.search.SearchOptions`;
        - ``bleu_tokenize``: see :func:`~gatedrnn.tasks.translation.metrics.score_translations`.
    **kwargs : Any
        The other arguments of :class:`~gatedrnn.training.brain.Brain`.

    Raises
    ------
    ImportError
        If sacreBLEU is not installed.
    ValueError
        If a value is out of its range.
    """

    valid_metric = "BLEU"
    higher_is_better = True
    collate = staticmethod(collate)

    def __init__(
        self, tokens: Tokens, valid: Pairs, hparams: Mapping[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(hparams=hparams, **kwargs)
        self.tokens, self._valid = tokens, valid
        options = self.hparams
        if not 0.0 <= options.label_smoothing < 1.0:
            raise ValueError(f"label_smoothing must be in [0, 1), not {options.label_smoothing}")
        make_measures(options.bleu_tokenize)  # better now than after an epoch
        self.search = make_search(vars(options), tokens)

    # ---- one batch --------------------------------------------------------------------------

    def compute_forward(self, batch: Batch, stage: Stage) -> TeacherForcingOutput:
        """Runs the translator over sentences and their translations.

        Arguments
        ---------
        batch : Batch
            The sentences.
        stage : Stage
            Training, validation or test.

        Returns
        -------
        TeacherForcingOutput
        """
        batch = batch.to(self.device)
        return self.network("model", stage)(batch.source, batch.lengths, batch.targets)

    def compute_objectives(
        self, predictions: TeacherForcingOutput, batch: Batch, stage: Stage
    ) -> Objective:
        """The loss; outside training also translations.

        Arguments
        ---------
        predictions : TeacherForcingOutput
            Of :meth:`compute_forward`.
        batch : Batch
            The sentences.
        stage : Stage
            Training, validation or test.

        Returns
        -------
        Objective
            The sum over the translations' tokens, and their number.
        """
        training = stage == Stage.TRAIN
        smoothing = self.hparams.label_smoothing if training else 0.0
        total = predictions.cross_entropy(batch.targets, smoothing)
        if not training:
            self.results += self._translate(predictions, batch, stage)
        return Objective(total, float((batch.targets != IGNORE).sum()))

    def _translate(
        self, predictions: TeacherForcingOutput, batch: Batch, stage: Stage
    ) -> list[dict[str, Any]]:
        """Translations as plain data that ranks can send each other."""
        translator = self.network("model", Stage.TEST)
        found = {"greedy": greedy(translator, predictions.encoded, self.search)}
        if stage == Stage.TEST:
            best = search(translator, predictions.encoded, self.search)
            found["best"] = [hypotheses[0] for hypotheses in best]
        return [
            {"id": name} | {way: self.tokens.join(each[i].tokens) for way, each in found.items()}
            for i, name in enumerate(batch.id)
        ]

    # ---- a stage ----------------------------------------------------------------------------

    def _score(
        self, results: list[dict[str, Any]], pairs: Pairs, way: str
    ) -> tuple[dict[str, str], TranslationScore]:
        """Sentence -> its translation, each once; and their score."""
        made: dict[str, str] = {}
        for result in results:
            made.setdefault(pairs.source[int(result["id"]) - 1], result[way])
        references = list(pairs.references().values())
        tokenize = self.hparams.bleu_tokenize
        return made, score_translations(list(made.values()), references, tokenize)

    def validation_metrics(self) -> dict[str, float]:
        """Loss per token, and BLEU of greedy translations.

        Returns
        -------
        dict
        """
        loss, results = self.gathered()
        _, found = self._score(results, self._valid, "greedy")
        return {"loss": loss, "BLEU": found.figures["BLEU"]}

    def test(self, pairs: Pairs, loader: Any, folder: Path) -> dict[str, Any]:
        """Tests the best checkpoint.

        Arguments
        ---------
        pairs : Pairs
            What the loader loads.
        loader : DataLoader
            From :meth:`~gatedrnn.training.brain.Brain.evaluation_loader`.
        folder : Path
            Where :func:`~gatedrnn.tasks.translation.metrics.write_translations` writes.

        Returns
        -------
        dict
            Figures, and the ``signature`` of BLEU.

        Raises
        ------
        FileNotFoundError
            If nothing has been trained.
        """
        self.find_best()
        self.evaluate(loader, **self.best_key)
        loss, results = self.gathered()
        _, plain = self._score(results, pairs, "greedy")
        made, found = self._score(results, pairs, "best")
        figures = found.figures | {
            "greedy BLEU": plain.figures["BLEU"],
            "loss": loss,
            "signature": found.signatures["BLEU"],
        }
        if if_main_process():
            references = list(pairs.references().values())
            sources, hypotheses = list(made), list(made.values())
            path = write_translations(folder, pairs.name, sources, hypotheses, references, found)
            print(
                f"{pairs.name}: BLEU {figures['BLEU']:.2f} (greedy {figures['greedy BLEU']:.2f}; "
                f"{figures['signature']}), chrF {figures['chrF']:.2f} ({path})"
            )
        return figures


class TranslationTraining(Training):
    """A training on a :class:`~gatedrnn.tasks.translation.corpora.ParallelCorpus`.

    Of the YAML it takes ``source_tokens`` and ``target_tokens`` (see :func:`make_tokens`),
    ``lowercase``, ``max_length``, ``max_ratio`` and ``max_pairs`` (of training), and what
    :func:`make_model` takes.
    """

    task = "translation"
    kind = TRANSLATIONS
    brain_class = TranslationBrain
    curve = Curve("BLEU", "BLEU of greedy translations", (0, 100))

    def __init__(
        self, hparams: Mapping[str, Any], run_opts: Any, data: ParallelCorpus, report: Report
    ) -> None:
        data = _lower(data) if hparams["lowercase"] else data
        super().__init__(hparams, run_opts, data, report)

    def make_tokens(self) -> None:
        """Learns the tokens of both sides."""
        for side in SIDES:
            make_tokens(self.hparams, self.data.train, side, self.folder)

    def prepare(self) -> None:
        """Loads the tokens, and leaves out what training should not see."""
        self.source, self.target = (
            read_text_tokens(self.folder / f"{side}_tokens.json") for side in SIDES
        )
        longest, ratio = int(self.hparams["max_length"]), float(self.hparams["max_ratio"])
        pairs = short_enough(self.data.train, self.source, self.target, longest, ratio, self.report)
        self.train = some_of(pairs, self.hparams["max_pairs"])
        self.report.statistics["pairs to learn from"] = len(self.train)

    def make_model(self) -> nn.Module:
        """Makes the translator."""
        model, self.spec = make_model(self.hparams, len(self.source), len(self.target))
        return model

    def brain_options(self) -> dict[str, Any]:
        """Tokens of the target language, and the validation pairs."""
        return {"tokens": self.target, "valid": self.data.valid}

    def describe(self) -> dict[str, Any]:
        """The translator, its languages, and the search of its tests."""
        lowercase, tokenize = bool(self.hparams["lowercase"]), str(self.hparams["bleu_tokenize"])
        languages = Languages(self.data.source, self.data.target, lowercase, tokenize)
        return {
            "model": self.spec.to_dict(),
            "languages": languages.to_dict(),
            "search": asdict(make_search(self.hparams, self.target)),
        }

    def valid_loader(self, brain: TranslationBrain) -> Any:
        """Loader of the validation pairs."""
        return self._loader(self.data.valid, brain.evaluation_loader)

    def train_loader(self, brain: TranslationBrain) -> Any:
        """Loader of the training pairs."""
        return self._loader(self.train, brain.training_loader)

    def _loader(self, pairs: Pairs, make: Callable[..., Any]) -> Any:
        dataset = TranslationDataset(pairs, self.source, self.target)
        return make(dataset, dataset.sizes)

    def test(self, brain: TranslationBrain, valid_loader: Any) -> dict[str, dict[str, Any]]:
        """Tests the validation and the test pairs."""
        loaders = {p.name: self._loader(p, brain.evaluation_loader) for p in self.data.tests}
        loaders[self.data.valid.name] = valid_loader
        return {
            name: brain.test(pairs, loaders[name], self.folder)
            for name, pairs in self.data.evaluated.items()
        }

    def results(self) -> dict[str, Any]:
        """Languages, sizes and kind of the recurrence."""
        decoder = self.model.decoder
        return {
            "languages": [self.data.source, self.data.target],
            "pairs": len(self.train),
            "vocabularies": [len(self.source), len(self.target)],
            "parameters of the encoder's stack": parameters(self.model.encoder.stack),
            "parameters of the decoder": parameters(decoder),
            "hidden_size": decoder.core.stack.hidden_size,
            "model": str(decoder.core.stack.layer(0).cell),
        }


def make_model(
    hparams: Mapping[str, Any], source: int, target: int
) -> tuple[Translator, TranslatorSpec]:
    """Makes the translator that a YAML describes, with the size that meets its budget.

    Arguments
    ---------
    hparams : Mapping
        ``encoder``: arguments of ``TokenEncoder``; ``decoder``:
        those of :class:`~gatedrnn.seq2seq.decoder.Decoder`; optionally ``parameter_budget``: the
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
    >>> options = {"encoder": sizes, "decoder": sizes, "parameter_budget": 30_000}
    >>> translator, spec = make_model(options, 50, 40)
    >>> parameters(translator) <= 30_000, spec.encoder == spec.decoder
    (True, True)
    """
    sides = [dict(hparams["encoder"]), dict(hparams["decoder"])]

    def make(hidden_size: int) -> Translator:
        sized = ({**side, "hidden_size": hidden_size} for side in sides)
        return make_translator(source, target, *sized)

    size = size_within_budget(hparams, make)
    sides = [side | size for side in sides]
    lasting = ({n: v for n, v in side.items() if n not in TRAINING_ONLY} for side in sides)
    return make_translator(source, target, *sides), TranslatorSpec(source, target, *lasting)


def make_tokens(hparams: Mapping[str, Any], train: Pairs, side: str, folder: Path) -> None:
    """Learns the tokens of a side of the training pairs, unless they are there.

    Arguments
    ---------
    hparams : Mapping
        ``source_tokens`` and ``target_tokens``: arguments of
        :func:`~gatedrnn.tokens.learn`.
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
    # A sentence of many pairs counts as often as training sees it.
    lines, path = getattr(train, side), folder / f"{side}_tokens.json"
    learn_once(path, lines, kind, EOS_NAME, f"{side}_tokens", **options)


def _lower(corpus: ParallelCorpus) -> ParallelCorpus:
    """All in small letters."""

    def lower(pairs: Pairs) -> Pairs:
        sides = ([text.lower() for text in side] for side in (pairs.source, pairs.target))
        return Pairs(pairs.name, *sides)

    tests = tuple(map(lower, corpus.tests))
    train, valid = lower(corpus.train), lower(corpus.valid)
    return ParallelCorpus(corpus.source, corpus.target, train, valid, tests)


def train_translator(
    arguments: Sequence[str], read: Callable[[Mapping[str, Any], Report], ParallelCorpus]
) -> dict[str, Any]:
    """Trains and tests a translator.

    Arguments
    ---------
    arguments : sequence of str
        Of the command line: a YAML file, and what to override in it.
    read : callable
        Reads the corpus, given the YAML's values and a report for issues.

    Returns
    -------
    dict
        Test set -> its metrics.
    """
    return train(arguments, TranslationTraining, read)
