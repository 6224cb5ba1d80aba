"""Parts of checkpoints besides weights: random states, carried recurrent state, cost."""

from __future__ import annotations

import json
import random
import time
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

from gatedrnn.training.distributed import gather, rank_and_world

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
        """Writes the states; all ranks take part."""
        states = gather(_random_state())
        if if_main_process():
            torch.save(states, path)

    @mark_as_loader
    def load(self, path: Path, end_of_epoch: bool) -> None:
        """Restores the states of this rank."""
        states = torch.load(path, weights_only=True)
        rank, world = rank_and_world()
        if len(states) != world:
            if rank == 0:
                logger.warning(
                    f"The checkpoint was written by {len(states)} process(es), now there are "
                    f"{world}: random numbers begin anew, the result will differ"
                )
            return
        _set_random_state(states[rank])


# On all ranks: the first one writes the states of all.
register_checkpoint_hooks(RandomStates, save_on_main_only=False)


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
        """The state on a device."""
        if isinstance(self.value, tuple):
            return tuple(part.to(device) for part in self.value)
        return None if self.value is None else self.value.to(device)

    @mark_as_saver
    def save(self, path: Path) -> None:
        """Writes the states of all processes; all take part."""
        states = gather(self.to("cpu"))
        if if_main_process():
            torch.save(states, path)

    @mark_as_loader
    def load(self, path: Path, end_of_epoch: bool) -> None:
        """Restores this rank's state; none at the end of an epoch."""
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


# On all ranks: each has its own streams.
register_checkpoint_hooks(CarriedState, save_on_main_only=False)


@register_checkpoint_hooks
class Cost:
    """Time and steps of the training loop, for a checkpointer.

    The clock runs while batches are read and trained on; validation, tests and the writing of
    checkpoints stop it. What a killed process did after its last checkpoint is repeated and
    counts once. With data parallelism the times are those of the first process; the work of a
    loader's own processes is not in the CPU time.

    Example
    -------
    >>> from gatedrnn.training import SafeCheckpointer
    >>> cost = Cost()
    >>> checkpointer = SafeCheckpointer(getfixture("tmp_path"), {"cost": cost})
    >>> cost.start()
    >>> cost.steps += 2
    >>> cost.stop()
    >>> _ = checkpointer.save_checkpoint()
    >>> again = Cost()
    >>> checkpointer.recoverables["cost"] = again
    >>> _ = checkpointer.recover_if_possible()
    >>> again.metrics() == cost.metrics(), sorted(again.metrics())
    (True, ['seconds per step', 'steps', 'train cpu seconds', 'train seconds'])
    """

    def __init__(self) -> None:
        self.seconds, self.cpu_seconds = 0.0, 0.0
        #: Steps of the optimizer, with those skipped because something was not finite.
        self.steps = 0
        #: Whether all of the training was counted.
        self.known = True
        self._since: tuple[float, float] | None = None

    def start(self) -> None:
        """Starts the clock."""
        self._since = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        """Stops the clock, if it runs."""
        if self._since is not None:
            wall, cpu = self._since
            self.seconds += time.perf_counter() - wall
            self.cpu_seconds += time.process_time() - cpu
            self._since = None

    def metrics(self) -> dict[str, Any]:
        """The cost, for a results file."""
        known = self.known and self.steps > 0
        return {
            "train seconds": round(self.seconds, 3) if known else None,
            "train cpu seconds": round(self.cpu_seconds, 3) if known else None,
            "steps": self.steps if known else None,
            "seconds per step": round(self.seconds / self.steps, 6) if known else None,
        }

    @mark_as_saver
    def save(self, path: Path) -> None:
        """Writes the cost so far."""
        state = {
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "steps": self.steps,
            "known": self.known,
        }
        Path(path).write_text(json.dumps(state), encoding="utf-8")

    @mark_as_loader
    def load(self, path: Path, end_of_epoch: bool) -> None:
        """Goes on counting from what was written."""
        state = json.loads(Path(path).read_text(encoding="utf-8"))
        self.seconds, self.cpu_seconds = state["seconds"], state["cpu_seconds"]
        self.steps, self.known = state["steps"], state["known"]


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
