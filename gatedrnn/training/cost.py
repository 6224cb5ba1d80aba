"""What a training has cost: time and steps, also over interruptions."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)


@register_checkpoint_hooks
class Cost:
    """Time and steps of the training loop, for a checkpointer.

    The clock runs while batches are read and trained on; validation, tests and the writing of
    checkpoints stop it. What a killed process did after its last checkpoint is done again and
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
    >>> again.figures() == cost.figures(), sorted(again.figures())
    (True, ['seconds per step', 'steps', 'train cpu seconds', 'train seconds'])
    """

    def __init__(self) -> None:
        self.seconds, self.cpu_seconds = 0.0, 0.0
        #: Steps of the optimiser, also those left out since something was not finite.
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

    def figures(self) -> dict[str, Any]:
        """The cost, for a results file.

        Returns
        -------
        dict
            ``"train seconds"``, ``"train cpu seconds"``, ``"steps"`` and ``"seconds per step"``;
            all ``None`` if a part of the training was not counted, or nothing was trained.
        """
        known = self.known and self.steps > 0
        return {
            "train seconds": round(self.seconds, 3) if known else None,
            "train cpu seconds": round(self.cpu_seconds, 3) if known else None,
            "steps": self.steps if known else None,
            "seconds per step": round(self.seconds / self.steps, 6) if known else None,
        }

    @mark_as_saver
    def save(self, path: Path) -> None:
        """Writes the cost so far.

        Arguments
        ---------
        path : Path
            File to write.
        """
        state = {
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "steps": self.steps,
            "known": self.known,
        }
        Path(path).write_text(json.dumps(state), encoding="utf-8")

    @mark_as_loader
    def load(self, path: Path, end_of_epoch: bool) -> None:
        """Goes on counting from what was written.

        Arguments
        ---------
        path : Path
            File to read.
        end_of_epoch : bool
            Makes no difference.
        """
        state = json.loads(Path(path).read_text(encoding="utf-8"))
        self.seconds, self.cpu_seconds = state["seconds"], state["cpu_seconds"]
        self.steps, self.known = state["steps"], state["known"]
