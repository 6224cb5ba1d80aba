"""What a recogniser has learnt of the language by itself: its internal language model.

A language model that is added to a recogniser counts twice what the recogniser has already learnt
from its transcripts. That part can be estimated by taking away what was heard, and subtracted:

- attention: the decoder runs with a context vector of zeros, before and after its recurrence
  (Meng et al. 2021, "Internal language model estimation for domain-adaptive end-to-end speech
  recognition", SLT);
- transducer: the joint network meets the prediction network with an output of zeros of the
  encoder; the blank is taken out, and the rest made to sum to one (Variani et al. 2020, "Hybrid
  autoregressive transducer (HAT)", ICASSP; Meng et al. 2021). It knows no end;
- connectionist temporal classification: its tokens do not depend on each other, given what was
  heard. What is left is how frequent each is: the mean of its posterior over the frames of some
  data, without the blank.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from gatedrnn.data.files import write_atomically
from gatedrnn.tasks.asr.heads.attention import AttentionModel
from gatedrnn.tasks.asr.heads.base import shifted
from gatedrnn.tasks.asr.heads.transducer import TransducerModel
from gatedrnn.tasks.asr.model import CTCModel
from gatedrnn.tokens import BLANK

#: File of a label prior in a training's output folder.
LABEL_PRIOR = "label_prior.json"
#: No token is less probable: a hypothesis must not win for a token that was never heard.
_LEAST = 1e-8
#: Readings that are scored at once, which bounds the memory.
_ROWS = 64


class LabelPrior:
    """How probable the tokens of connectionist temporal classification are by themselves.

    Arguments
    ---------
    vocabulary : int
        Number of tokens, with the blank.

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
        """Adds a batch.

        Arguments
        ---------
        log_probs : torch.Tensor
            (batch, frames, tokens).
        counts : torch.Tensor
            Frames of each utterance, (batch,).
        """
        for scores, count in zip(log_probs, counts.tolist(), strict=True):
            self.sums += scores[:count].detach().double().exp().sum(0).cpu()

    def log_probs(self) -> torch.Tensor:
        """Natural logarithms of the probabilities.

        Returns
        -------
        torch.Tensor
            (tokens,), in double precision; that of the blank is minus infinity.

        Raises
        ------
        ValueError
            If there was no frame.
        """
        if not bool(self.sums.any()):
            raise ValueError("no frames were read: there are no probabilities of tokens")
        sums = self.sums.index_fill(0, torch.tensor([BLANK]), 0.0)
        found = (sums / sums.sum()).clamp(min=_LEAST).index_fill(0, torch.tensor([BLANK]), 0.0)
        return (found / found.sum()).log()


def write_label_prior(path: str | Path, log_probs: torch.Tensor) -> None:
    """Writes a label prior as JSON.

    Arguments
    ---------
    path : str or Path
        The file.
    log_probs : torch.Tensor
        Of :meth:`LabelPrior.log_probs`.
    """
    write_atomically(Path(path), json.dumps({"probabilities": log_probs.exp().tolist()}) + "\n")


