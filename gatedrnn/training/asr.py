"""The Brain of all speech recognition recipes: connectionist temporal classification."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import speechbrain as sb
import torch
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger
from speechbrain.utils.metric_stats import ErrorRateStats

from gatedrnn.decoding import ctc
from gatedrnn.training.brain import GuardedBrain, Objective
from gatedrnn.training.log import replace_text
from gatedrnn.training.tokens import BLANK

logger = get_logger(__name__)

Stage = sb.Stage


class CTCBrain(GuardedBrain):
    """Log-mel features, :class:`~gatedrnn.training.model.CTCModel`, and the word error rate.

    Arguments
    ---------
    tokens : Characters or Pieces
        What the output layer spells with.
    modules : Mapping
        ``model`` and ``normalize``.
    hparams : Mapping
        Besides those of :class:`~gatedrnn.training.brain.GuardedBrain`: ``compute_features``,
        ``hop_seconds``
        (between feature frames), ``sample_rate``, and optionally ``wav_augment`` and
        ``fea_augment`` (SpeechBrain's ``Augmenter``), ``beam_size`` and ``n_best`` (of the test).
    **kwargs : Any
        The other arguments of :class:`~gatedrnn.training.brain.GuardedBrain`.
    """

    criterion = "WER"

    def __init__(self, tokens: Any, hparams: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(hparams=hparams, **kwargs)
        self.tokens = tokens
        self.checkpointer.add_recoverable("normalize", self.modules["normalize"])
        self._hopeless: dict[str, None] = {}

    # ---- one batch --------------------------------------------------------------------------

    def compute_forward(
        self, batch: Any, stage: Stage
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Scores of the tokens in every frame.

        Arguments
        ---------
        batch : PaddedBatch
            With ``sig``.
        stage : Stage
            Training, validation or test.

        Returns
        -------
        log_probs, counts, auxiliary
            As of :class:`~gatedrnn.training.model.CTCModel`.
        """
        batch = batch.to(self.device)
        signal, lengths = batch.sig
        signal, lengths = self._augment("wav_augment", signal, lengths, stage)
        samples = signal.shape[1]
        features = self.hparams.compute_features(signal)
        lengths = self._feature_lengths(lengths, samples, features.shape[1])
        features = self.modules.normalize(features, lengths, epoch=self.epoch)
        features, lengths = self._augment("fea_augment", features, lengths, stage)
        return self.network("model", stage)(features, lengths)

    def compute_objectives(
        self,
        predictions: tuple[torch.Tensor, torch.Tensor, torch.Tensor | None],
        batch: Any,
        stage: Stage,
    ) -> Objective:
        """The loss; outside training also what was recognised.

        Arguments
        ---------
        predictions : tuple
            Of :meth:`compute_forward`.
        batch : PaddedBatch
            With ``tokens``, ``words`` and ``id``.
        stage : Stage
            Training, validation or test.

        Returns
        -------
        Objective
            Sum over the utterances, and their number of tokens.
        """
        log_probs, counts, auxiliary = predictions
        targets, lengths = batch.tokens
        sizes = torch.round(lengths * targets.shape[1]).long()
        losses = torch.nn.functional.ctc_loss(
            log_probs.transpose(0, 1),
            targets,
            counts,
            sizes,
            blank=BLANK,
            reduction="none",
            # An utterance with too few frames for its tokens has no alignment: it is left out.
            zero_infinity=True,
        )
        total = losses.sum()
        if stage == Stage.TRAIN:
            if self.epoch == 1:
                self._note_hopeless(batch.id, targets, sizes, counts)
            if auxiliary is not None:
                total = total + auxiliary
        else:
            self.results += self._recognise(log_probs, counts, batch, stage)
        return Objective(total, float(sizes.sum()))

    def _feature_lengths(self, lengths: torch.Tensor, samples: int, frames: int) -> torch.Tensor:
        """Relative lengths in frames, exactly.

        There is one frame more than hops between frames: relative lengths in samples, taken for
        those in frames, are off by a frame in some batches and not in others, and an utterance's
        loss would depend on its company.
        """
        hop = round(self.hparams.hop_seconds * self.hparams.sample_rate)
        counts = torch.div(torch.round(lengths * samples), hop, rounding_mode="floor") + 1
        return counts.clamp(max=frames) / frames

    def _augment(
        self, name: str, x: torch.Tensor, lengths: torch.Tensor, stage: Stage
    ) -> tuple[torch.Tensor, torch.Tensor]:
        augment = getattr(self.hparams, name, None)
        if stage != Stage.TRAIN or augment is None:
            return x, lengths
        changed, lengths = augment(x, lengths)
        if len(changed) != len(x):
            raise ValueError(
                f"{name} made {len(changed)} utterances out of {len(x)}: set concat_original and "
                "parallel_augment to False, and repeat_augment to 1"
            )
        return changed, lengths

    def _note_hopeless(
        self, ids: list[str], targets: torch.Tensor, sizes: torch.Tensor, counts: torch.Tensor
    ) -> None:
        """Notes utterances that have fewer frames than their transcript needs."""
        inside = torch.arange(targets.shape[1], device=targets.device) < sizes.unsqueeze(1)
        repeated = ((targets[:, 1:] == targets[:, :-1]) & inside[:, 1:]).sum(1)
        short = (counts < sizes + repeated).tolist()
        self._hopeless |= {name: None for name, bad in zip(ids, short, strict=True) if bad}

    def _recognise(
        self, log_probs: torch.Tensor, counts: torch.Tensor, batch: Any, stage: Stage
    ) -> list[dict[str, Any]]:
        """What the searches find, as plain data that ranks can send each other."""
        found = ctc.greedy(log_probs, counts)
        results = [
            {"id": name, "ref": list(words), "greedy": self.tokens.decode(best.tokens).split()}
            for name, words, best in zip(batch.id, batch.words, found, strict=True)
        ]
        beam_size = getattr(self.hparams, "beam_size", 1)
        if stage != Stage.TEST:
            return results
        lists = [[best] for best in found]
        if beam_size > 1:
            searched = ctc.prefix_beam_search(log_probs, counts, beam_size)
            n_best = getattr(self.hparams, "n_best", None)
            lists = [ctc.distinct(found, self.tokens)[:n_best] for found in searched]
        seconds = self.hparams.hop_seconds * self.network("model", stage).factor
        for i, (result, hypotheses) in enumerate(zip(results, lists, strict=True)):
            frames = log_probs[i, : int(counts[i])]
            words = ctc.word_times(frames, hypotheses[0], self.tokens, seconds)
            reference = " ".join(result["ref"])
            result["n_best"] = ctc.n_best_record(
                result["id"], reference, hypotheses, words, self.tokens
            )
            result["beam"] = self.tokens.decode(hypotheses[0].tokens).split()
        return results

    # ---- a stage ----------------------------------------------------------------------------

    def on_stage_end(self, stage: Stage, stage_loss: float, epoch: int | None = None) -> None:
        """Logs, and keeps the best checkpoints.

        Arguments
        ---------
        stage : Stage
            Training, validation or test.
        stage_loss : float
            Mean loss of the batches.
        epoch : int or None
            Number of the epoch.
        """
        if stage == Stage.TRAIN:
            norms = sorted(self.log.running["norms"])
            self.train_figures = {
                "loss": float(stage_loss),
                "gradient norm": norms[len(norms) // 2] if norms else 0.0,
                "skipped steps": self.log.running["skipped"],
            }
            if self._hopeless and epoch == 1:
                names = list(self._hopeless)
                logger.warning(
                    f"{len(names)} training utterance(s) have fewer frames than their transcript "
                    f"has tokens and cannot be learned from: {', '.join(names[:8])}"
                    f"{' ...' if len(names) > 8 else ''}"
                )
                self._hopeless.clear()
        elif stage == Stage.VALID:
            figures = self.validation_figures()
            if hasattr(self.counter, "update_metric"):
                self.counter.update_metric(figures[self.criterion])
            meta = {"epoch": epoch, "lr": self.optimizer.param_groups[0]["lr"]}
            self.log.add(meta, self.train_figures, figures)
            self.keep_best({**figures, "epoch": epoch})
            self.log.write()
            if if_main_process():
                logger.info(
                    f"epoch {epoch}: train loss {self.train_figures['loss']:.3f}, valid loss "
                    f"{figures['loss']:.3f}, valid WER {figures['WER']:.2f} %"
                )

    def validation_figures(self) -> dict[str, float]:
        """Loss and word error rate of the validation that has just run.

        Returns
        -------
        dict
        """
        loss, results = self.gathered()
        return {"loss": loss, "WER": float(_errors(results, "greedy").summarize("WER"))}

    def test(self, name: str, loader: Any, folder: Path) -> dict[str, float]:
        """Tests the best checkpoint.

        Arguments
        ---------
        name : str
            Name of the set, for the files.
        loader : DataLoader
            From :meth:`~gatedrnn.training.brain.GuardedBrain.evaluation_loader`.
        folder : Path
            Where ``wer_NAME.txt`` (with all alignments) and ``nbest_NAME.jsonl`` go.

        Returns
        -------
        dict
            Figures.

        Raises
        ------
        FileNotFoundError
            If nothing has been trained.
        """
        if not self.checkpointer.find_checkpoints(min_key=self.criterion):
            raise FileNotFoundError(
                f"there is no checkpoint with a validation {self.criterion} in "
                f"{self.checkpointer.checkpoints_dir}: train first (without --test_only)"
            )
        self.evaluate(loader, min_key=self.criterion)
        loss, results = self.gathered()
        errors = {how: _errors(results, how) for how in ("greedy", "beam")}
        summary = errors["beam"].summarize()
        figures = {
            "WER": float(summary["WER"]),
            "greedy WER": float(errors["greedy"].summarize("WER")),
            "words": int(summary["num_scored_tokens"]),
            "insertions": int(summary["insertions"]),
            "deletions": int(summary["deletions"]),
            "substitutions": int(summary["substitutions"]),
            "utterances": len(results),
            "loss": loss,
        }
        if if_main_process():
            with open(folder / f"wer_{name}.txt", "w", encoding="utf-8") as file:
                errors["beam"].write_stats(file)
            lines = [json.dumps(r["n_best"], ensure_ascii=False) + "\n" for r in results]
            replace_text(folder / f"nbest_{name}.jsonl", "".join(lines))
            print(f"{name}: WER {figures['WER']:.2f} % ({folder / f'wer_{name}.txt'})")
        return figures


def _errors(results: list[dict[str, Any]], how: str) -> ErrorRateStats:
    errors = ErrorRateStats()
    errors.append(
        [r["id"] for r in results], [r[how] for r in results], [r["ref"] for r in results]
    )
    return errors
