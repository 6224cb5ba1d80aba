"""Checkpoints: written atomically, verified when read; their parts besides weights."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from speechbrain.utils.checkpoints import (
    METAFNAME,
    Checkpoint,
    Checkpointer,
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import ddp_barrier, ddp_broadcast, if_main_process
from speechbrain.utils.logger import get_logger
from torch import nn

from gatedrnn.training.distributed import gather, rank_and_world

logger = get_logger(__name__)

#: Key of ``CKPT.yaml`` with the files of the checkpoint, their sizes and checksums.
FILES = "files"
#: Prefix of folders that are being written or deleted.
UNFINISHED = ".unfinished-"


class SafeCheckpointer(Checkpointer):
    """SpeechBrain's checkpointer, which saves atomically.

    A checkpoint is written into a hidden folder; its files are flushed to the disk; ``CKPT.yaml``,
    which lists them with their sizes and checksums, comes last; then the folder gets its name in
    one step. A damaged checkpoint is skipped, with one warning, and the one before it is used.

    Arguments
    ---------
    checkpoints_dir : str or Path
        Folder of the checkpoints; shared by all machines of a data-parallel training.
    recoverables : Mapping or None
        Name -> object to save and recover.
    **kwargs : Any
        Those of :class:`speechbrain.utils.checkpoints.Checkpointer`.

    Example
    -------
    >>> import torch
    >>> folder = getfixture("tmp_path")
    >>> model = torch.nn.Linear(1, 1)
    >>> checkpointer = SafeCheckpointer(folder, {"model": model})
    >>> first = checkpointer.save_checkpoint({"WER": torch.tensor(12.5)})
    >>> second = checkpointer.save_checkpoint()
    >>> _ = second.paramfiles["model"].write_bytes(b"cut sho")
    >>> checkpointer.recover_if_possible().path == first.path
    True
    """

    def __init__(
        self,
        checkpoints_dir: str | Path,
        recoverables: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._warned: set[Path] = set()
        super().__init__(checkpoints_dir, recoverables, **kwargs)

    def add_recoverables(self, recoverables: Mapping[str, Any]) -> None:
        """Adds objects to save and recover."""
        super().add_recoverables(recoverables)
        for name in recoverables:
            # SpeechBrain looks it up when a checkpoint lacks the object.
            self.optional_recoverables.setdefault(name, False)

    def save_checkpoint(
        self,
        meta: Mapping[str, Any] | None = None,
        end_of_epoch: bool = True,
        name: str | None = None,
        verbosity: int = logging.INFO,
    ) -> Checkpoint | None:
        """Saves a checkpoint; to be called by all ranks; returns ``None`` on all but the first.

        ``meta`` is written to ``CKPT.yaml``; ``name`` replaces the time in the folder's name.
        """
        final = draft = None
        if if_main_process():
            final = (
                self._new_checkpoint_dirpath()
                if name is None
                else self._custom_checkpoint_dirpath(name)
            )
            draft = final.with_name(UNFINISHED + final.name)
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
        draft = ddp_broadcast(draft)
        if not draft.is_dir():
            raise RuntimeError(
                f"the checkpoint folder {draft.parent} is not the same on all machines: put "
                "output_folder on a file system that they share"
            )
        hidden = self._write_recoverables(draft)
        ddp_barrier()
        if not if_main_process():
            ddp_barrier()
            return None
        files = {path.name: _describe(path) for path in sorted(draft.iterdir())}
        values = {key: _value(key, value) for key, value in (meta or {}).items()}
        meta = self._save_checkpoint_metafile(
            draft / METAFNAME, {**values, FILES: files}, end_of_epoch
        )
        _flush(draft / METAFNAME)
        _flush(draft)
        if final.exists():
            self._remove(final)
        os.replace(draft, final)
        _flush(final.parent)
        kind = "end-of-epoch" if end_of_epoch else "intra-epoch"
        logger.log(verbosity, f"Saved an {kind} checkpoint in {final}")
        ddp_barrier()
        return Checkpoint(final, meta, {n: final / path.name for n, path in hidden.items()})

    def keep_only(self, keep: Callable[[Checkpoint], bool]) -> None:
        """Deletes all checkpoints but those to ``keep``; to be called by all ranks."""
        ddp_barrier()
        if if_main_process():
            for checkpoint in self.list_checkpoints():
                if not keep(checkpoint):
                    self._remove(checkpoint.path)
        ddp_barrier()

    def recover_if_possible(
        self,
        importance_key: Callable[[Checkpoint], Any] | None = None,
        max_key: str | None = None,
        min_key: str | None = None,
        ckpt_predicate: Callable[[Checkpoint], bool] | None = None,
    ) -> Checkpoint | None:
        """Recovers from the best, or latest, checkpoint that is undamaged; ``None`` without one."""
        self._clear_unfinished()
        checkpoint = self.load_undamaged(importance_key, max_key, min_key, ckpt_predicate)
        if checkpoint is None:
            logger.info("Would load a checkpoint here, but none found yet.")
        return checkpoint

    def load_undamaged(self, *args: Any, **kwargs: Any) -> Checkpoint | None:
        """:meth:`recover_if_possible` without deleting: a training may be writing there."""
        for checkpoint in self.find_checkpoints(*args, **kwargs):
            problem = _damage(checkpoint.path, checkpoint.meta, contents=True)
            if problem is None:
                self.load_checkpoint(checkpoint)
                return checkpoint
            self._warn(checkpoint.path, problem)
        return None

    # ---- details ----------------------------------------------------------------------------

    def _write_recoverables(self, folder: Path) -> dict[str, Path]:
        """Runs the objects' savers, each on its ranks."""
        # The base class would write into the final folder.
        return _FolderWriter(folder, self).write()

    def _list_checkpoint_dirs(self) -> list[Path]:
        whole = []
        for path in sorted(super()._list_checkpoint_dirs()):
            try:
                meta = yaml.safe_load((path / METAFNAME).read_text(encoding="utf-8"))
                problem = _damage(path, meta, contents=False)
            except (yaml.YAMLError, UnicodeDecodeError):
                problem = f"its {METAFNAME} cannot be read"
            if problem is None:
                whole.append(path)
            else:
                self._warn(path, problem)
        return whole

    def _warn(self, path: Path, problem: str) -> None:
        if path not in self._warned and if_main_process():
            logger.warning(f"Skipping the damaged checkpoint {path}: {problem}")
        self._warned.add(path)

    def _clear_unfinished(self) -> None:
        """Deletes what a killed process left half written."""
        if if_main_process():
            left = sorted(self.checkpoints_dir.glob(UNFINISHED + "*"))
            if left:
                logger.warning(
                    f"Skipping {len(left)} checkpoint(s) whose writing was cut short in "
                    f"{self.checkpoints_dir}"
                )
            for path in left:
                shutil.rmtree(path)
        ddp_barrier()

    @staticmethod
    def _remove(path: Path) -> None:
        """Deletes a folder; a killed process leaves no part of it under its name."""
        doomed = path.with_name(UNFINISHED + "deleting-" + path.name)
        os.replace(path, doomed)
        shutil.rmtree(doomed)


