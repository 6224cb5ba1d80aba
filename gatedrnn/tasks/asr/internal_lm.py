"""The internal language model of a recognizer, whose log-probabilities can be subtracted.

A language model that is added to a recognizer counts twice what the recognizer has already learned
from its transcripts. Attention and transducer models estimate that part without the audio (see
their ``internal_log_probs``). The tokens of CTC do not depend on each other given the audio: there
it is how frequent each token is, the mean of its posterior over the frames of some data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from gatedrnn.data.files import write_atomically
from gatedrnn.tokens import BLANK

#: File of a label prior in a training's output folder.
LABEL_PRIOR = "label_prior.json"
#: Minimum probability: a hypothesis must not win by a token that never occurred.
_FLOOR = 1e-8
#: Hypotheses that are scored at once, which bounds the memory.
_ROWS = 64


class LabelPrior:
    """Unigram probabilities of the tokens of CTC, accumulated over posteriors.

    Example
    -------
    >>> prior = LabelPrior(3)
    >>> posteriors = torch.tensor([[[0.5, 0.4, 0.1], [0.9, 0.05, 0.05], [0.1, 0.1, 0.8]]])
    >>> prior.add(posteriors.log(), torch.tensor([2]))
    >>> prior.log_probs().exp().mul(100).round().tolist()
    [0.0, 75.0, 25.0]
    """

    def __init__(self, vocabulary: int) -> None:
        self.sums = torch.zeros(vocabulary, dtype=torch.float64)

    def add(self, log_probs: torch.Tensor, counts: torch.Tensor) -> None:
        """Adds log_probs (batch, frames, tokens) up to counts (batch,)."""
        for scores, count in zip(log_probs, counts.tolist(), strict=True):
            self.sums += scores[:count].detach().double().exp().sum(0).cpu()

    def log_probs(self) -> torch.Tensor:
        """Natural logarithms of the probabilities, (tokens,), double; minus infinity for blank."""
        if not bool(self.sums.any()):
            raise ValueError("there are no frames to estimate the probabilities of tokens from")
        sums = self.sums.index_fill(0, torch.tensor([BLANK]), 0.0)
        prior = (sums / sums.sum()).clamp(min=_FLOOR).index_fill(0, torch.tensor([BLANK]), 0.0)
        return (prior / prior.sum()).log()


def write_label_prior(path: str | Path, log_probs: torch.Tensor) -> None:
    """Writes the log-probabilities of :meth:`LabelPrior.log_probs` as JSON."""
    write_atomically(Path(path), json.dumps({"probabilities": log_probs.exp().tolist()}) + "\n")


@torch.no_grad()
def internal_log_probs(
    model: nn.Module,
    sequences: Sequence[Sequence[int]],
    label_prior: torch.Tensor | None = None,
) -> torch.Tensor:
    """Log-probabilities of token sequences by a recognizer's internal language model.

    Arguments
    ---------
    model : CTCModel or HeadModel
        The recognizer; its mode is restored.
    sequences : sequence of sequence of int
        Tokens, without blanks.
    label_prior : torch.Tensor or None
        Of :meth:`LabelPrior.log_probs`, for head ``ctc``.

    Returns
    -------
    torch.Tensor
        Natural logarithms, double, on the CPU, (sequences,); those of attention include the end.

    Raises
    ------
    ValueError
        If there is no label prior for head ``ctc``.

    Example
    -------
    >>> from gatedrnn.tasks.asr.heads import CTCModel, TransducerModel
    >>> acoustic = CTCModel(9, input_size=6, num_layers=1, hidden_size=8, proj_size=4)
    >>> model = TransducerModel(acoustic, 9, hidden_size=8, joint_size=8)
    >>> internal_log_probs(model, [(3, 4, 5), ()]).shape
    torch.Size([2])
    """
    if model.head == "ctc":
        if label_prior is None:
            raise ValueError(
                "the internal language model of head ctc is the unigram probability of its "
                "tokens: it must be given (label_prior)"
            )
        prior = label_prior.tolist()
        sums = [math.fsum(prior[token] for token in sequence) for sequence in sequences]
        return torch.tensor(sums, dtype=torch.float64)
    training = model.training
    model.eval()
    result = torch.zeros(len(sequences), dtype=torch.float64)
    # Similar lengths in a batch.
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
    try:
        for begin in range(0, len(order), _ROWS):
            batch = order[begin : begin + _ROWS]
            result[batch] = model.internal_log_probs(*_padded(model, [sequences[i] for i in batch]))
    finally:
        model.train(training)
    return result


def _padded(
    model: nn.Module, sequences: Sequence[Sequence[int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens padded by one that is not the blank, (batch, tokens), and lengths, (batch,)."""
    device = next(model.parameters()).device
    sizes = torch.tensor([len(sequence) for sequence in sequences], device=device)
    targets = torch.full((len(sequences), int(sizes.max())), BLANK + 1, device=device)
    for row, sequence in zip(targets, sequences, strict=True):
        row[: len(sequence)] = torch.tensor(sequence, dtype=torch.long, device=device)
    return targets, sizes
