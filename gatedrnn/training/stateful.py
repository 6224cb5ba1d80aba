"""The state that a training carries from window to window, also across an interruption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger

from gatedrnn.training.ranks import gather, rank_and_world

logger = get_logger(__name__)


class CarriedState:
    """The recurrent state of this process's streams, for a checkpointer.

    Example
    -------
    >>> from gatedrnn.training import SafeCheckpointer
    >>> carried = CarriedState()
    >>> checkpointer = SafeCheckpointer(getfixture("tmp_path"), {"carried": carried})
    >>> carried.value = (torch.ones(2), torch.zeros(2))
    >>> _ = checkpointer.save_checkpoint(end_of_epoch=False)
    >>> carried.value = None
    >>> _ = checkpointer.recover_if_possible()
    >>> carried.value
    (tensor([1., 1.]), tensor([0., 0.]))
    """

    def __init__(self) -> None:
        #: A tensor, a tuple of them, or ``None`` where the text begins.
        self.value: Any = None

    def to(self, device: torch.device | str) -> Any:
        """The state on a device.

        Arguments
        ---------
        device : torch.device or str
            The device.

        Returns
        -------
        torch.Tensor or tuple or None
        """
        if isinstance(self.value, tuple):
            return tuple(part.to(device) for part in self.value)
        return None if self.value is None else self.value.to(device)

    @mark_as_saver
    def save(self, path: Path) -> None:
        """Writes the states of all processes; all take part.

        Arguments
        ---------
        path : Path
            File to write.
        """
        states = gather(self.to("cpu"))
        if if_main_process():
            torch.save(states, path)

    @mark_as_loader
    def load(self, path: Path, end_of_epoch: bool) -> None:
        """Brings this process's state back.

        Arguments
        ---------
        path : Path
            File to read.
        end_of_epoch : bool
            Whether the text begins anew.
        """
        rank, world = rank_and_world()
        states = torch.load(path, weights_only=True)
        if len(states) == world:
            self.value = None if end_of_epoch else states[rank]
            return
        self.value = None
        if rank == 0 and not end_of_epoch:
            logger.warning(
                f"The checkpoint was written by {len(states)} process(es), now there are "
                f"{world}: the text is cut elsewhere, the result will differ"
            )


# On all ranks: each has streams of its own.
register_checkpoint_hooks(CarriedState, save_on_main_only=False)
