"""Self-critical training (Rennie et al. 2017, arXiv 1612.00563): policy gradients of CIDEr-D.

Captions are sampled; each becomes more probable by the difference between its reward and that of a
baseline: the greedy caption, or the other samples (Luo 2020, arXiv 2003.09971).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch

from gatedrnn.data.config import Choices, Config, Range
from gatedrnn.tasks.captioning.metrics.ngrams import (
    Cider,
    CiderVector,
    DocumentFrequencies,
    Words,
)

#: Rewarded like a word: otherwise captions that stop in the middle of a phrase pay.
END = "<eos>"


@dataclass(frozen=True)
class SelfCriticalOptions(Config):
    """Options of self-critical training; keys of a YAML have ``self_critical_`` before them.

    Arguments
    ---------
    first_epoch : int or None
        First self-critical epoch (``self_critical_from``); None for never.
    samples : int
        Samples of each item; at least 2 with the baseline ``"others"``.
    baseline : str
        ``"greedy"`` (the greedy caption, without dropout) or ``"others"`` (mean of the other
        samples).
    rate : float
        Factor of the learning rate.
    dropout : bool
        Whether dropout stays on.
    """

    first_epoch: Annotated[int, Range(1, 1 << 31)] | None
    samples: Annotated[int, Range(1, 1000)]
    baseline: Annotated[str, Choices("greedy", "others")]
    rate: float
    dropout: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.baseline == "others" and self.samples < 2:
            raise ValueError(
                "samples must be at least 2 with the baseline others, of which there would be "
                f"none, not {self.samples}"
            )

    @classmethod
    def of_training(cls, hparams: Mapping[str, Any]) -> SelfCriticalOptions:
        """The options of a YAML."""
        keys = {name: f"self_critical_{name}" for name in cls.__dataclass_fields__}
        keys["first_epoch"] = "self_critical_from"
        values = {name: hparams[key] for name, key in keys.items()}
        return cls.from_dict(values, "self_critical")


class CaptionReward:
    """CIDEr-D of single captions, as a reward.

    Arguments
    ---------
    references : sequence of sequence of sequence of str
        Words of the references of each item.
    ended : bool
        Whether the end of a caption counts as a word.
    frequencies : DocumentFrequencies or None
        None for those of ``references``.

    Example
    -------
    >>> references = [["a dog runs".split()], ["two cats sleep".split()]]
    >>> reward = CaptionReward(references)
    >>> ended, cut = reward(0, "a dog runs".split()), reward(0, "a dog runs".split(), cut=True)
    >>> round(ended, 6), cut < ended, reward(1, "a dog runs".split()) < 0.1
    (10.0, True, True)
    """

    def __init__(
        self,
        references: Sequence[Sequence[Words]],
        ended: bool = True,
        frequencies: DocumentFrequencies | None = None,
    ) -> None:
        self.ended = ended
        self._references = [[self._words(words) for words in item] for item in references]
        self.cider = Cider(frequencies or DocumentFrequencies.of(self._references))
        # Filled when items occur: those of a large corpus take seconds.
        self._vectors: dict[int, list[CiderVector]] = {}

    def _words(self, words: Words, cut: bool = False) -> Words:
        return (*words, END) if self.ended and not cut else tuple(words)

    def __call__(self, number: int, words: Words, cut: bool = False) -> float:
        """Reward from 0 to 10 of a caption of an item; ``cut``: it did not end by itself."""
        vectors = self._vectors.get(number)
        if vectors is None:
            vectors = [self.cider.vector(words) for words in self._references[number]]
            self._vectors[number] = vectors
        return self.cider.score(self.cider.vector(self._words(words, cut)), vectors)


def advantages(rewards: torch.Tensor, greedy: torch.Tensor | None = None) -> torch.Tensor:
    """Differences between the samples' rewards and their baseline, (items, samples).

    rewards: Of the samples of each item, (items, samples).
    greedy: Of each item's greedy caption, (items,); None for the mean of the item's other samples.

    Example
    -------
    >>> advantages(torch.tensor([[1.0, 4.0, 1.0]])).tolist()
    [[-1.5, 3.0, -1.5]]
    >>> advantages(torch.tensor([[1.0, 4.0]]), torch.tensor([2.0])).tolist()
    [[-1.0, 2.0]]
    """
    if greedy is not None:
        return rewards - greedy.unsqueeze(1)
    count = rewards.shape[1]
    if count < 2:
        raise ValueError("the baseline of other samples needs at least 2 samples of each item")
    return rewards - (rewards.sum(1, keepdim=True) - rewards) / (count - 1)


def policy_loss(log_probs: torch.Tensor, gains: torch.Tensor) -> torch.Tensor:
    """Loss whose gradient is, on average, that of the negative expected reward; a sum.

    log_probs: Log-probabilities of sampled captions, with gradients, (samples,).
    gains: Of :func:`advantages`, (samples,).

    Example
    -------
    >>> policy_loss(torch.tensor([-1.0, -2.0]), torch.tensor([0.5, -1.0]))
    tensor(-1.5000)
    """
    return -(gains.detach() * log_probs).sum()