def read_label_prior(path: str | Path, vocabulary: int) -> torch.Tensor:
    """Reads a label prior.

    Arguments
    ---------
    path : str or Path
        File that :func:`write_label_prior` wrote.
    vocabulary : int
        Number of the recogniser's tokens, with the blank.

    Returns
    -------
    torch.Tensor
        Natural logarithms, (tokens,).

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it holds something else.

    Example
    -------
    >>> path = getfixture("tmp_path") / "label_prior.json"
    >>> write_label_prior(path, torch.tensor([0.0, 0.25, 0.75]).log())
    >>> read_label_prior(path, 3).exp().tolist()
    [0.0, 0.25, 0.75]
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; a test with --internal_lm=True writes it to the output folder"
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["probabilities"]
        values = torch.tensor(found, dtype=torch.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} does not hold probabilities of tokens: {error}") from error
    others = values[1:]
    if values.shape != (vocabulary,) or not bool((others > 0).all() & (others <= 1).all()):
        raise ValueError(
            f"{path} must hold a probability above 0 for each of {vocabulary} tokens but the blank"
        )
    return values.log()


@torch.no_grad()
def internal_log_probs(
    model: nn.Module,
    sequences: Sequence[Sequence[int]],
    label_prior: torch.Tensor | None = None,
) -> torch.Tensor:
    """Log-probabilities of readings by a recogniser's internal language model.

    Arguments
    ---------
    model : CTCModel, AttentionModel or TransducerModel
        The recogniser; it is left as it was.
    sequences : sequence of sequence of int
        Its tokens, without blanks.
    label_prior : torch.Tensor or None
        Of :meth:`LabelPrior.log_probs`, for connectionist temporal classification.

    Returns
    -------
    torch.Tensor
        Natural logarithms, in double precision, on the CPU, (sequences,); that of an attention's
        decoder is with the end.

    Raises
    ------
    ValueError
        If there is no label prior where one is needed.

    Example
    -------
    >>> acoustic = CTCModel(9, input_size=6, num_layers=1, hidden_size=8, proj_size=4)
    >>> model = TransducerModel(acoustic, 9, hidden_size=8, joint_size=8)
    >>> internal_log_probs(model, [(3, 4, 5), ()]).shape
    torch.Size([2])
    """
    if isinstance(model, CTCModel):
        if label_prior is None:
            raise ValueError(
                "the internal language model of connectionist temporal classification is how "
                "probable its tokens are by themselves: it must be given (label_prior)"
            )
        prior = label_prior.tolist()
        found = [math.fsum(prior[token] for token in sequence) for sequence in sequences]
        return torch.tensor(found, dtype=torch.float64)
    training = model.training
    model.eval()
    score = _attention if isinstance(model, AttentionModel) else _transducer
    result = torch.zeros(len(sequences), dtype=torch.float64)
    # Those of like lengths together.
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
    try:
        for begin in range(0, len(order), _ROWS):
            chosen = order[begin : begin + _ROWS]
            result[chosen] = score(model, [sequences[i] for i in chosen])
    finally:
        model.train(training)
    return result


def _attention(model: AttentionModel, sequences: Sequence[Sequence[int]]) -> torch.Tensor:
    targets, sizes = _padded(model, sequences)
    decoder = model.decoder
    read = model.embedding(shifted(targets, model.start))
    context = read.new_zeros(len(sequences), decoder.attn_dim)
    outputs, state = [], None
    for frame in read.unbind(1):
        hidden, state = decoder.rnn(torch.cat([frame, context], dim=-1), state)
        outputs.append(decoder.proj(torch.cat([context, hidden], dim=1)))
    log_probs = model.output(torch.stack(outputs, dim=1)).float().log_softmax(-1)
    wanted = nn.functional.pad(targets, (0, 1)).scatter(1, sizes.unsqueeze(1), model.end)
    return _summed(log_probs, wanted, sizes + 1)


def _transducer(model: TransducerModel, sequences: Sequence[Sequence[int]]) -> torch.Tensor:
    targets, sizes = _padded(model, sequences)
    width = model.acoustic.encoder.output_size
    silence = next(model.parameters()).new_zeros(len(sequences), 1, width)
    logits = model.meet(model.from_acoustic(silence), targets)[:, 0, :-1]
    logits = logits.index_fill(2, torch.tensor([BLANK], device=logits.device), -torch.inf)
    return _summed(logits.log_softmax(-1), targets, sizes)


def _padded(
    model: nn.Module, sequences: Sequence[Sequence[int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens filled up with the first that is none of the special ones, and their numbers."""
    device = next(model.parameters()).device
    sizes = torch.tensor([len(sequence) for sequence in sequences], device=device)
    targets = torch.full((len(sequences), int(sizes.max())), BLANK + 1, device=device)
    for row, sequence in zip(targets, sequences, strict=True):
        row[: len(sequence)] = torch.tensor(sequence, dtype=torch.long, device=device)
    return targets, sizes


def _summed(log_probs: torch.Tensor, wanted: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """Sum over the tokens that there are."""
    chosen = log_probs.gather(2, wanted.unsqueeze(2)).squeeze(2).double()
    inside = torch.arange(wanted.shape[1], device=sizes.device) < sizes.unsqueeze(1)
    return chosen.masked_fill(~inside, 0.0).sum(1).cpu()
