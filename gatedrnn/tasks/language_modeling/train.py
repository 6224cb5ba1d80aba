"""Training of language models, on windows of running text or line by line."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import speechbrain as sb
import torch
from speechbrain.dataio.dataloader import SaveableDataLoader
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger
from torch import nn

from gatedrnn.bundle.kind import arguments_of
from gatedrnn.data.report import Report
from gatedrnn.modules.network_options import parameters
from gatedrnn.tasks.language_modeling.bundle import (
    TRAINING_ONLY,
    LanguageModelConfig,
    TextModelSpec,
)
from gatedrnn.tasks.language_modeling.data import (
    Corpus,
    InOrder,
    LineDataset,
    WindowDataset,
    streams,
)
from gatedrnn.tasks.language_modeling.evaluation import (
    AdaptiveModel,
    DynamicEvaluation,
    EvaluationOptions,
    TextScore,
    detached,
    gradient_squares,
    log_probabilities,
    score,
    write_word_scores,
)
from gatedrnn.tasks.language_modeling.model import TextLoss, TextModel
from gatedrnn.tokens import EOS_NAME, IGNORE, learn_once, read_text_tokens
from gatedrnn.training.batching import EpochBatchSampler
from gatedrnn.training.brain import Brain, Objective
from gatedrnn.training.checkpoints import CarriedState
from gatedrnn.training.distributed import sum_over_ranks
from gatedrnn.training.fit import Training, size_within_budget, train
from gatedrnn.training.log import Curve

logger = get_logger(__name__)

Stage = sb.Stage

#: What the sum of a window's losses is divided by.
LOSS_PER = ("token", "stream")


class LanguageModelBrain(Brain):
    """Trains a :class:`~gatedrnn.tasks.language_modeling.model.TextModel`.

    With ``carry_state`` the training text is cut into as many streams as there are rows in the
    batches of all processes; they are read side by side, ``bptt`` tokens at a time, and the state
    is carried from window to window, gradients are not. Otherwise each line is read by itself.

    Of hparams it takes, besides those of :class:`~gatedrnn.training.brain.Brain`:

    - ``carry_state``;
    - ``batch_size``: streams of one process, or maximum number of lines of its batch;
    - ``bptt``: tokens of a stream in a window, or longest line that is not cut;
    - ``max_batch_tokens``: longest line times number of lines of one process's batch;
    - ``loss_per``: ``"token"``: gradients of the mean over tokens; ``"stream"``: of the sum over a
      stream's window, averaged over the streams, as in the papers' code;
    - ``valid_streams`` and ``eval_window``: see ``EvaluationOptions``; tests read one stream;
    - optionally ``dynamic_lr`` (dynamic evaluation, if above 0), ``dynamic_decay``,
      ``dynamic_window`` and ``dynamic_rms``: see ``DynamicEvaluation``.
    """

    valid_metric = "perplexity"

    def __init__(self, tokens: Any, hparams: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(hparams=hparams, **kwargs)
        if self.hparams.loss_per not in LOSS_PER:
            raise ValueError(
                f"loss_per must be {' or '.join(LOSS_PER)}, not {self.hparams.loss_per!r}"
            )
        self.tokens = tokens
        self.carry = bool(self.hparams.carry_state)
        #: State in training; validation within an epoch does not change it.
        self.carried = CarriedState()
        self._read: Any = None
        self._validated: Any = None
        self.checkpointer.add_recoverable("carried", self.carried)

    # ---- what is read -----------------------------------------------------------------------

    def evaluation_options(self, streams: int = 1) -> EvaluationOptions:
        """Options of evaluation; ``streams`` if the state is carried over."""
        return EvaluationOptions(self.carry, streams, int(self.hparams.eval_window))

    def training_text(self, encoded: Any) -> SaveableDataLoader:
        """Loader of this process's share of the training text."""
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
        """Loader of this process's share of the validation text."""
        rank, world = self.ranks
        self._validated = encoded
        groups = self.evaluation_options(int(self.hparams.valid_streams)).groups(encoded)
        mine = [g.share(rank, world) for g in groups] if self.carry else groups[rank::world]
        windows = WindowDataset(mine, int(self.hparams.eval_window))
        return self._windows(windows, InOrder(len(windows)))

    def _windows(self, dataset: Any, sampler: Any) -> SaveableDataLoader:
        return SaveableDataLoader(
            dataset,
            batch_size=None,
            sampler=sampler,
            num_workers=getattr(self.hparams, "num_workers", 0),
            # Without its own generator a loader uses the global one in every epoch, and a resumed
            # training would have other random numbers.
            generator=torch.Generator().manual_seed(self.seed),
        )

    # ---- one window -------------------------------------------------------------------------

    def compute_forward(self, batch: Any, stage: Stage) -> TextLoss:
        """Losses of a window, from the final state of the window before."""
        window = batch.to(self.device)
        training = stage == Stage.TRAIN
        before = self.carried.to(self.device) if training else self._read
        output = self.network("model", stage)(
            window.inputs, None if window.first else before, window.targets, window.lengths
        )
        if training:
            self.carried.value = detached(output.hidden) if self.carry else None
        else:
            self._read = detached(output.hidden)
        return output

    def compute_objectives(self, predictions: TextLoss, batch: Any, stage: Stage) -> Objective:
        """Sum of the losses, with the number that it is divided by."""
        total = predictions.losses.sum()
        if predictions.auxiliary is not None:
            total = total + predictions.auxiliary
        count = float((batch.targets != IGNORE).sum())
        rows = float(len(batch.targets))
        return Objective(total, count, rows if self.hparams.loss_per == "stream" else None)

    def fit_batch(self, batch: Any) -> torch.Tensor:
        """Trains on a window; after a loss that is not finite the state is reset."""
        loss = super().fit_batch(batch)
        if not math.isfinite(loss):
            self.carried.value = None
        return loss

    # ---- a stage ----------------------------------------------------------------------------

    def on_stage_start(self, stage: Stage, epoch: int | None = None) -> None:
        """Starts a stage; resets the state, unless an epoch is resumed."""
        super().on_stage_start(stage, epoch)
        if stage != Stage.TRAIN:
            self._read = None
        elif self.step == 0:
            self.carried.value = None

    def validation_metrics(self) -> dict[str, float]:
        """Loss per token, perplexity per word and bits per character of the validation text."""
        loss, _ = self.gathered()
        encoded = self._validated
        count = len(encoded.ids)
        text = encoded.text
        text_score = TextScore(
            count, text.words, text.characters, encoded.unknown, loss * count, encoded.unknown_nats
        )
        metrics = text_score.metrics()
        return {name: metrics[name] for name in ("loss", "perplexity", "bits per character")}

    def test(self, encoded: Any, folder: Path, train: Any = None) -> dict[str, float]:
        """Tests the best checkpoint on a text, and writes ``words_NAME.tsv`` to the folder.

        Dynamic evaluation with ``dynamic_rms`` scales by the gradients of ``train``.
        """
        self.find_best()
        self.on_evaluate_start(min_key=self.valid_metric)
        self.modules.eval()
        model = self.network("model", Stage.TEST)
        with self.evaluation_ctx:
            part = log_probabilities(model, encoded, self.evaluation_options(), share=self.ranks)
        values = torch.tensor(sum_over_ranks(part.tolist(), self.device), dtype=torch.float64)
        metrics = score(encoded, values).metrics()
        learner = self._learner(model, train)
        if learner is not None:
            with self.evaluation_ctx:
                learnt = log_probabilities(model, encoded, self.evaluation_options(), learner)
            adapted = score(encoded, learnt).metrics()
            metrics |= {f"dynamic {n}": adapted[n] for n in ("perplexity", "bits per character")}
        if if_main_process():
            name = encoded.text.name
            path = folder / f"words_{name}.tsv"
            write_word_scores(path, encoded, self.tokens, values)
            dynamic = (
                f" (dynamic: {metrics['dynamic perplexity']:.2f})" if learner is not None else ""
            )
            print(
                f"{name}: perplexity {metrics['perplexity']:.2f} per word{dynamic}, "
                f"{metrics['bits per character']:.3f} bits per character, "
                f"{metrics['tokens']} tokens predicted, {metrics['words']} words, "
                f"{metrics['unknown']} unknown ({path})"
            )
        return metrics

    def _learner(self, model: torch.nn.Module, train: Any) -> AdaptiveModel | None:
        options = self.hparams
        lr = float(getattr(options, "dynamic_lr", 0.0) or 0.0)
        if not lr:
            return None
        dynamic = DynamicEvaluation(
            lr,
            float(getattr(options, "dynamic_decay", 0.0)),
            int(getattr(options, "dynamic_window", 20)),
            bool(getattr(options, "dynamic_rms", False)),
        )
        squares = None
        if dynamic.rms and train is not None:
            rows = streams(train.ids, min(100, len(train.ids)), equal=True)
            squares = gradient_squares(model, rows.windows(dynamic.window))
        return AdaptiveModel(model, dynamic, squares)