class _FolderWriter(Checkpointer):
    """Has the base class write the objects of another checkpointer into a given folder."""

    def __init__(self, folder: Path, owner: Checkpointer) -> None:
        self.folder = folder
        self.recoverables = owner.recoverables
        self.custom_save_hooks = owner.custom_save_hooks

    def write(self) -> dict[str, Path]:
        """Runs all savers; name -> file."""
        super().save_checkpoint(name=self.folder.name, verbosity=logging.DEBUG)
        if if_main_process():
            # Ours is written last, when everything else is safely on the disk.
            (self.folder / METAFNAME).unlink()
        return {name: self.folder / f"{name}.ckpt" for name in self.recoverables}

    def _custom_checkpoint_dirpath(self, name: str) -> Path:
        return self.folder


def is_resumable(checkpoint: Checkpoint) -> bool:
    """Whether training can resume from a checkpoint: not from an average of several."""
    return "averaged" not in checkpoint.meta


def _value(key: str, value: Any) -> Any:
    """A number, text or list: an unreadable ``CKPT.yaml`` would make all checkpoints unusable."""
    if hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_value(key, v) for v in value]
    raise ValueError(
        f"checkpoint meta {key!r} must be a number, text or a list of them, not {value!r}"
    )


def _describe(path: Path) -> list[int]:
    """Flushes a file to the disk; its size and checksum."""
    _flush(path)
    return [path.stat().st_size, _checksum(path)]


