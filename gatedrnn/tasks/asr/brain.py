"""The Brain of recognizers: features, augmentation, searches, word error rate."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import speechbrain as sb
import torch
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger
from torch import nn

from gatedrnn.data.files import write_atomically
from gatedrnn.modules.features import feature_lengths
from gatedrnn.modules.network_options import DropoutSwitch
from gatedrnn.scoring.alignment import error_metrics, word_errors
from gatedrnn.tasks.asr.decode import Scores, SearchOptions, align_words, check_fusion, search
from gatedrnn.tasks.asr.language_model import (
    LABEL_PRIOR,
    Fusion,
    LabelPrior,
    internal_log_probs,
    write_label_prior,
)
from gatedrnn.tasks.language_modeling.bundle import load_language_model
from gatedrnn.tasks.language_modeling.rescoring import check_line_ends
from gatedrnn.tokens import Tokens
from gatedrnn.tokens.hypotheses import Hypothesis, distinct, n_best_record
from gatedrnn.training.brain import Brain, Objective
from gatedrnn.training.distributed import sum_over_ranks

logger = get_logger(__name__)
Stage = sb.Stage


class RecogniserBrain(Brain):
    """Trains a recognizer, with or without a head, and tests it by its word error rate.

    The models of :data:`gatedrnn.tasks.asr.heads.HEADS` have the losses and the searches.

    Arguments
    ---------
    tokens : Tokens
        Tokens of the transcripts.
    modules : Mapping
        ``model`` and ``normalize``.
    hparams : Mapping
        Besides those of :class:`~gatedrnn.training.brain.Brain`: ``compute_features``,
        ``hop_seconds`` (between feature frames), ``sample_rate``, and optionally ``wav_augment``
        and ``fea_augment`` (SpeechBrain's ``Augmenter``), ``clean_epochs`` (first epochs without
        augmentation and dropout), ``beam_size`` and ``n_best`` (of the test), and what
        :class:`~gatedrnn.tasks.asr.brain.TestSearch` takes.
    **kwargs : Any
        The other arguments of :class:`~gatedrnn.training.brain.Brain`.
    """

    valid_metric = "WER"
    unit = " %"

    def __init__(self, tokens: Any, hparams: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(hparams=hparams, **kwargs)
        self.tokens = tokens
        self.checkpointer.add_recoverable("normalize", self.modules["normalize"])
        model = self.modules["model"]
        self._has_head = model.head != "ctc"
        self._dropout = DropoutSwitch(model)
        self.clean_epochs = int(getattr(self.hparams, "clean_epochs", 0))
        self._test_search = TestSearch(self.hparams, model, tokens)
        #: Training utterances without an alignment: too few frames for their tokens.
        self._too_short: dict[str, None] = {}

    # ---- one batch --------------------------------------------------------------------------

    def compute_forward(self, batch: Any, stage: Stage) -> tuple[Any, ...]:
        """Runs the model on the features of a batch."""
        batch = batch.to(self.device)
        signal, lengths = batch.sig
        signal, lengths = self._augment("wav_augment", signal, lengths, stage)
        samples = signal.shape[1]
        features = self.hparams.compute_features(signal)
        hop = round(self.hparams.hop_seconds * self.hparams.sample_rate)
        lengths = feature_lengths(lengths, samples, features.shape[1], hop)
        features = self.modules.normalize(features, lengths, epoch=self.epoch)
        features, lengths = self._augment("fea_augment", features, lengths, stage)
        transcripts = (batch.tokens.data,) if self._has_head else ()
        return self.network("model", stage)(features, lengths, *transcripts)

    def compute_objectives(
        self, predictions: tuple[Any, ...], batch: Any, stage: Stage
    ) -> Objective:
        """The loss; in validation and test also searches."""
        targets, lengths = batch.tokens
        sizes = torch.round(lengths * targets.shape[1]).long()
        total = self.network("model", Stage.TEST).losses(predictions, targets, sizes).sum()
        if stage == Stage.TRAIN:
            if self.epoch == 1 and not self._has_head:
                self._collect_too_short(predictions[1], batch.id, targets, sizes)
            auxiliary = predictions[2]
            if auxiliary is not None:
                total = total + auxiliary
        else:
            self.results += self._recognise(predictions, batch, stage)
        return Objective(total, float(sizes.sum()))

    def _collect_too_short(
        self, counts: torch.Tensor, ids: list[str], targets: torch.Tensor, sizes: torch.Tensor
    ) -> None:
        inside = torch.arange(targets.shape[1], device=targets.device) < sizes.unsqueeze(1)
        repeated = ((targets[:, 1:] == targets[:, :-1]) & inside[:, 1:]).sum(1)
        short = (counts < sizes + repeated).tolist()
        self._too_short |= {name: None for name, bad in zip(ids, short, strict=True) if bad}

    def _augment(
        self, name: str, x: torch.Tensor, lengths: torch.Tensor, stage: Stage
    ) -> tuple[torch.Tensor, torch.Tensor]:
        augment = getattr(self.hparams, name, None)
        if stage != Stage.TRAIN or augment is None or self.epoch <= self.clean_epochs:
            return x, lengths
        changed, lengths = augment(x, lengths)
        if len(changed) != len(x):
            raise ValueError(
                f"{name} made {len(changed)} utterances out of {len(x)}: set concat_original and "
                "parallel_augment to False, and repeat_augment to 1"
            )
        return changed, lengths

    def _recognise(
        self, outputs: tuple[Any, ...], batch: Any, stage: Stage
    ) -> list[dict[str, Any]]:
        """Hypotheses of the searches, JSON-serialisable, so that ranks can exchange them."""
        model = self.network("model", Stage.TEST)
        scores = Scores(*outputs[:2], outputs[3] if len(outputs) > 3 else None)
        if stage == Stage.TEST and self._test_search.collects(scores):
            return []
        lists = search(model, scores)
        results = [
            {
                "id": name,
                "ref": list(words),
                "greedy": self.tokens.decode(hypotheses[0].tokens).split(),
            }
            for name, words, hypotheses in zip(batch.id, batch.words, lists, strict=True)
        ]
        if stage != Stage.TEST:
            return results
        if self._test_search.options.beam_size > 1:
            n_best = self._test_search.options.n_best
            begun = self._now()
            lists = self._test_search.search(model, scores)
            self._search_seconds += self._now() - begun
            lists = [distinct(hypotheses, self.tokens)[:n_best] for hypotheses in lists]
        lists = self._test_search.with_internal(model, lists)
        seconds = self.hparams.hop_seconds * model.factor
        for i, (result, hypotheses) in enumerate(zip(results, lists, strict=True)):
            words = align_words(scores, i, hypotheses[0], self.tokens, seconds)
            reference = " ".join(result["ref"])
            result["n_best"] = n_best_record(
                result["id"], reference, hypotheses, words, self.tokens
            )
            result["beam"] = self.tokens.decode(hypotheses[0].tokens).split()
        return results

    def _now(self) -> float:
        """The time after all work on the device."""
        if torch.device(self.device).type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    # ---- a stage ----------------------------------------------------------------------------

    def on_stage_start(self, stage: Stage, epoch: int | None = None) -> None:
        """Starts a stage; ``clean_epochs`` train without dropout."""
        super().on_stage_start(stage, epoch)
        if stage == Stage.TRAIN:
            self._dropout.switch(epoch > self.clean_epochs)

    def on_stage_end(self, stage: Stage, stage_loss: float, epoch: int | None = None) -> None:
        """Ends a stage; after the first epoch names the utterances that have no alignment."""
        super().on_stage_end(stage, stage_loss, epoch)
        if stage == Stage.TRAIN and self._too_short and epoch == 1:
            names = list(self._too_short)
            logger.warning(
                f"{len(names)} training utterance(s) have too few frames for their tokens and "
                f"cannot be learned from: {', '.join(names[:8])}"
                f"{' ...' if len(names) > 8 else ''}"
            )
            self._too_short.clear()

    def validation_metrics(self) -> dict[str, float]:
        """Loss and word error rate of the validation that has just run."""
        loss, results = self.gathered()
        return {"loss": loss, "WER": error_metrics(_errors(results, "greedy"))["WER"]}

    def test(self, name: str, loader: Any, folder: Path) -> dict[str, float]:
        """Tests the best checkpoint."""
        if self._test_search.needs_label_prior:
            # From the first test set, which is the validation set.
            self.evaluate_best(loader)
            self._test_search.take_label_prior(self.device, folder if if_main_process() else None)
        self._search_seconds = 0.0
        loss, results = self.evaluate_best(loader)
        errors = {how: _errors(results, how) for how in ("greedy", "beam")}
        metrics = {
            **error_metrics(errors["beam"]),
            "greedy WER": error_metrics(errors["greedy"])["WER"],
            "loss": loss,
            "search seconds": sum_over_ranks([self._search_seconds], self.device)[0],
        }
        if if_main_process():
            alignments = io.StringIO()
            errors["beam"].write_stats(alignments)
            write_atomically(folder / f"wer_{name}.txt", alignments.getvalue())
            lines = [json.dumps(r["n_best"], ensure_ascii=False) + "\n" for r in results]
            write_atomically(folder / f"nbest_{name}.jsonl", "".join(lines))
            print(f"{name}: WER {metrics['WER']:.2f} % ({folder / f'wer_{name}.txt'})")
        return metrics


class TestSearch:
    """Search of a training's test, as hparams say.

    They have those of :meth:`~gatedrnn.tasks.asr.decode.SearchOptions.from_hparams`;
    ``language_model`` (a bundle, or the output folder of a training), needed with ``lm_weight``;
    and ``internal_lm``, which adds ``ilm`` to the n-best lists: the log-probability by the
    recognizer's internal language model.
    """

    #: pytest would collect the class for its name.
    __test__ = False

    def __init__(self, hparams: Any, model: nn.Module, tokens: Tokens) -> None:
        self.options = SearchOptions.from_hparams(hparams)
        self.internal = bool(getattr(hparams, "internal_lm", False))
        self.tokens, self.language_model = tokens, None
        if self.options.lm_mode is not None:
            self.language_model = _load(hparams, model, self.options.beam_size)
        self.by_ctc = model.head == "ctc"
        self.label_prior: torch.Tensor | None = None
        self._sums = LabelPrior(len(tokens))
        self._fusion: Fusion | None = None
        if not self.needs_label_prior:
            self._make_fusion()

    @property
    def needs_label_prior(self) -> bool:
        """Whether the label prior must be estimated first, on a whole set."""
        needed = self.internal or bool(self.options.lm_internal)
        return self.by_ctc and needed and self.label_prior is None

    def collects(self, scores: Scores) -> bool:
        """Adds a batch to the label prior, if it is needed; then there is nothing to search yet."""
        if not self.needs_label_prior:
            return False
        self._sums.add(scores.log_probs, scores.counts)
        return True

    def take_label_prior(
        self, device: torch.device | str, folder: str | Path | None = None
    ) -> None:
        """Ends the estimation of the label prior, and writes it to a folder."""
        sums = sum_over_ranks(self._sums.sums.tolist(), device)
        self._sums.sums = torch.tensor(sums, dtype=torch.float64)
        self.label_prior = self._sums.log_probs()
        if folder is not None:
            write_label_prior(Path(folder) / LABEL_PRIOR, self.label_prior)
        self._make_fusion()

    def search(self, model: nn.Module, scores: Scores) -> list[list[Hypothesis]]:
        """N-best list of each utterance, the best first."""
        return search(model, scores, self.options, self._fusion)

    def with_internal(
        self, model: nn.Module, lists: Sequence[Sequence[Hypothesis]]
    ) -> list[list[Hypothesis]]:
        """Adds the log-probabilities by the internal language model, if hparams ask for them."""
        if not self.internal:
            return [list(hypotheses) for hypotheses in lists]
        sequences = [h.tokens for hypotheses in lists for h in hypotheses]
        values = iter(internal_log_probs(model, sequences, self.label_prior).tolist())
        return [
            [replace(h, parts={**h.parts, "ilm": next(values)}) for h in hypotheses]
            for hypotheses in lists
        ]

    def _make_fusion(self) -> None:
        lm, weights = self.language_model, self.options.lm_weights
        if lm is not None:
            prior = self.label_prior if weights.internal else None
            self._fusion = Fusion(lm.model, lm.tokens, self.tokens, weights, prior)


def _load(hparams: Any, model: nn.Module, beam_size: int) -> Any:
    folder = getattr(hparams, "language_model", None)
    if folder is None:
        raise ValueError("lm_weight is for a language model in the search: name its language_model")
    check_fusion(model, beam_size)
    # Initialisation samples random numbers; those of the training must not change.
    with torch.random.fork_rng(devices=[]):
        language_model = load_language_model(folder)
    check_line_ends(language_model, folder)
    return language_model


def _errors(results: list[dict[str, Any]], how: str) -> Any:
    return word_errors((r["id"], r[how], r["ref"]) for r in results)