class LanguageModelTraining(Training):
    """A training on a :class:`~gatedrnn.tasks.language_modeling.data.Corpus`.

    Of the YAML it takes ``tokens`` (and ``pieces``, ``min_count``, ``vocabulary``), ``model``, and
    optionally ``parameters``: the maximum number of parameters, in place of ``hidden_size``.
    """

    task = "language_modeling"
    brain_class = LanguageModelBrain
    curve = Curve("perplexity", "perplexity per word", None)

    def make_tokens(self) -> None:
        """Learns the tokens of the training text."""
        kind, size = self.hparams.get("tokens", "words"), self.hparams.get("vocabulary")
        learn_once(
            self.folder / "tokens.json",
            self.data.train.lines,
            kind,
            EOS_NAME,
            pieces=int(self.hparams.get("pieces", 1000)),
            min_count=int(self.hparams.get("min_count", 1)),
            max_size=None if size is None else int(size),
        )

    def prepare(self) -> None:
        """Encodes all texts."""
        self.tokens = read_text_tokens(self.folder / "tokens.json")
        self.texts = (self.data.valid, *self.data.tests)
        self.encoded = {
            text.name: self.tokens.encode_text(text) for text in (self.data.train, *self.texts)
        }
        self.train = self.encoded[self.data.train.name]
        if if_main_process():
            self._report_unknown()

    def _report_unknown(self) -> None:
        """Logs how much of each text is unknown, and warns if ``<unk>`` cannot be learned."""
        for name, text in self.encoded.items():
            if text.unknown:
                percent = 100 * text.unknown / max(1, len(text.ids))
                logger.info(
                    f"{name}: {text.unknown} of {len(text.ids)} tokens unknown ({percent:.2f} %)"
                )
        unseen = not bool((self.train.ids == self.tokens.unk).any())
        if unseen and any(text.unknown for text in self.encoded.values()):
            logger.warning(
                "The training text has no unknown word, so that their probability is not learnt; "
                "with min_count: 2 words that occur once take their part"
            )

    def make_model(self) -> nn.Module:
        """Makes the model, and notes the arguments that it is made with."""
        model, self.arguments = make_model(self.hparams, len(self.tokens))
        return model

    def brain_options(self) -> dict[str, Any]:
        """The tokens."""
        return {"tokens": self.tokens}

    def describe(self) -> dict[str, Any]:
        """The model's arguments and how it reads text."""
        arguments_of(self.hparams["model"], TextModel, "model")
        options = {k: v for k, v in self.arguments.items() if k not in TRAINING_ONLY}
        carry = bool(self.hparams["carry_state"])
        spec = TextModelSpec(len(self.tokens), options, carry, self.data.train.ends)
        return LanguageModelConfig(spec).description()

    def valid_loader(self, brain: LanguageModelBrain) -> SaveableDataLoader:
        """Loader of the validation text."""
        return brain.validation_text(self.encoded[self.data.valid.name])

    def train_loader(self, brain: LanguageModelBrain) -> SaveableDataLoader:
        """Loader of the training text."""
        return brain.training_text(self.train)

    def test(self, brain: LanguageModelBrain, valid_loader: Any) -> dict[str, dict[str, Any]]:
        """Tests the validation text and the test texts."""
        return {
            text.name: brain.test(self.encoded[text.name], self.folder, self.train)
            for text in self.texts
        }

    def results(self) -> dict[str, Any]:
        """Sizes and kind of the recurrence."""
        return {
            "tokens": self.tokens.kind,
            "vocabulary": len(self.tokens),
            "parameters of the recurrence": parameters(self.model.rnn),
            "hidden_size": self.model.rnn.hidden_size,
            "model": str(self.model.rnn.layer(0).cell),
        }


def make_model(hparams: Mapping[str, Any], vocabulary: int) -> tuple[nn.Module, dict[str, Any]]:
    """Makes the model that a YAML describes, with the size that meets its budget."""
    make = hparams["model"]
    size = size_within_budget(hparams, lambda n: make(vocabulary, hidden_size=n))
    arguments = {**(make.keywords if isinstance(make, functools.partial) else {}), **size}
    return make(vocabulary, **size), arguments


def train_lm(
    arguments: Sequence[str], read: Callable[[Mapping[str, Any], Report], Corpus]
) -> dict[str, Any]:
    """Trains and tests a language model; returns the metrics of every test text.

    ``arguments`` are those of the command line: a YAML file, and what to override in it. ``read``
    reads the corpus, given the YAML's values and a report for issues.
    """
    return train(arguments, LanguageModelTraining, read)