def _checksum(path: Path) -> int:
    value = 0
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            value = zlib.crc32(block, value)
    return value


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _damage(path: Path, meta: Any, contents: bool) -> str | None:
    """Description of the damage of a checkpoint; ``None`` for none."""
    if not isinstance(meta, dict) or "unixtime" not in meta:
        return f"its {METAFNAME} is incomplete"
    # Checkpoints of SpeechBrain's own checkpointer have no list.
    for name, (size, checksum) in meta.get(FILES, {}).items():
        file = path / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size} bytes instead of {size}"
        if contents and _checksum(file) != checksum:
            return f"the contents of {name} have changed"
    return None


def load_parts(
    model: nn.Module,
    source: str | Path,
    parts: tuple[str, ...],
    best: Mapping[str, str],
    remedy: str,
    prefix: str = "",
) -> Path:
    """Loads the weights whose names begin with ``parts`` from another training.

    ``source`` is its output folder (the best checkpoint is taken), a folder of checkpoints, one
    checkpoint, or a file with a model's state; ``best`` is the ``min_key`` or ``max_key`` of the
    best checkpoint; ``prefix`` is removed from the other model's names; ``remedy`` ends the message
    of a mismatch.
    """
    path = _find(Path(source), best)
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, Mapping):
        raise ValueError(f"{path} holds no model")
    loaded = {name.removeprefix(prefix): value for name, value in state.items()}
    loaded = {name: value for name, value in loaded.items() if name.startswith(parts)}
    expected = {n: v for n, v in model.state_dict().items() if n.startswith(parts)}
    problems = _differences(loaded, expected)
    if problems:
        raise ValueError(
            f"pretrained_encoder: {path} does not fit this model: {'; '.join(problems[:4])}"
            f"{f'; and {len(problems) - 4} more' if len(problems) > 4 else ''}. {remedy}"
        )
    model.load_state_dict({**model.state_dict(), **loaded})
    logger.info(f"Encoder initialised from {path}")
    return path


def _find(source: Path, key: Mapping[str, str]) -> Path:
    if source.is_file():
        return source
    for folder in (source, source / "save"):
        if (folder / "model.ckpt").is_file():
            return folder / "model.ckpt"
        if folder.is_dir():
            checkpointer = SafeCheckpointer(folder)
            best = checkpointer.find_checkpoint(**key)
            best = best or checkpointer.find_checkpoint(ckpt_predicate=is_resumable)
            if best is not None:
                return best.path / "model.ckpt"
    raise FileNotFoundError(
        f"pretrained_encoder: {source} is neither the output folder of a training nor a checkpoint"
    )


def _differences(loaded: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Differences of names and shapes, in words."""
    problems = [f"it lacks {name}" for name in expected if name not in loaded]
    problems += [f"it has {name}, which is not here" for name in loaded if name not in expected]
    return problems + [
        f"its {name} is {tuple(loaded[name].shape)}, here {tuple(value.shape)}"
        for name, value in expected.items()
        if name in loaded and loaded[name].shape != value.shape
    ]


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
        _save_of_all_ranks(path, _random_state())

    @mark_as_loader
    def load(self, path: Path, end_of_epoch: bool) -> None:
        """Restores the states of this rank."""
        state = _load_of_this_rank(path, "random numbers begin anew")
        if state is not None:
            _set_random_state(state)


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
        _save_of_all_ranks(path, self.to("cpu"))

    @mark_as_loader
    def load(self, path: Path, end_of_epoch: bool) -> None:
        """Restores this rank's state; none at the end of an epoch."""
        self.value = None if end_of_epoch else _load_of_this_rank(path, "the text is cut elsewhere")


# On all ranks: each has its own streams.
register_checkpoint_hooks(CarriedState, save_on_main_only=False)


@register_checkpoint_hooks
class Cost:
    """Time and steps of the training loop, for a checkpointer.

    The clock runs while batches are read and trained on; validation, tests and the writing of
    checkpoints stop it. What a killed process did after its last checkpoint is repeated and
    counts once. With data parallelism the times are those of the first process; the work of a
    loader's own processes is not in the CPU time.
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


def _save_of_all_ranks(path: Path, state: Any) -> None:
    states = gather(state)
    if if_main_process():
        torch.save(states, path)


def _load_of_this_rank(path: Path, consequence: str) -> Any:
    """This rank's state; ``None``, with a warning, if the number of processes has changed."""
    states = torch.load(path, weights_only=True)
    rank, world = rank_and_world()
    if len(states) == world:
        return states[rank]
    if rank == 0:
        logger.warning(
            f"The checkpoint was written by {len(states)} process(es), now there are "
            f"{world}: {consequence}, the result will differ"
        )
    return None


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
