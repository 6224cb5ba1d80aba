"""Beams of a search for captions, of many items and groups at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gatedrnn.seq2seq.search_options import CaptionSearch, allowed
from gatedrnn.tokens.vocabulary import EOS


@dataclass(frozen=True, eq=False)
class CaptionHypothesis:
    """A caption that a search has found.

    Arguments
    ---------
    tokens : tuple of int
        Its words, without ``<eos>``.
    score : float
        Log-probability of words and end, divided as ``length_penalty`` says.
    attention : torch.Tensor
        Where the decoder looked for each word, float32, (words, regions), on the CPU.
    """

    tokens: tuple[int, ...]
    score: float
    attention: torch.Tensor


class Beams:
    """Beginnings of captions, and the captions that have ended.

    A group of an item extends its beginnings by all words and keeps the best of what comes out;
    those of them that end are captions. It goes on until no beginning can become better than the
    worst caption of a full group.

    Arguments
    ---------
    items : int
        How many items there are.
    groups : int
        How many groups share an item's beams.
    options : CaptionSearch
        The rules.
    device : torch.device
        Where the scores are.
    """

    def __init__(
        self, items: int, groups: int, options: CaptionSearch, device: torch.device
    ) -> None:
        self.items, self.groups, self.options = items, groups, options
        self.size = options.beam_size // groups
        shape = (items, groups, self.size)
        #: Log-probabilities of the beginnings; minus infinity where there is none.
        self.scores = torch.full(shape, -torch.inf, dtype=torch.float64, device=device)
        self.scores[:, :, 0] = 0.0
        self.words = torch.full((*shape, 0), EOS, device=device)
        self.looked: torch.Tensor | None = None
        #: What has ended, of each item and group.
        self.ended: list[list[list[CaptionHypothesis]]] = [
            [[] for _ in range(groups)] for _ in range(items)
        ]

    @property
    def last(self) -> torch.Tensor:
        """Last word of each beginning, (items * beams,)."""
        if not self.words.shape[3]:
            return torch.full((self.scores.numel(),), EOS, device=self.words.device)
        return self.words[..., -1].flatten()

    @property
    def done(self) -> bool:
        """Whether there is no beginning left."""
        return bool(torch.isinf(self.scores).all())

    def extend(self, scores: torch.Tensor, attention: torch.Tensor) -> torch.Tensor:
        """Takes one more word everywhere.

        Arguments
        ---------
        scores : torch.Tensor
            Of the next word, (items * beams, vocabulary).
        attention : torch.Tensor
            Where the decoder looked, (items * beams, regions).

        Returns
        -------
        torch.Tensor
            The row from which each row goes on, (items * beams,).
        """
        shape = (self.items, self.groups, self.size)
        log_probs = scores.double().log_softmax(1)
        may = allowed(self.words.flatten(0, 2), scores, self.options)
        log_probs = log_probs.masked_fill(~may, -torch.inf).view(*shape, -1)
        parents, words = self._choose(log_probs)
        first = torch.arange(self.items * self.groups, device=parents.device) * self.size
        rows = (parents + first.view(self.items, self.groups, 1)).flatten()
        self.words = torch.cat(
            [self.words.flatten(0, 2)[rows].view(*shape, -1), words.unsqueeze(3)], 3
        )
        new = attention.float().unsqueeze(1)
        looked = new if self.looked is None else torch.cat([self.looked, new], 1)
        self.looked = looked[rows]
        self._end()
        return rows

    def best(self) -> list[list[CaptionHypothesis]]:
        """The captions of each item, the best one first, each once.

        Returns
        -------
        list of list of CaptionHypothesis
        """
        found = []
        for groups in self.ended:
            each = {h.tokens: h for group in groups for h in group}
            found.append(sorted(each.values(), key=lambda h: -h.score))
        return found

    def _choose(self, log_probs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The best extensions of each group: beginning (within the group) and word."""
        vocabulary = log_probs.shape[3]
        totals = self.scores.unsqueeze(3) + log_probs
        taken = totals.new_zeros(self.items, vocabulary)
        parents, words = [], []
        for group in range(self.groups):
            ranked = totals[:, group] - self.options.diversity * taken.unsqueeze(1)
            _, places = ranked.flatten(1).topk(self.size, 1)
            parents.append(torch.div(places, vocabulary, rounding_mode="floor"))
            words.append(places % vocabulary)
            self.scores[:, group] = totals[:, group].flatten(1).gather(1, places)
            there = torch.isfinite(self.scores[:, group]).to(taken.dtype)
            taken = taken.scatter_add(1, words[-1], there)
        return torch.stack(parents, 1), torch.stack(words, 1)

    def _end(self) -> None:
        """Puts captions that have ended aside, and gives up what cannot become better."""
        ends = (self.words[..., -1] == EOS) & torch.isfinite(self.scores)
        count = self.words.shape[3] - 1
        found = ends.nonzero()
        if len(found):
            kept = self.words[ends][:, :-1].tolist()
            looked = self.looked.view(*ends.shape, *self.looked.shape[1:])[ends][:, :-1].cpu()
            scores = self.scores[ends].tolist()
            for (item, group, _), words, score, where in zip(
                found.tolist(), kept, scores, looked, strict=True
            ):
                score = self.options.normalised(score, count)
                hypotheses = self.ended[item][group]
                hypotheses.append(CaptionHypothesis(tuple(words), score, where))
                hypotheses.sort(key=lambda h: -h.score)
                del hypotheses[self.size :]
        self.scores = self.scores.masked_fill(ends, -torch.inf)
        highest = self.scores.amax(2).tolist()
        for item, groups in enumerate(self.ended):
            for group, hypotheses in enumerate(groups):
                if len(hypotheses) == self.size:
                    # Log-probabilities only fall, and dividing by more raises what is below zero.
                    reach = self.options.normalised(highest[item][group], self.options.max_length)
                    if hypotheses[-1].score >= reach:
                        self.scores[item, group] = -torch.inf
