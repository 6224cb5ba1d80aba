"""The Brain of all tasks: sums over all processes, skipped steps, exact resumption."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataloader import SaveableDataLoader
from speechbrain.utils.checkpoints import average_checkpoints
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger

from gatedrnn.training.batching import EpochBatchSampler, EvaluationBatchSampler
from gatedrnn.training.checkpoints import Cost, RandomStates, SafeCheckpointer, is_resumable
from gatedrnn.training.distributed import gather, rank_and_world, sum_over_ranks, synchronise
from gatedrnn.training.log import TrainingLog, new_epoch

logger = get_logger(__name__)

Stage = sb.Stage


class NonFiniteLossError(ValueError):
    """The loss or gradient was not finite more often than ``nonfinite_patience`` allows."""


@dataclass(frozen=True)
class Objective:
    """A loss as a sum and its weight, both of which can be summed over batches and ranks.

    Arguments
    ---------
    total : torch.Tensor
        Sum of the losses, a scalar.
    weight : float
        The loss is ``total / weight``, such as the number of tokens.
    divisor : float or None
        The gradient is that of ``total / divisor``; ``None`` for the weight.
    """

    total: torch.Tensor
    weight: float
    divisor: float | None = None


class Brain(sb.Brain):
    """SpeechBrain's Brain with exact distributed sums, skipped steps and exact resumption.

    - ``compute_objectives`` returns an :class:`Objective`: gradients are those of the sum over all
      ranks divided by the weight of all ranks, whatever utterances a rank has.
    - If a loss or gradient is not finite on any rank, all ranks skip the step; after more than
      ``nonfinite_patience`` of them in an epoch all raise :class:`NonFiniteLossError`.
    - Gradients are clipped over all parameter groups together; the last, incomplete group of
      accumulated batches of an epoch makes a step, too.
    - Every epoch has newly shuffled batches, which the ranks share.
    - Ranks share validation and test; their results are gathered.
    - Checkpoints have the random states and the position in the epoch: an interrupted training
      ends with the weights of one that was not.
    - The best checkpoints are averaged at the end.

    Arguments
    ---------
    modules : Mapping
        Name -> module; one of them has everything that is trained.
    opt_class : callable
        Makes the optimizer from parameters.
    hparams : Mapping
        ``seed``, ``epoch_counter``, optionally ``schedule`` (of optimizer steps), ``rate_decay``
        (of epochs and their ``valid_metric``), ``average_checkpoints``, ``max_batch_seconds``,
        ``max_batch_size``, ``bucket_spread``, ``ascending_epochs``, ``num_workers``.
    run_opts : Mapping or RunOptions or None
        Options of the command line.
    checkpointer : SafeCheckpointer
        Saves the checkpoints.
    log : TrainingLog
        Records the metrics of every epoch.

    Raises
    ------
    ValueError
        If ``max_grad_norm`` is not positive.
    """

    #: Metric of the validation by which the best checkpoints are chosen, and its unit in messages.
    valid_metric = "loss"
    unit = ""
    #: Whether the best checkpoints have the highest ``valid_metric`` instead of the lowest.
    higher_is_better = False
    #: Makes a batch of the items of a dataset.
    collate: Any = PaddedBatch

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
        # Checkpoints of older versions of this package have none.
        checkpointer.add_recoverable("cost", self.cost, optional_load=True)

    # ---- training ---------------------------------------------------------------------------

    def on_fit_start(self) -> None:
        """Wraps the modules, makes the optimizer, and resumes from the latest checkpoint."""
        self._compile()
        self._wrap_distributed()
        self.init_optimizers()
        for group in self.optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        rank, world = self.ranks
        if world > 1:
            # SpeechBrain seeds all ranks alike: their augmentations and dropout must differ.
            torch.manual_seed(self.seed + 7919 * rank)
        checkpoint = self.checkpointer.recover_if_possible(ckpt_predicate=is_resumable)
        if checkpoint is not None and "cost" not in checkpoint.paramfiles:
            self.cost.known = False

    def _wrap_distributed(self) -> None:
        if self.distributed_launch and torch.device(self.device).type == "cpu":
            # SpeechBrain uses torch's SyncBatchNorm, which needs GPUs.
            for name, module in self.modules.items():
                self.modules[name] = synchronise(module)
        super()._wrap_distributed()

    def on_stage_start(self, stage: Stage, epoch: int | None = None) -> None:
        """Starts a stage: resets its sums and results."""
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
                # Otherwise the epoch is resumed.
                self.log.running = new_epoch()
            self.cost.start()

    def fit_batch(self, batch: Any) -> torch.Tensor:
        """Trains on this rank's part of a batch; returns the loss over all ranks, detached."""
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
                # Data parallelism averages the ranks' gradients; here their sum is needed.
                scale = self.ranks[1] / (max(divisor, 1.0) * self.grad_accumulation_factor)
                self.scaler.scale(objective.total * scale).backward()
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
        """Sets the learning rate."""
        schedule = getattr(self.hparams, "schedule", None)
        rate_decay = getattr(self.hparams, "rate_decay", None)
        if should_step and not (schedule is None and rate_decay is None):
            factor = 1.0
            if schedule is not None:
                done = (self.epoch - 1 + (self.step - 1) / self.batches) / self.scheduled_epochs
                factor = schedule(self.optimizer_step, done)
            if rate_decay is not None:
                sign = -1 if self.higher_is_better else 1
                history = [row["valid"][self.valid_metric] for row in self.log.rows if row["valid"]]
                factor *= rate_decay(self.epoch, [sign * value for value in history])
            for group in self.optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor

    def optimizers_step(self) -> None:
        """Makes a step, with the gradients of all parameter groups clipped together."""
        self.scaler.unscale_(self.optimizer)
        parameters = [p for g in self.optimizer.param_groups for p in g["params"]]
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm))
        if math.isfinite(norm) or self.scaler.is_enabled():
            # A scaler detects overflows itself, and reduces its factor.
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
        """Counts a step that is skipped; called by all ranks together."""
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
        """Cost of the training over all of its sessions, see :meth:`Cost.metrics`."""
        # From the newest checkpoint: tests recover the best one, which has the cost until then.
        newest = self.checkpointer.find_checkpoint()
        whole = Cost()
        if newest is not None and "cost" in newest.paramfiles:
            whole.load(newest.paramfiles["cost"], end_of_epoch=True)
        return whole.metrics()

    # ---- evaluation -------------------------------------------------------------------------

    def network(self, name: str, stage: Stage) -> torch.nn.Module:
        """A module, in training with the wrapper that synchronises gradients.

        Without it in evaluation, where ranks can have different numbers of batches.
        """
        module = self.modules[name]
        wrapped = isinstance(module, torch.nn.parallel.DistributedDataParallel)
        return module.module if wrapped and stage != Stage.TRAIN else module

    @torch.no_grad()
    def evaluate_batch(self, batch: Any, stage: Stage) -> torch.Tensor:
        """Evaluates a batch; returns its loss."""
        with self.evaluation_ctx:
            outputs = self.compute_forward(batch, stage)
            objective = self.compute_objectives(outputs, batch, stage)
        self.sums[0] += float(objective.total)
        self.sums[1] += objective.weight
        return torch.tensor(float(objective.total) / max(objective.weight, 1.0))

    def gathered(self) -> tuple[float, list[dict[str, Any]]]:
        """Loss per unit of weight, and results sorted by ``"id"``, of the stage over all ranks."""
        # In the order of the ranks, not of their arrival, so that sums are the same everywhere.
        sums = gather(self.sums)
        results = [result for part in gather(self.results) for result in part]
        total, weight = (math.fsum(values) for values in zip(*sums, strict=True))
        return total / max(weight, 1.0), sorted(results, key=lambda r: r["id"])

    # ---- data -------------------------------------------------------------------------------

    def training_loader(self, dataset: Any, durations: list[float]) -> SaveableDataLoader:
        """Loader of this rank's part of the training batches, which change from epoch to epoch."""
        options = self.hparams
        self.training_set = dataset
        self.train_sampler = EpochBatchSampler(
            durations,
            options.max_batch_seconds,
            max_size=getattr(options, "max_batch_size", None),
            spread=getattr(options, "bucket_spread", 0.1),
            ascending_epochs=getattr(options, "ascending_epochs", 0),
            seed=self.seed,
            rank=self.ranks[0],
            world=self.ranks[1],
        )
        loader = self._loader(dataset, self.train_sampler)
        self.checkpointer.add_recoverable("dataloader-TRAIN", loader)
        return loader

    def evaluation_loader(self, dataset: Any, durations: list[float]) -> SaveableDataLoader:
        """Loader of this rank's batches of a validation or test set."""
        sampler = EvaluationBatchSampler(
            durations,
            self.hparams.max_batch_seconds,
            max_size=getattr(self.hparams, "max_batch_size", None),
            rank=self.ranks[0],
            world=self.ranks[1],
        )
        return self._loader(dataset, sampler)

    def _loader(self, dataset: Any, sampler: Any) -> SaveableDataLoader:
        return SaveableDataLoader(
            dataset,
            batch_sampler=sampler,
            collate_fn=self.collate,
            num_workers=getattr(self.hparams, "num_workers", 0),
            # Without its own generator a loader uses the global one in every epoch, and a resumed
            # training would have other random numbers.
            generator=torch.Generator().manual_seed(self.seed),
        )

    # ---- validation and checkpoints ---------------------------------------------------------

    def validation_metrics(self) -> dict[str, float]:
        """Metrics of the validation that has just run: ``loss`` and ``valid_metric`` at least."""
        loss, _ = self.gathered()
        return {"loss": loss}

    @property
    def best_key(self) -> dict[str, str]:
        """The ``min_key`` or ``max_key`` of the best checkpoint."""
        return {"max_key" if self.higher_is_better else "min_key": self.valid_metric}

    def on_stage_end(self, stage: Stage, stage_loss: float, epoch: int | None = None) -> None:
        """Logs the metrics of an epoch, and keeps the best checkpoints."""
        if stage == Stage.TRAIN:
            self.cost.stop()
            norms = sorted(self.log.running["norms"])
            self.train_metrics = {
                "loss": float(stage_loss),
                "gradient norm": norms[len(norms) // 2] if norms else 0.0,
                "skipped steps": self.log.running["skipped"],
            }
        elif stage == Stage.VALID:
            metrics = self.validation_metrics()
            if hasattr(self.counter, "update_metric"):
                self.counter.update_metric(metrics[self.valid_metric])
            meta = {"epoch": epoch, "lr": self.optimizer.param_groups[0]["lr"]}
            self.log.add(meta, self.train_metrics, metrics)
            self.keep_best({**metrics, "epoch": epoch})
            self.log.write()
            if if_main_process():
                logger.info(
                    f"epoch {epoch}: train loss {self.train_metrics['loss']:.3f}, valid loss "
                    f"{metrics['loss']:.3f}, valid {self.valid_metric} "
                    f"{metrics[self.valid_metric]:.2f}{self.unit}"
                )

    def keep_best(self, meta: Mapping[str, float]) -> None:
        """Saves a checkpoint; keeps it, the best ones, and those of ``keep_epochs``."""
        saved = self.checkpointer.save_checkpoint(dict(meta))
        best = self.best_checkpoints()
        kept = {c.path for c in best} | ({saved.path} if saved else set())
        epochs = set(getattr(self.hparams, "keep_epochs", None) or ())
        self.checkpointer.keep_only(lambda c: c.path in kept or c.meta.get("epoch") in epochs)

    def best_checkpoints(self) -> list[Any]:
        """The checkpoints to average, the best first."""
        return self.checkpointer.find_checkpoints(
            **self.best_key,
            ckpt_predicate=is_resumable,
            max_num_checkpoints=max(1, getattr(self.hparams, "average_checkpoints", 1)),
        )

    def find_best(self) -> None:
        """Refuses to test without a checkpoint that was validated."""
        if not self.checkpointer.find_checkpoints(**self.best_key):
            raise FileNotFoundError(
                f"there is no checkpoint with a validation {self.valid_metric} in "
                f"{self.checkpointer.checkpoints_dir}: train first (without --test_only)"
            )

    def average_best(self, valid_loader: Any, name: str = "model") -> None:
        """Saves the average of the best checkpoints, with its own metrics, as one more checkpoint.

        Tests use whichever has the best ``valid_metric``.
        """
        best = self.best_checkpoints()
        if self.test_only or len(best) < 2:
            return
        self.checkpointer.recoverables[name].load_state_dict(average_checkpoints(best, name))
        metrics = self.validate(valid_loader)
        self.checkpointer.save_checkpoint(
            {**metrics, "averaged": [c.path.name for c in best]}, name="averaged"
        )
        if if_main_process():
            logger.info(
                f"Mean of the {len(best)} best checkpoints: valid {self.valid_metric} "
                f"{metrics[self.valid_metric]:.4g}; the best one alone: "
                f"{best[0].meta[self.valid_metric]:.4g}"
            )

    def validate(self, loader: Any) -> dict[str, float]:
        """Metrics of a validation set with the current weights."""
        self.on_stage_start(Stage.VALID)
        self.modules.eval()
        for batch in loader:
            self.evaluate_batch(batch, Stage.VALID)
        return self.validation_metrics()

    def evaluate_best(self, loader: Any) -> tuple[float, list[dict[str, Any]]]:
        """Evaluates the best checkpoint; loss and results over all ranks."""
        self.find_best()
        self.evaluate(loader, **self.best_key)
        return self.gathered()
