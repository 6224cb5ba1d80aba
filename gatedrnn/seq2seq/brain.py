"""The Brain of encoder-decoder models: teacher forcing in training, search in evaluation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import speechbrain as sb
import torch

from gatedrnn.seq2seq.encoder import collate_sources
from gatedrnn.seq2seq.model import TeacherForcingOutput
from gatedrnn.seq2seq.search import SearchOptions, greedy, search
from gatedrnn.tokens import EOS, IGNORE
from gatedrnn.training.batching import Batch, pad
from gatedrnn.training.brain import Brain, Objective

Stage = sb.Stage


def collate(items: Sequence[Mapping[str, Any]]) -> Batch:
    """Collates sources, each with one target sequence or several.

    Items have ``id``, ``number`` (index in the dataset), ``source`` (a tensor) and ``targets`` (a
    list of token lists, without ``<eos>``). The batch has ``id``, ``numbers``, ``source`` and
    ``lengths`` (see :func:`collate_sources`), ``targets`` with ``<eos>``, then -100, (targets,
    time), and ``rows``, the index of each target's item in the batch, (targets,).
    """
    source, lengths = collate_sources([item["source"] for item in items])
    targets = [torch.tensor([*target, EOS]) for item in items for target in item["targets"]]
    return Batch(
        [item["id"] for item in items],
        numbers=[item["number"] for item in items],
        source=source,
        lengths=lengths,
        targets=pad(targets, IGNORE)[0],
        rows=torch.tensor([i for i, item in enumerate(items) for _ in item["targets"]]),
    )


@dataclass(frozen=True)
class ScheduledSampling:
    """Schedule of scheduled sampling (Bengio et al. 2015), by the number of the epoch.

    Arguments
    ---------
    first : int
        First epoch with sampling, at least 1.
    every : int
        Epochs between two increments, at least 1.
    step : float
        Increment of the probability, also at the first epoch; in (0, 1].
    most : float
        Maximum probability, in [0, 1]; 0 disables sampling.

    Example
    -------
    >>> schedule = ScheduledSampling(first=3, every=2, step=0.1, most=0.25)
    >>> [schedule(epoch) for epoch in (2, 3, 4, 5, 7, 99)]
    [0.0, 0.1, 0.1, 0.2, 0.25, 0.25]
    """

    first: int = 1
    every: int = 5
    step: float = 0.05
    most: float = 0.25

    def __post_init__(self) -> None:
        if self.first < 1 or self.every < 1:
            raise ValueError(
                f"first and every must be at least 1, not {self.first} and {self.every}"
            )
        if not (0.0 < self.step <= 1.0 and 0.0 <= self.most <= 1.0):
            raise ValueError(
                f"step must be in (0, 1] and most in [0, 1], not {self.step} and {self.most}"
            )

    def __call__(self, epoch: int) -> float:
        """Probability that a token of the reference is replaced by a sampled one in an epoch."""
        times = max(0, (epoch - self.first) // self.every + 1) if epoch >= self.first else 0
        return min(self.most, times * self.step)


class Seq2SeqBrain(Brain):
    """Trains an :class:`~gatedrnn.seq2seq.model.EncoderDecoder` by cross-entropy.

    Validation decodes greedily; tests decode greedily and with the given search.

    Arguments
    ---------
    search : SearchOptions
        Search of the tests.
    modules : Mapping
        ``model``, an :class:`~gatedrnn.seq2seq.model.EncoderDecoder`.
    hparams : Mapping
        Besides those of :class:`~gatedrnn.training.brain.Brain`: ``label_smoothing``,
        fraction of the probability that is spread over all tokens, in [0, 1); optionally
        ``scheduled_sampling``, a :class:`ScheduledSampling`.
    **kwargs : Any
        The other arguments of :class:`~gatedrnn.training.brain.Brain`.

    Raises
    ------
    ValueError
        If ``label_smoothing`` is out of its range.
    """

    higher_is_better = True
    collate = staticmethod(collate)

    def __init__(self, search: SearchOptions, hparams: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(hparams=hparams, **kwargs)
        self.search = search
        smoothing = self.hparams.label_smoothing
        if not 0.0 <= smoothing < 1.0:
            raise ValueError(f"label_smoothing must be in [0, 1), not {smoothing}")

    @abstractmethod
    def text(self, tokens: Sequence[int]) -> str:
        """Text of output tokens, without ``<eos>``."""

    def compute_forward(self, batch: Batch, stage: Stage) -> Any:
        """Runs the model under teacher forcing, with scheduled sampling in training."""
        batch = batch.to(self.device)
        schedule = getattr(self.hparams, "scheduled_sampling", None)
        probability = schedule(self.epoch) if schedule and stage == Stage.TRAIN else 0.0
        network = self.network("model", stage)
        return network(batch.source, batch.lengths, batch.targets, batch.rows, probability)

    def compute_objectives(self, predictions: Any, batch: Batch, stage: Stage) -> Objective:
        """Cross-entropy, summed over the target tokens; outside training also decodes."""
        training = stage == Stage.TRAIN
        smoothing = self.hparams.label_smoothing if training else 0.0
        total = predictions.cross_entropy(batch.targets, smoothing)
        if not training:
            self.results += self._decode(predictions, batch, stage)
        return Objective(total, float((batch.targets != IGNORE).sum()))

    def _decode(
        self, predictions: TeacherForcingOutput, batch: Batch, stage: Stage
    ) -> list[dict[str, Any]]:
        """``id``, ``number`` and ``greedy`` text of each item, in tests also the ``best``."""
        model = self.network("model", Stage.TEST)
        hypotheses = greedy(model, predictions.encoded, self.search)
        results = [
            {"id": name, "number": number, "greedy": self.text(hypothesis.tokens)}
            for name, number, hypothesis in zip(batch.id, batch.numbers, hypotheses, strict=True)
        ]
        if stage == Stage.TEST:
            if self.search.beam_size > 1:
                nbest = search(model, predictions.encoded, self.search)
                hypotheses = [hypotheses[0] for hypotheses in nbest]
            for result, hypothesis in zip(results, hypotheses, strict=True):
                result["best"] = self.text(hypothesis.tokens)
        return results
