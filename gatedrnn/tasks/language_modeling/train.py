"""The Brain of all language models: windows of running text, or lines by themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import speechbrain as sb
import torch
from speechbrain.dataio.dataloader import SaveableDataLoader
from speechbrain.utils.distributed import if_main_process

from gatedrnn.tasks.language_modeling.data import (
    IGNORE,
    InOrder,
    LineDataset,
    WindowDataset,
    streams,
)
from gatedrnn.tasks.language_modeling.dynamic_evaluation import (
    Adapted,
    Dynamic,
    detached,
    gradient_squares,
)
from gatedrnn.tasks.language_modeling.model import TextLoss
from gatedrnn.tasks.language_modeling.perplexity import Reading, TextScore, log_probabilities, score
from gatedrnn.tasks.language_modeling.word_scores import write_word_scores
from gatedrnn.training.batches import EpochBatchSampler
from gatedrnn.training.brain import GuardedBrain, Objective
from gatedrnn.training.ranks import sum_over_ranks
from gatedrnn.training.stateful import CarriedState

Stage = sb.Stage

#: What the sum of a window's losses is divided by.
LOSS_PER = ("token", "stream")


class LanguageModelBrain(GuardedBrain):
    """Trains a :class:`~gatedrnn.tasks.language_modeling.model.TextModel`.

    With ``carry_state`` the training text is cut into as many streams as there are rows in the
    batches of all processes; they are read side by side, ``bptt`` tokens at a time, and the state
    goes on from window to window: gradients are cut there, memory is not. Otherwise each line is
    read by itself.

    Arguments
    ---------
    tokens : TextTokens
        What is predicted.
    modules : Mapping
        ``model``.
    hparams : Mapping
        Besides those of :class:`~gatedrnn.training.brain.GuardedBrain`:

        - ``carry_state``;
        - ``batch_size``: streams of one process, or most lines in its share of a batch;
        - ``bptt``: tokens of a stream in a window, or longest line that is not cut;
        - ``max_batch_tokens``: longest line times number of lines of one process's share;
        - ``loss_per``: ``"token"``: gradients of the mean over tokens, ``"stream"``: of the sum
          over a stream's window, averaged over the streams, as in the papers' code, whose learning
          rates and clipping it needs;
        - ``valid_streams`` and ``eval_window``: see ``Reading``;
          tests read one stream;
        - optionally ``dynamic_lr`` (dynamic evaluation, if above 0), ``dynamic_decay``,
          ``dynamic_window`` and ``dynamic_rms``: see ``Dynamic``.
    **kwargs : Any
        The other arguments of :class:`~gatedrnn.training.brain.GuardedBrain`.

    Raises
    ------
    ValueError
        If ``loss_per`` is neither.
    """

    criterion = "perplexity"

    def __init__(self, tokens: Any, hparams: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(hparams=hparams, **kwargs)
        if self.hparams.loss_per not in LOSS_PER:
            raise ValueError(
                f"loss_per must be {' or '.join(LOSS_PER)}, not {self.hparams.loss_per!r}"
            )
        self.tokens = tokens
        self.carry = bool(self.hparams.carry_state)
        #: In training; what evaluation reads in between must not change it.
        self.carried = CarriedState()
        self._read: Any = None
        self._validated: Any = None
        self.checkpointer.add_recoverable("carried", self.carried)

    # ---- what is read -----------------------------------------------------------------------

    def reading(self, count: int = 1) -> Reading:
        """How a text is read in evaluation.

        Arguments
        ---------
        count : int
            Streams, if the state is carried.

        Returns
        -------
        Reading
        """
        return Reading(self.carry, count, int(self.hparams.eval_window))

    def training_text(self, encoded: Any) -> SaveableDataLoader:
        """Loader of this process's share of the training text.

        Arguments
        ---------
        encoded : Encoded
            The text.

        Returns
        -------
        SaveableDataLoader
        """
        options, (rank, world) = self.hparams, self.ranks
        if self.carry:
            rows = streams(encoded.ids, options.batch_size * world, equal=True)
            self.training_set = WindowDataset([rows.share(rank, world)], options.bptt)
            self.train_sampler = InOrder(len(self.training_set))
        else:
            self.training_set = LineDataset(encoded.ids, encoded.offsets, options.bptt)
            self.train_sampler = EpochBatchSampler(
                self.training_set.sizes,
                options.max_batch_tokens,
                max_size=options.batch_size,
                seed=self.seed,
                rank=rank,
                world=world,
            )
        loader = self._windows(self.training_set, self.train_sampler)
        self.checkpointer.add_recoverable("dataloader-TRAIN", loader)
        return loader

    def validation_text(self, encoded: Any) -> SaveableDataLoader:
        """Loader of this process's share of the validation text.

        Arguments
        ---------
        encoded : Encoded
            The text.

        Returns
        -------
        SaveableDataLoader
        """
        rank, world = self.ranks
        self._validated = encoded
        groups = self.reading(int(self.hparams.valid_streams)).groups(encoded)
        mine = [g.share(rank, world) for g in groups] if self.carry else groups[rank::world]
        windows = WindowDataset(mine, int(self.hparams.eval_window))
        return self._windows(windows, InOrder(len(windows)))

    def _windows(self, dataset: Any, sampler: Any) -> SaveableDataLoader:
        return SaveableDataLoader(
            dataset,
            batch_size=None,
            sampler=sampler,
            num_workers=getattr(self.hparams, "num_workers", 0),
            # A loader without a generator of its own draws from the global one whenever it is
            # iterated, and a resumed training would then go on with other random numbers.
            generator=torch.Generator().manual_seed(self.seed),
        )

    # ---- one window -------------------------------------------------------------------------

    def compute_forward(self, batch: Any, stage: Stage) -> TextLoss:
        """Reads a window, from where the one before has ended.

        Arguments
        ---------
        batch : Window
            What is read.
        stage : Stage
            Training, validation or test.

        Returns
        -------
        TextLoss
        """
        window = batch.to(self.device)
        training = stage == Stage.TRAIN
        before = self.carried.to(self.device) if training else self._read
        found = self.network("model", stage)(
            window.inputs, None if window.first else before, window.targets, window.lengths
        )
        if training:
            self.carried.value = detached(found.hidden) if self.carry else None
        else:
            self._read = detached(found.hidden)
        return found

    def compute_objectives(self, predictions: TextLoss, batch: Any, stage: Stage) -> Objective:
        """The loss, and by what it is divided.

        Arguments
        ---------
        predictions : TextLoss
            Of :meth:`compute_forward`.
        batch : Window
            What was read.
        stage : Stage
            Training, validation or test.

        Returns
        -------
        Objective
        """
        total = predictions.losses.sum()
        if predictions.auxiliary is not None:
            total = total + predictions.auxiliary
        count = float((batch.targets != IGNORE).sum())
        rows = float(len(batch.targets))
        return Objective(total, count, rows if self.hparams.loss_per == "stream" else None)

    def fit_batch(self, batch: Any) -> torch.Tensor:
        """Trains on a window; what was not finite is not carried on.

        Arguments
        ---------
        batch : Window
            This process's share.

        Returns
        -------
        torch.Tensor
            The loss over all processes, detached.
        """
        loss = super().fit_batch(batch)
        if not math.isfinite(loss):
            self.carried.value = None
        return loss

    # ---- a stage ----------------------------------------------------------------------------

    def on_stage_start(self, stage: Stage, epoch: int | None = None) -> None:
        """Begins a stage, and a text.

        Arguments
        ---------
        stage : Stage
            Training, validation or test.
        epoch : int or None
            Number of the epoch.
        """
        super().on_stage_start(stage, epoch)
        if stage != Stage.TRAIN:
            self._read = None
        elif self.step == 0:
            # Otherwise the epoch had begun before the interruption.
            self.carried.value = None

    def validation_figures(self) -> dict[str, float]:
        """Loss per token, perplexity per word and bits per character of the validation text.

        Returns
        -------
        dict
        """
        loss, _ = self.gathered()
        encoded = self._validated
        count = len(encoded.ids)
        text = encoded.text
        found = TextScore(
            count, text.words, text.characters, encoded.unknown, loss * count, encoded.spelling
        )
        figures = found.figures()
        return {name: figures[name] for name in ("loss", "perplexity", "bits per character")}

    def test(self, encoded: Any, folder: Path, train: Any = None) -> dict[str, float]:
        """Tests the best checkpoint.

        Arguments
        ---------
        encoded : Encoded
            The text.
        folder : Path
            Where ``words_NAME.tsv``, with the log-probability of every word, goes.
        train : Encoded or None
            The training text, from which dynamic evaluation with ``dynamic_rms`` learns how large
            gradients are.

        Returns
        -------
        dict
            Figures.

        Raises
        ------
        FileNotFoundError
            If nothing has been trained.
        """
        self.find_best()
        self.on_evaluate_start(min_key=self.criterion)
        self.modules.eval()
        model = self.network("model", Stage.TEST)
        with self.evaluation_ctx:
            part = log_probabilities(model, encoded, self.reading(), share=self.ranks)
        values = torch.tensor(sum_over_ranks(part.tolist(), self.device), dtype=torch.float64)
        figures = score(encoded, values).figures()
        learner = self._learner(model, train)
        if learner is not None:
            with self.evaluation_ctx:
                learnt = log_probabilities(model, encoded, self.reading(), learner)
            found = score(encoded, learnt).figures()
            figures |= {f"dynamic {n}": found[n] for n in ("perplexity", "bits per character")}
        if if_main_process():
            name = encoded.text.name
            path = folder / f"words_{name}.tsv"
            write_word_scores(path, encoded, self.tokens, values)
            dynamic = (
                f" (dynamic: {figures['dynamic perplexity']:.2f})" if learner is not None else ""
            )
            print(
                f"{name}: perplexity {figures['perplexity']:.2f} per word{dynamic}, "
                f"{figures['bits per character']:.3f} bits per character, "
                f"{figures['tokens']} tokens predicted, {figures['words']} words, "
                f"{figures['unknown']} unknown ({path})"
            )
        return figures

    def _learner(self, model: torch.nn.Module, train: Any) -> Adapted | None:
        options = self.hparams
        lr = float(getattr(options, "dynamic_lr", 0.0) or 0.0)
        if not lr:
            return None
        dynamic = Dynamic(
            lr,
            float(getattr(options, "dynamic_decay", 0.0)),
            int(getattr(options, "dynamic_window", 20)),
            bool(getattr(options, "dynamic_rms", False)),
        )
        squares = None
        if dynamic.rms and train is not None:
            rows = streams(train.ids, min(100, len(train.ids)), equal=True)
            squares = gradient_squares(model, rows.windows(dynamic.window))
        return Adapted(model, dynamic, squares)
