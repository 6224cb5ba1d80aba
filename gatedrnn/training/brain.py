"""A Brain that keeps its word: exact sums over ranks, all gradients clipped, exact resumption."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import speechbrain as sb
import torch
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger

from gatedrnn.training.checkpoint_selection import BestCheckpoints, is_of_training
from gatedrnn.training.checkpoints import SafeCheckpointer
from gatedrnn.training.cost import Cost
from gatedrnn.training.loaders import SharedLoaders
from gatedrnn.training.log import TrainingLog, new_epoch
from gatedrnn.training.random_states import RandomStates
from gatedrnn.training.ranks import gather, rank_and_world, sum_over_ranks
from gatedrnn.training.synchronised import synchronise

logger = get_logger(__name__)

Stage = sb.Stage


class NonFiniteLossError(ValueError):
    """The loss was not finite more often than ``nonfinite_patience`` allows."""


@dataclass(frozen=True)
class Objective:
    """A loss as a sum, with what to divide it by: both can be added up over batches and ranks.

    Arguments
    ---------
    total : torch.Tensor
        Sum of the losses, a scalar.
    weight : float
        What it is to be divided by, such as the number of tokens.
    divisor : float or None
        What its gradient is divided by instead; ``None`` for the weight.
    """

    total: torch.Tensor
    weight: float
    divisor: float | None = None


class GuardedBrain(SharedLoaders, BestCheckpoints, sb.Brain):
    """SpeechBrain's Brain with the holes mended that every recipe falls into.

    - ``compute_objectives`` returns an :class:`Objective`: gradients are those of the sum over all
      ranks divided by the weight of all ranks, whatever utterances a rank has.
    - A loss or gradient that is not finite on any rank makes every rank leave the step out; after
      ``nonfinite_patience`` of them in an epoch :class:`NonFiniteLossError` is raised by all.
    - Gradients are clipped over all parameter groups together; the last, incomplete group of
      accumulated batches of an epoch is not thrown away.
    - Batches are reshuffled in every epoch, and dealt out to the ranks.
    - Validation and test are shared by the ranks; their results are gathered.
    - Checkpoints bring back random numbers and the place in the epoch: a training that was killed
      ends with the weights of one that was not.
    - The best checkpoints are averaged at the end.

    Arguments
    ---------
    modules : Mapping
        Name -> module; what is trained should be one module.
    opt_class : callable
        Makes the optimiser from parameters.
    hparams : Mapping
        ``seed``, ``epoch_counter``, optionally ``schedule`` (of optimiser steps), ``rate_decay``
        (of epochs and the figures of their validations), ``average_checkpoints``,
        ``max_batch_seconds``, ``max_batch_size``, ``bucket_spread``, ``ascending_epochs``,
        ``num_workers``.
    run_opts : Mapping or RunOptions or None
        Options of the command line.
    checkpointer : SafeCheckpointer
        Keeps the checkpoints.
    log : TrainingLog
        Keeps the figures.

    Raises
    ------
    ValueError
        If ``max_grad_norm`` is not positive.
    """

    #: Figure of the validation that the best checkpoints have the lowest of, or the highest if
    #: ``higher_is_better``.
    criterion = "loss"

    def __init__(
        self,
        modules: Mapping[str, torch.nn.Module],
        opt_class: Any,
        hparams: Mapping[str, Any],
        run_opts: Any,
        checkpointer: SafeCheckpointer,
        log: TrainingLog,
    ) -> None:
        super().__init__(modules, opt_class, hparams, run_opts, checkpointer)
        if not self.max_grad_norm > 0:
            raise ValueError(
                f"max_grad_norm must be above 0 (.inf for no clipping), not {self.max_grad_norm}: "
                "a negative one would reverse the gradient"
            )
        self.ranks = rank_and_world()
        self.log = log
        self.counter = hparams["epoch_counter"]
        self.seed = int(hparams["seed"])
        self.epoch = 0
        self._spoilt = False
        checkpointer.add_recoverables(
            {"random": RandomStates(), "log": log, "epochs": self.counter}
        )
        self.cost = Cost()
        # Trainings that an older version of this package began have none.
        checkpointer.add_recoverable("cost", self.cost, optional_load=True)

    # ---- training ---------------------------------------------------------------------------

    def on_fit_start(self) -> None:
        """Wraps the modules, makes the optimiser, and goes on from the latest checkpoint."""
        self._compile()
        self._wrap_distributed()
        self.init_optimizers()
        for group in self.optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        rank, world = self.ranks
        if world > 1:
            # SpeechBrain seeds all ranks alike: their augmentations and dropout must differ.
            torch.manual_seed(self.seed + 7919 * rank)
        found = self.checkpointer.recover_if_possible(ckpt_predicate=is_of_training)
        if found is not None and "cost" not in found.paramfiles:
            self.cost.known = False

    def _wrap_distributed(self) -> None:
        if self.distributed_launch and torch.device(self.device).type == "cpu":
            # SpeechBrain takes torch's SyncBatchNorm, which there is on GPUs only.
            for name, module in self.modules.items():
                self.modules[name] = synchronise(module)
        super()._wrap_distributed()

    def on_stage_start(self, stage: Stage, epoch: int | None = None) -> None:
        """Begins the sums of a stage.

        Arguments
        ---------
        stage : Stage
            Training, validation or test.
        epoch : int or None
            Number of the epoch.
        """
        self.sums = [0.0, 0.0]
        self.results: list[dict[str, Any]] = []
        if stage == Stage.TRAIN:
            self.epoch = epoch
            self.train_sampler.set_epoch(epoch)
            if hasattr(self.training_set, "set_epoch"):
                self.training_set.set_epoch(epoch)
            self.batches = len(self.train_sampler)
            self._spoilt = False
            if self.step == 0:
                # Otherwise the epoch had begun before the interruption.
                self.log.running = new_epoch()
            self.cost.start()

    def fit_batch(self, batch: Any) -> torch.Tensor:
        """Trains on one batch.

        Arguments
        ---------
        batch : PaddedBatch
            This rank's share.

        Returns
        -------
        torch.Tensor
            The loss over all ranks, detached.
        """
        should_step = self._at_step_boundary()
        self.on_fit_batch_start(batch, should_step)
        with self.no_sync(not should_step):
            with self.training_ctx:
                outputs = self.compute_forward(batch, Stage.TRAIN)
                objective = self.compute_objectives(outputs, batch, Stage.TRAIN)
            value = float(objective.total.detach())
            finite = math.isfinite(value)
            divisor = objective.weight if objective.divisor is None else objective.divisor
            total, weight, divisor, bad = sum_over_ranks(
                [value if finite else 0.0, objective.weight, divisor, float(not finite)],
                self.device,
            )
            if bad:
                self._spoil("the loss", batch, finite)
            else:
                # Data parallelism takes the mean of the ranks' gradients: times their number.
                share = self.ranks[1] / (max(divisor, 1.0) * self.grad_accumulation_factor)
                self.scaler.scale(objective.total * share).backward()
        if should_step:
            self.cost.steps += 1
            if self._spoilt:
                self.zero_grad(set_to_none=True)
                self._spoilt = False
            else:
                self.optimizers_step()
        loss = torch.tensor(math.nan if bad else total / max(weight, 1.0))
        self.on_fit_batch_end(batch, outputs, loss, should_step)
        return loss

    @property
    def scheduled_epochs(self) -> int:
        """Epochs over which ``schedule`` goes."""
        return self.counter.limit

    def on_fit_batch_start(self, batch: Any, should_step: bool) -> None:
        """Sets the learning rate.

        Arguments
        ---------
        batch : PaddedBatch
            The batch.
        should_step : bool
            Whether the optimiser will make a step.
        """
        schedule = getattr(self.hparams, "schedule", None)
        rate_decay = getattr(self.hparams, "rate_decay", None)
        if should_step and not (schedule is None and rate_decay is None):
            factor = 1.0
            if schedule is not None:
                done = (self.epoch - 1 + (self.step - 1) / self.batches) / self.scheduled_epochs
                factor = schedule(self.optimizer_step, done)
            if rate_decay is not None:
                sign = -1 if self.higher_is_better else 1
                found = [row["valid"][self.criterion] for row in self.log.rows if row["valid"]]
                factor *= rate_decay(self.epoch, [sign * figure for figure in found])
            for group in self.optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor

    def optimizers_step(self) -> None:
        """Makes a step, with the gradients of all parameter groups clipped together."""
        self.scaler.unscale_(self.optimizer)
        parameters = [p for g in self.optimizer.param_groups for p in g["params"]]
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm))
        if math.isfinite(norm) or self.scaler.is_enabled():
            # A scaler looks for overflows itself, and makes its factor smaller.
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer_step += 1
            self.log.running["norms"].append(norm)
        else:
            self._spoil("the gradient", None, False)
            self._spoilt = False
        self.optimizer.zero_grad(set_to_none=True)

    def _at_step_boundary(self) -> bool:
        return self.step % self.grad_accumulation_factor == 0 or self.step == self.batches

    def _spoil(self, what: str, batch: Any, finite: bool) -> None:
        """Counts a step that all ranks leave out; all of them come here together."""
        self._spoilt = True
        self.log.running["skipped"] += 1
        skipped = self.log.running["skipped"]
        mine = [] if finite or batch is None else list(batch.id)
        at_fault = {rank: ids for rank, ids in enumerate(gather(mine)) if ids}
        where = "; ".join(
            f"rank {rank}: {', '.join(ids[:8])}{' ...' if len(ids) > 8 else ''}"
            for rank, ids in at_fault.items()
        )
        message = (
            f"{what} is not finite in batch {self.step} of epoch {self.epoch}"
            f"{f' ({where})' if where else ''}"
        )
        if skipped > self.nonfinite_patience:
            raise NonFiniteLossError(
                f"{message}: {skipped} steps of this epoch had to be left out, more "
                f"than nonfinite_patience: {self.nonfinite_patience} allows. Look at these "
                "utterances, or try a lower learning rate, more warm-up, or a smaller "
                "max_grad_norm"
            )
        if if_main_process():
            logger.warning(
                f"{message}: all ranks leave the step out ({skipped} of at most "
                f"{self.nonfinite_patience} in an epoch)"
            )

    def _should_save_intra_epoch_ckpt(self, last_ckpt_time: float, steps_since_ckpt: int) -> bool:
        # Between accumulated batches the gradient, which no checkpoint holds, would be lost.
        decided = super()._should_save_intra_epoch_ckpt(last_ckpt_time, steps_since_ckpt)
        return decided and self._at_step_boundary()

    def _save_intra_epoch_ckpt(self) -> None:
        self.cost.stop()
        saved = self.checkpointer.save_checkpoint({"intra-epoch": True}, end_of_epoch=False)
        newest = saved and saved.path
        self.checkpointer.keep_only(lambda c: c.meta["end-of-epoch"] or c.path == newest)
        self.cost.start()

    def spent(self) -> dict[str, Any]:
        """What the training has cost, over all of its sessions, for a results file.

        Returns
        -------
        dict
            See :meth:`~gatedrnn.training.cost.Cost.figures`.
        """
        # Of the newest checkpoint: tests bring back the best one, with what it had cost until then.
        newest = self.checkpointer.find_checkpoint()
        whole = Cost()
        if newest is not None and "cost" in newest.paramfiles:
            whole.load(newest.paramfiles["cost"], end_of_epoch=True)
        return whole.figures()

    # ---- evaluation -------------------------------------------------------------------------

    def network(self, name: str, stage: Stage) -> torch.nn.Module:
        """A module, to be called: in training with the wrapper that synchronises gradients.

        In evaluation without it: its collective operations would wait for ranks that have fewer
        batches.

        Arguments
        ---------
        name : str
            Its name in ``modules``.
        stage : Stage
            Training, validation or test.

        Returns
        -------
        torch.nn.Module
        """
        module = self.modules[name]
        wrapped = isinstance(module, torch.nn.parallel.DistributedDataParallel)
        return module.module if wrapped and stage != Stage.TRAIN else module

    @torch.no_grad()
    def evaluate_batch(self, batch: Any, stage: Stage) -> torch.Tensor:
        """Evaluates one batch.

        Arguments
        ---------
        batch : PaddedBatch
            The utterances.
        stage : Stage
            Validation or test.

        Returns
        -------
        torch.Tensor
            Loss of the batch.
        """
        with self.evaluation_ctx:
            outputs = self.compute_forward(batch, stage)
            objective = self.compute_objectives(outputs, batch, stage)
        self.sums[0] += float(objective.total)
        self.sums[1] += objective.weight
        return torch.tensor(float(objective.total) / max(objective.weight, 1.0))

    def gathered(self) -> tuple[float, list[dict[str, Any]]]:
        """Loss and results of the stage, over all ranks, the same on all of them.

        Returns
        -------
        loss : float
            Sum of the losses divided by the sum of the weights.
        results : list of dict
            What the ranks put into ``self.results``, in the order of their ``"id"``.
        """
        # In the order of the ranks, not of their arrival, so that sums are the same everywhere.
        sums = gather(self.sums)
        results = [result for part in gather(self.results) for result in part]
        total, weight = (math.fsum(values) for values in zip(*sums, strict=True))
        return total / max(weight, 1.0), sorted(results, key=lambda r: r["id"])

    def validation_figures(self) -> dict[str, float]:
        """Figures of the validation that has just run: at least the criterion.

        Returns
        -------
        dict
        """
        loss, _ = self.gathered()
        return {"loss": loss}
