"""The Brain of translators: cross-entropy, BLEU of greedy translations, tests by beam search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import speechbrain as sb
from speechbrain.utils.distributed import if_main_process

from gatedrnn.modules.softmax import IGNORE
from gatedrnn.seq2seq.model import TeacherForcingOutput
from gatedrnn.seq2seq.search import SearchOptions, greedy, search
from gatedrnn.tasks.translation.corpora.pairs import Pairs
from gatedrnn.tasks.translation.data import TranslationBatch
from gatedrnn.tasks.translation.metrics import (
    TranslationScore,
    make_measures,
    score_translations,
    write_translations,
)
from gatedrnn.tokens.text_symbols import TextTokens
from gatedrnn.tokens.vocabulary import UNKNOWN
from gatedrnn.training.brain import GuardedBrain, Objective

Stage = sb.Stage


def make_search(hparams: Mapping[str, Any], tokens: TextTokens) -> SearchOptions:
    """Makes the search of a training's tests.

    Arguments
    ---------
    hparams : Mapping
        ``max_length``, ``beam_size`` and ``search``, see :class:`TranslationBrain`.
    tokens : TextTokens
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


class TranslationBrain(GuardedBrain):
    """Trains a :class:`~gatedrnn.tasks.translation.model.Translator`.

    The best checkpoint is that with the highest BLEU of greedy translations of the validation
    sentences. A sentence that stands in several pairs is translated once, and all its translations
    are right.

    Arguments
    ---------
    tokens : TextTokens
        Of the language that is written.
    valid : Pairs
        What is chosen by, as in the dataset.
    modules : Mapping
        ``model``, a :class:`~gatedrnn.tasks.translation.model.Translator`.
    hparams : Mapping
        Besides those of :class:`~gatedrnn.training.brain.GuardedBrain`:

        - ``label_smoothing``: part of the probability that is spread over all tokens;
        - ``max_length``: most tokens of a translation;
        - ``beam_size`` and ``search``: of the tests, see
          :class:`~gatedrnn.seq2seq.search.SearchOptions`;
        - ``bleu_tokenize``: see :func:`~gatedrnn.tasks.translation.metrics.score_translations`.
    **kwargs : Any
        The other arguments of :class:`~gatedrnn.training.brain.GuardedBrain`.

    Raises
    ------
    ImportError
        If sacreBLEU is not installed.
    ValueError
        If a value is out of its range.
    """

    criterion = "BLEU"
    higher_is_better = True
    collate = TranslationBatch

    def __init__(
        self, tokens: TextTokens, valid: Pairs, hparams: Mapping[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(hparams=hparams, **kwargs)
        self.tokens, self._valid = tokens, valid
        options = self.hparams
        if not 0.0 <= options.label_smoothing < 1.0:
            raise ValueError(f"label_smoothing must be in [0, 1), not {options.label_smoothing}")
        make_measures(options.bleu_tokenize)  # better now than after an epoch
        self.search = make_search(vars(options), tokens)

    # ---- one batch --------------------------------------------------------------------------

    def compute_forward(self, batch: TranslationBatch, stage: Stage) -> TeacherForcingOutput:
        """Runs the translator over sentences and their translations.

        Arguments
        ---------
        batch : TranslationBatch
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
        self, predictions: TeacherForcingOutput, batch: TranslationBatch, stage: Stage
    ) -> Objective:
        """The loss; outside training also translations.

        Arguments
        ---------
        predictions : TeacherForcingOutput
            Of :meth:`compute_forward`.
        batch : TranslationBatch
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
        self, predictions: TeacherForcingOutput, batch: TranslationBatch, stage: Stage
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

    def validation_figures(self) -> dict[str, float]:
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
            From :meth:`~gatedrnn.training.brain.GuardedBrain.evaluation_loader`.
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
