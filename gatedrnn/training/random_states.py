"""The random numbers of a training, so that an interrupted one goes on with the same ones."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger

from gatedrnn.training.ranks import gather

logger = get_logger(__name__)


class RandomStates:
    """All global random number generators of all ranks, for a checkpointer.

    Example
    -------
    >>> from gatedrnn.training.checkpoints import SafeCheckpointer
    >>> checkpointer = SafeCheckpointer(getfixture("tmp_path"), {"random": RandomStates()})
    >>> _ = checkpointer.save_checkpoint()
    >>> number = torch.rand(())
    >>> _ = checkpointer.recover_if_possible()
    >>> bool(torch.rand(()) == number)
    True
    """

    @mark_as_saver
    def save(self, path: Path) -> None:
        """Writes the states; all ranks take part.

        Arguments
        ---------
        path : Path
            File to write.
        """
        states = gather(_random_state())
        if if_main_process():
            torch.save(states, path)

    @mark_as_loader
    def load(self, path: Path, end_of_epoch: bool) -> None:
        """Brings the states back.

        Arguments
        ---------
        path : Path
            File to read.
        end_of_epoch : bool
            Makes no difference.
        """
        states = torch.load(path, weights_only=True)
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        world = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        if len(states) != world:
            if rank == 0:
                logger.warning(
                    f"The checkpoint was written by {len(states)} process(es), now there are "
                    f"{world}: random numbers begin anew, the result will differ"
                )
            return
        _set_random_state(states[rank])


# On all ranks: each has a state of its own, which the first one writes.
register_checkpoint_hooks(RandomStates, save_on_main_only=False)


def _random_state() -> dict[str, Any]:
    name, keys, position, has_gauss, cached = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }


def _set_random_state(state: Mapping[str, Any]) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        for device, value in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(value, device)
