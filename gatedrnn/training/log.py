"""Log of a training: metrics of every epoch as text, in TensorBoard, and as a plot."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger

from gatedrnn.data.files import write_atomically
from gatedrnn.data.plots import write_figure

logger = get_logger(__name__)


@dataclass(frozen=True)
class Curve:
    """The metric that a learning curve shows beside the losses.

    metric: Its name among the metrics of the validation.
    label: Label of the axis.
    limits: Of the axis; ``None`` for a logarithmic one.
    """

    metric: str = "WER"
    label: str = "word error rate, %"
    limits: tuple[float, float] | None = (0, 105)


@register_checkpoint_hooks
class TrainingLog:
    """Metrics of every epoch: in a text file, in TensorBoard, and as a learning curve.

    The metrics are saved in the checkpoints, and the files are written from all of them, so that an
    interrupted training leaves the same log as one that was not.

    Arguments
    ---------
    folder : str or Path
        Where ``train_log.txt``, ``learning_curve.png`` and ``tensorboard/`` go. The plot needs
        matplotlib, TensorBoard's files need tensorboard; without them they are left out, with one
        message.
    curve : Curve
        What the plot shows beside the losses.

    Example
    -------
    >>> log = TrainingLog(getfixture("tmp_path"))
    >>> log.add({"epoch": 1, "lr": 1e-3}, {"loss": 2.0}, {"loss": 1.5, "WER": 80.0})
    >>> log.write()
    >>> print((log.folder / "train_log.txt").read_text().strip())
    epoch: 1, lr: 0.001 - train loss: 2 - valid loss: 1.5, valid WER: 80
    """

    def __init__(self, folder: str | Path, curve: Curve = Curve()) -> None:
        self.folder, self.curve = Path(folder), curve
        #: One entry per epoch, and one per test set: {"meta": ..., "train": ..., "valid": ...}.
        self.rows: list[dict[str, dict[str, Any]]] = []
        #: Gradient norms and skipped steps of the current epoch.
        self.running = new_epoch()
        self._told = False

    def add(
        self,
        meta: Mapping[str, Any],
        train: Mapping[str, float] | None = None,
        valid: Mapping[str, float] | None = None,
    ) -> None:
        """Adds the metrics of an epoch; ``meta`` has its number and learning rate."""
        self.rows.append(
            {"meta": dict(meta), "train": dict(train or {}), "valid": dict(valid or {})}
        )

    def write(self) -> None:
        """Writes all files, on the first rank."""
        if not if_main_process():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [_line(row) + "\n" for row in self.rows]
        write_atomically(self.folder / "train_log.txt", "".join(lines))
        missing = [n for n in ("matplotlib", "tensorboard") if not importlib.util.find_spec(n)]
        if missing and not self._told:
            self._told = True
            logger.info(
                f"{' and '.join(missing)} not installed: no "
                f"{' and no '.join({'matplotlib': 'learning curve'}.get(n, n) for n in missing)}"
            )
        if "tensorboard" not in missing:
            self._write_tensorboard()
        if "matplotlib" not in missing:
            self._draw()

    def _write_tensorboard(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # Only the newest epoch: older ones are in the folder. Steps that were written before an
        # interruption are purged by TensorBoard itself.
        row = self.rows[-1]
        epoch = int(row["meta"]["epoch"])
        with SummaryWriter(str(self.folder / "tensorboard"), purge_step=epoch) as writer:
            for part in ("meta", "train", "valid"):
                for name, value in row[part].items():
                    if isinstance(value, int | float) and name != "epoch":
                        tag = name if part == "meta" else f"{part}/{name}"
                        writer.add_scalar(tag, value, epoch)

    def _draw(self) -> None:
        # The object interface needs no display and does not change pyplot's state.
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4))
        losses = figure.add_subplot()
        epochs = [row["meta"]["epoch"] for row in self.rows]
        for part, style in (("train", "--"), ("valid", "-")):
            values = [row[part].get("loss") for row in self.rows]
            losses.plot(epochs, values, style, color="tab:blue", label=f"{part} loss")
        losses.set(xlabel="epoch", ylabel="loss per token", yscale="log")
        errors = losses.twinx()
        name, limits = self.curve.metric, self.curve.limits
        values = [row["valid"].get(name) for row in self.rows]
        errors.plot(epochs, values, color="tab:red", label=f"valid {name}")
        errors.set(ylabel=self.curve.label)
        errors.set(ylim=limits) if limits else errors.set(yscale="log")
        figure.legend(loc="upper center", ncols=3)
        write_figure(self.folder / "learning_curve.png", figure)

    @mark_as_saver
    def _save(self, path: Path) -> None:
        Path(path).write_text(
            json.dumps({"rows": self.rows, "running": self.running}), encoding="utf-8"
        )

    @mark_as_loader
    def _load(self, path: Path, end_of_epoch: bool) -> None:
        saved = json.loads(Path(path).read_text(encoding="utf-8"))
        self.rows = saved["rows"]
        self.running = new_epoch() if end_of_epoch else saved["running"]


def new_epoch() -> dict[str, Any]:
    """The start of an epoch: no gradient norms, no skipped steps."""
    return {"norms": [], "skipped": 0}


def _line(row: Mapping[str, Mapping[str, Any]]) -> str:
    parts = [", ".join(f"{k}: {_number(v)}" for k, v in row["meta"].items())]
    for part in ("train", "valid"):
        if row[part]:
            parts.append(", ".join(f"{part} {k}: {_number(v)}" for k, v in row[part].items()))
    return " - ".join(parts)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
