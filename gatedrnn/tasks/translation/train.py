"""Training of translators: cross-entropy, BLEU of greedy translations, tests by beam search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from speechbrain.utils.distributed import if_main_process
from torch import nn

from gatedrnn.data.report import Report
from gatedrnn.modules.network_options import parameters
from gatedrnn.seq2seq.brain import Seq2SeqBrain
from gatedrnn.tasks.translation.bundle import TranslatorConfig
from gatedrnn.tasks.translation.corpora import Languages, Pairs, ParallelCorpus
from gatedrnn.tasks.translation.data import TranslationDataset, short_enough, some_of
from gatedrnn.tasks.translation.decode import search_options
from gatedrnn.tasks.translation.metrics import (
    TranslationScore,
    make_metrics,
    score_translations,
    write_translations,
)
from gatedrnn.tasks.translation.model import (
    TRAINING_ONLY,
    Translator,
    TranslatorSpec,
    make_translator,
)
from gatedrnn.tokens import EOS_NAME, Tokens, learn_once, read_text_tokens
from gatedrnn.training.fit import (
    Training,
    size_within_budget,
    train,
)
from gatedrnn.training.log import Curve

#: Sides of a pair.
SIDES = ("source", "target")


class TranslationBrain(Seq2SeqBrain):
    """Trains a :class:`~gatedrnn.tasks.translation.model.Translator`.

    The best checkpoint is that with the highest BLEU of greedy translations of the validation
    sentences. A sentence of several pairs is translated once and has several references.
    """

    valid_metric = "BLEU"

    def __init__(
        self, tokens: Tokens, valid: Pairs, hparams: Mapping[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(search_options(hparams, tokens), hparams=hparams, **kwargs)
        self.tokens, self._valid = tokens, valid
        # An error now is better than one after an epoch.
        make_metrics(self.hparams.bleu_tokenize)

    def text(self, tokens: Sequence[int]) -> str:
        """Text of a translation's tokens."""
        return self.tokens.join(tokens)

    def _score(
        self, results: list[dict[str, Any]], pairs: Pairs, key: str
    ) -> tuple[dict[str, str], TranslationScore]:
        """Sentence -> its translation, each once; and their score."""
        translations: dict[str, str] = {}
        for result in results:
            translations.setdefault(pairs.source[result["number"]], result[key])
        references = list(pairs.references().values())
        tokenize = self.hparams.bleu_tokenize
        score = score_translations(list(translations.values()), references, tokenize)
        return translations, score

    def validation_metrics(self) -> dict[str, float]:
        """Loss per token, and BLEU of greedy translations."""
        loss, results = self.gathered()
        _, score = self._score(results, self._valid, "greedy")
        return {"loss": loss, "BLEU": score.metrics["BLEU"]}

    def test(self, pairs: Pairs, loader: Any, folder: Path) -> dict[str, Any]:
        """Tests the best checkpoint, and writes its translations to the folder.

        Returns: Metrics, and the ``signature`` of BLEU.
        """
        loss, results = self.evaluate_best(loader)
        _, greedy = self._score(results, pairs, "greedy")
        translations, score = self._score(results, pairs, "best")
        metrics = score.metrics | {
            "greedy BLEU": greedy.metrics["BLEU"],
            "loss": loss,
            "signature": score.signatures["BLEU"],
        }
        if if_main_process():
            references = list(pairs.references().values())
            path = write_translations(folder, pairs.name, translations, references, score)
            print(
                f"{pairs.name}: BLEU {metrics['BLEU']:.2f} (greedy {metrics['greedy BLEU']:.2f}; "
                f"{metrics['signature']}), chrF {metrics['chrF']:.2f} ({path})"
            )
        return metrics


class TranslationTraining(Training):
    """A training on a :class:`~gatedrnn.tasks.translation.corpora.ParallelCorpus`.

    Of the YAML it takes ``source_tokens`` and ``target_tokens`` (arguments of
    :func:`~gatedrnn.tokens.learn`),
    ``lowercase``, ``max_length``, ``max_ratio`` and ``max_pairs`` (of training), and what
    :func:`make_model` takes.
    """

    task = "translation"
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
            _make_tokens(self.hparams, self.data.train, side, self.folder)

    def prepare(self) -> None:
        """Loads the tokens, and selects the training pairs."""
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
        search = search_options(self.hparams, self.target)
        return TranslatorConfig(self.spec, languages, search).description()

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
    """Makes the translator of a YAML: ``encoder``, ``decoder`` and the budget of parameters.

    Arguments of encoder and decoder are those of ``TokenEncoder`` and ``Decoder``; with a budget,
    ``hidden_size`` of both is the largest that it allows.
    """
    sides = [dict(hparams["encoder"]), dict(hparams["decoder"])]

    def make(hidden_size: int) -> Translator:
        sized = ({**side, "hidden_size": hidden_size} for side in sides)
        return make_translator(source, target, *sized)

    size = size_within_budget(hparams, make)
    sides = [side | size for side in sides]
    lasting = ({n: v for n, v in side.items() if n not in TRAINING_ONLY} for side in sides)
    return make_translator(source, target, *sides), TranslatorSpec(source, target, *lasting)


def _make_tokens(hparams: Mapping[str, Any], train: Pairs, side: str, folder: Path) -> None:
    """Learns ``SIDE_tokens.json`` as the YAML's ``SIDE_tokens`` says, unless it is there."""
    options = dict(hparams[f"{side}_tokens"])
    kind = options.pop("kind")
    # A sentence of several pairs counts as often as training reads it.
    lines, path = getattr(train, side), folder / f"{side}_tokens.json"
    learn_once(path, lines, kind, EOS_NAME, f"{side}_tokens", **options)


def _lower(corpus: ParallelCorpus) -> ParallelCorpus:
    """The corpus in lower case."""

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
