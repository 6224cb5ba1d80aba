"""Self-critical training (Rennie et al. 2017, arXiv 1612.00563): captions are rewarded as wholes.

A caption is sampled from the captioner, and made more probable by how much better it scores than a
baseline: the captioner's own greedy caption, or the other samples (Luo 2020, arXiv 2003.09971).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gatedrnn.tasks.captioning.metrics.ngrams import Cider, CiderVector, DocumentFrequencies, Words

#: What the reward of a sample is compared with.
BASELINES = ("greedy", "others")
#: Ends captions also for the reward: otherwise it pays to stop in the midst of a phrase.
END = "<eos>"


class CaptionReward:
    """CIDEr-D of captions.

    Arguments
    ---------
    references : sequence of sequence of sequence of str
        Words of the references of each item.
    ended : bool
        Whether the end of a caption counts as a word. Captions that were cut off have none.
    frequencies : DocumentFrequencies or None
        By which n-grams are weighed; None for those of ``references``.

    Example
    -------
    >>> references = [["a dog runs".split()], ["two cats sleep".split()]]
    >>> reward = CaptionReward(references)
    >>> whole, cut = reward(0, "a dog runs".split()), reward(0, "a dog runs".split(), cut=True)
    >>> round(whole, 6), cut < whole, reward(1, "a dog runs".split()) < 0.1
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
        # Filled as items are met: of a large corpus they take seconds.
        self._vectors: dict[int, list[CiderVector]] = {}

    def _words(self, words: Words, cut: bool = False) -> Words:
        return (*words, END) if self.ended and not cut else tuple(words)

    def __call__(self, number: int, words: Words, cut: bool = False) -> float:
        """Scores a caption.

        Arguments
        ---------
        number : int
            Which item it describes.
        words : sequence of str
            The caption.
        cut : bool
            Whether it did not end by itself.

        Returns
        -------
        float
            From 0 to 10.
        """
        known = self._vectors.get(number)
        if known is None:
            known = [self.cider.vector(words) for words in self._references[number]]
            self._vectors[number] = known
        return self.cider.score(self.cider.vector(self._words(words, cut)), known)


def advantages(rewards: torch.Tensor, greedy: torch.Tensor | None = None) -> torch.Tensor:
    """By how much samples are better than their baseline.

    Arguments
    ---------
    rewards : torch.Tensor
        Of the samples of each item, (items, samples).
    greedy : torch.Tensor or None
        Of each item's greedy caption, (items,); None to compare with the mean of the item's other
        samples.

    Returns
    -------
    torch.Tensor
        (items, samples).

    Raises
    ------
    ValueError
        If there are no other samples.

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
    """What to minimise: its gradient is, on average, that of the negative expected reward.

    Arguments
    ---------
    log_probs : torch.Tensor
        Log-probabilities of sampled captions, with gradients.
    gains : torch.Tensor
        Of :func:`advantages`, of the same shape.

    Returns
    -------
    torch.Tensor
        Sum, a scalar.

    Example
    -------
    >>> policy_loss(torch.tensor([-1.0, -2.0]), torch.tensor([0.5, -1.0]))
    tensor(-1.5000)
    """
    return -(gains.detach() * log_probs).sum()
