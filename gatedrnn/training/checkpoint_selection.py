"""The end of an epoch, the best checkpoints of a training, and their mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import speechbrain as sb
from speechbrain.utils.checkpoints import average_checkpoints
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger

logger = get_logger(__name__)


class BestCheckpoints:
    """The part of a Brain that ends epochs, and keeps, finds and averages its best checkpoints.

    It needs ``checkpointer``, ``counter``, ``log``, ``cost``, ``criterion`` and
    ``validation_figures``.
    """

    #: What follows the criterion's value in messages.
    unit = ""
    #: Whether the best checkpoints have the highest criterion, instead of the lowest.
    higher_is_better = False

    @property
    def best_key(self) -> dict[str, str]:
        """How a checkpointer finds the best: its ``min_key`` or ``max_key``."""
        return {"max_key" if self.higher_is_better else "min_key": self.criterion}

    def on_stage_end(self, stage: Any, stage_loss: float, epoch: int | None = None) -> None:
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
        if stage == sb.Stage.TRAIN:
            self.cost.stop()
            norms = sorted(self.log.running["norms"])
            self.train_figures = {
                "loss": float(stage_loss),
                "gradient norm": norms[len(norms) // 2] if norms else 0.0,
                "skipped steps": self.log.running["skipped"],
            }
        elif stage == sb.Stage.VALID:
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
                    f"{figures['loss']:.3f}, valid {self.criterion} "
                    f"{figures[self.criterion]:.2f}{self.unit}"
                )

    def keep_best(self, meta: Mapping[str, float]) -> None:
        """Saves an end-of-epoch checkpoint; keeps it, the best ones, and those of ``keep_epochs``.

        Arguments
        ---------
        meta : Mapping
            Figures of the validation.
        """
        saved = self.checkpointer.save_checkpoint(dict(meta))
        best = self.best_checkpoints()
        kept = {c.path for c in best} | ({saved.path} if saved else set())
        wanted = set(getattr(self.hparams, "keep_epochs", None) or ())
        self.checkpointer.keep_only(lambda c: c.path in kept or c.meta.get("epoch") in wanted)

    def best_checkpoints(self) -> list[Any]:
        """The checkpoints to average, the best first.

        Returns
        -------
        list of Checkpoint
        """
        return self.checkpointer.find_checkpoints(
            **self.best_key,
            ckpt_predicate=is_of_training,
            max_num_checkpoints=max(1, getattr(self.hparams, "average_checkpoints", 1)),
        )

    def find_best(self) -> None:
        """Makes sure that there is something to test.

        Raises
        ------
        FileNotFoundError
            If nothing has been trained.
        """
        if not self.checkpointer.find_checkpoints(**self.best_key):
            raise FileNotFoundError(
                f"there is no checkpoint with a validation {self.criterion} in "
                f"{self.checkpointer.checkpoints_dir}: train first (without --test_only)"
            )

    def average_best(self, valid_loader: Any, name: str = "model") -> None:
        """Averages the best checkpoints, and keeps the result beside them with its own figures.

        Evaluation takes whichever has the best validation figure.

        Arguments
        ---------
        valid_loader : DataLoader
            The validation utterances.
        name : str
            Name of the recoverable to average.
        """
        best = self.best_checkpoints()
        if self.test_only or len(best) < 2:
            return
        self.checkpointer.recoverables[name].load_state_dict(average_checkpoints(best, name))
        figures = self.validate(valid_loader)
        self.checkpointer.save_checkpoint(
            {**figures, "averaged": [c.path.name for c in best]}, name="averaged"
        )
        if if_main_process():
            logger.info(
                f"Mean of the {len(best)} best checkpoints: valid {self.criterion} "
                f"{figures[self.criterion]:.4g}; the best one alone: "
                f"{best[0].meta[self.criterion]:.4g}"
            )

    def validate(self, loader: Any) -> dict[str, float]:
        """Figures of a validation set with the present weights.

        Arguments
        ---------
        loader : DataLoader
            From :meth:`evaluation_loader`.

        Returns
        -------
        dict
        """
        self.on_stage_start(sb.Stage.VALID)
        self.modules.eval()
        for batch in loader:
            self.evaluate_batch(batch, sb.Stage.VALID)
        return self.validation_figures()


def is_of_training(checkpoint: Any) -> bool:
    """Whether training can go on from a checkpoint: not from an average of several.

    Arguments
    ---------
    checkpoint : Checkpoint
        The checkpoint.

    Returns
    -------
    bool
    """
    return "averaged" not in checkpoint.meta
