"""Atomic writes, and fingerprints that tell whether work is already done."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import gatedrnn


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Writes a file so that a reader finds the old content or the new one, never part of it.

    Arguments
    ---------
    path : str or Path
        The file; its folder is created where missing.
    content : str or bytes
        Text is written as UTF-8, its line ends as they are.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> write_atomically(folder / "a.txt", "all of it")
    >>> (folder / "a.txt").read_text(), len(list(folder.iterdir()))
    ('all of it', 1)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder: a rename across file systems would not be atomic.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content.encode("utf-8") if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes files that only their owner may read; an ordinary file follows the umask.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def list_files(folder: str | Path) -> list[Path]:
    """All files under a folder, sorted; links are followed, circles of links only once.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> write_atomically(folder / "deep" / "a.txt", "")
    >>> (folder / "deep" / "circle").symlink_to(folder)
    >>> [path.name for path in list_files(folder)]
    ['a.txt']
    """
    seen: set[str] = set()
    files = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        files += [Path(parent, name) for name in names]
    return sorted(files)


def find_file(folder: Path, name: str) -> Path:
    """Finds a file by its name, in a folder or below, also compressed (``.gz``); one only."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    paths = [path for path in list_files(folder) if path.name in (name, f"{name}.gz")]
    paths = [path for path in paths if path.parent == folder] or paths
    if not paths:
        raise FileNotFoundError(f"{folder}: there is no {name} (or {name}.gz) in it")
    if len(paths) > 1:
        raise ValueError(
            f"{folder}: several files are called {name}: {', '.join(map(str, paths))}; give the "
            "folder of one of them"
        )
    return paths[0]


def fingerprint(options: Mapping[str, Any], inputs: Iterable[str | Path]) -> str:
    """Hash of options, and of name, size and modification time of input files."""
    digest = hashlib.sha256()
    # Another version may prepare otherwise.
    settings = {"version": gatedrnn.__version__, **options}
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    for path in sorted(map(str, inputs)):
        try:
            status = os.stat(path)
            state = f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n"
        except FileNotFoundError:
            state = f"{path}\0missing\n"
        digest.update(state.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def write_stamp(path: str | Path, key: str, outputs: Iterable[Path]) -> None:
    """Writes the fingerprint from which outputs, files in the stamp's folder, were made."""
    stamp = {"fingerprint": key, "outputs": {out.name: _digest(out) for out in outputs}}
    write_atomically(path, json.dumps(stamp, indent=1) + "\n")


def is_current(path: str | Path, key: str) -> bool:
    """Whether outputs were made from a fingerprint, and are unchanged since.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> write_atomically(folder / "train.csv", "ID")
    >>> write_stamp(folder / "stamp.json", "key", [folder / "train.csv"])
    >>> is_current(folder / "stamp.json", "key"), is_current(folder / "stamp.json", "other")
    (True, False)
    >>> write_atomically(folder / "train.csv", "edited")
    >>> is_current(folder / "stamp.json", "key")
    False
    """
    path = Path(path)
    if not path.is_file():
        return False
    try:
        stamp = json.loads(path.read_text(encoding="utf-8"))
        known, outputs = stamp["fingerprint"], dict(stamp["outputs"])
    except (ValueError, KeyError, TypeError):
        # Not a stamp of ours: nothing is known, so that the work is done again.
        return False
    return known == key and all(
        (path.parent / name).is_file() and _digest(path.parent / name) == digest
        for name, digest in outputs.items()
    )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
