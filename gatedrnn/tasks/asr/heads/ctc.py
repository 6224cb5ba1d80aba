"""The Brain of connectionist temporal classification."""

from __future__ import annotations

from typing import Any

import torch
from speechbrain.utils.logger import get_logger

from gatedrnn.tasks.asr.brain import RecogniserBrain, Stage
from gatedrnn.tokens import BLANK

logger = get_logger(__name__)


class CTCBrain(RecogniserBrain):
    """Trains a :class:`~gatedrnn.tasks.asr.model.CTCModel`.

    Arguments
    ---------
    **kwargs : Any
        Those of :class:`~gatedrnn.tasks.asr.brain.RecogniserBrain`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._hopeless: dict[str, None] = {}

    def compute_losses(
        self, outputs: tuple[Any, ...], targets: torch.Tensor, sizes: torch.Tensor
    ) -> torch.Tensor:
        """See :meth:`~gatedrnn.tasks.asr.brain.RecogniserBrain.compute_losses`."""
        log_probs, counts, _ = outputs
        return ctc_losses(log_probs, counts, targets, sizes)

    def on_losses(
        self, outputs: tuple[Any, ...], ids: list[str], targets: torch.Tensor, sizes: torch.Tensor
    ) -> None:
        """Notes utterances that have fewer frames than their transcript needs."""
        if self.epoch == 1:
            inside = torch.arange(targets.shape[1], device=targets.device) < sizes.unsqueeze(1)
            repeated = ((targets[:, 1:] == targets[:, :-1]) & inside[:, 1:]).sum(1)
            short = (outputs[1] < sizes + repeated).tolist()
            self._hopeless |= {name: None for name, bad in zip(ids, short, strict=True) if bad}

    def on_stage_end(self, stage: Stage, stage_loss: float, epoch: int | None = None) -> None:
        """Names those utterances; see :class:`~gatedrnn.tasks.asr.brain.RecogniserBrain`."""
        super().on_stage_end(stage, stage_loss, epoch)
        if stage == Stage.TRAIN and self._hopeless and epoch == 1:
            names = list(self._hopeless)
            logger.warning(
                f"{len(names)} training utterance(s) have fewer frames than their transcript "
                f"has tokens and cannot be learned from: {', '.join(names[:8])}"
                f"{' ...' if len(names) > 8 else ''}"
            )
            self._hopeless.clear()


def ctc_losses(
    log_probs: torch.Tensor, counts: torch.Tensor, targets: torch.Tensor, sizes: torch.Tensor
) -> torch.Tensor:
    """Negative log-probabilities of transcripts, over all alignments.

    Arguments
    ---------
    log_probs : torch.Tensor
        (batch, frames, tokens).
    counts : torch.Tensor
        Frames of each utterance, (batch,).
    targets : torch.Tensor
        Transcripts, (batch, tokens).
    sizes : torch.Tensor
        Tokens of each, (batch,).

    Returns
    -------
    torch.Tensor
        (batch,); zero for an utterance with too few frames for its tokens: it has no alignment, and
        is left out.

    Example
    -------
    >>> half = torch.full((1, 2, 2), 0.5).log()
    >>> loss = ctc_losses(half, torch.tensor([2]), torch.tensor([[1]]), torch.tensor([1]))
    >>> round(float((-loss).exp()), 2)
    0.75
    """
    return torch.nn.functional.ctc_loss(
        log_probs.transpose(0, 1),
        targets,
        counts,
        sizes,
        blank=BLANK,
        reduction="none",
        zero_infinity=True,
    )
