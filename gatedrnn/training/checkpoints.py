"""Checkpoints that are written atomically and verified when they are read."""

from __future__ import annotations

import logging
import os
import shutil
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from speechbrain.utils.checkpoints import (
    METAFNAME,
    Checkpoint,
    Checkpointer,
)
from speechbrain.utils.distributed import ddp_barrier, ddp_broadcast, if_main_process
from speechbrain.utils.logger import get_logger

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
