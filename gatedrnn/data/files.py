"""Files that are never half written, and fingerprints that tell whether work is already done."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import gatedrnn


def write_atomically(path: str | Path, text: str) -> None:
    """Writes a text file whole or not at all.

    Arguments
    ---------
    path : str or Path
        The file; its folder is made where missing.
    text : str
        Written as UTF-8.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> write_atomically(folder / "a.txt", "whole")
    >>> (folder / "a.txt").read_text(), len(list(folder.iterdir()))
    ('whole', 1)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder: a rename across file systems would not be atomic.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
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
    """All files under a folder, in order; links are followed, circles are not walked twice.

    Arguments
    ---------
    folder : str or Path
        The folder.

    Returns
    -------
    list of Path

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


def fingerprint(options: Mapping[str, Any], inputs: Iterable[str | Path]) -> str:
    """Hashes options, and name, size and time of change of input files.

    Arguments
    ---------
    options : Mapping
        Plain data.
    inputs : iterable of str or Path
        Files; one that does not exist counts as such.

    Returns
    -------
    str

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> before = fingerprint({"mic": "sdm"}, [path])
    >>> path.write_text("now it exists")
    13
    >>> before == fingerprint({"mic": "sdm"}, [path])
    False
    >>> fingerprint({"mic": "sdm"}, []) == fingerprint({"mic": "ihm"}, [])
    False
    """
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
    """Writes down that outputs were made from what a fingerprint stands for.

    Arguments
    ---------
    path : str or Path
        The stamp.
    key : str
        The fingerprint.
    outputs : iterable of Path
        Files in the stamp's folder.
    """
    stamp = {"fingerprint": key, "outputs": {out.name: _digest(out) for out in outputs}}
    write_atomically(path, json.dumps(stamp, indent=1) + "\n")


def is_current(path: str | Path, key: str) -> bool:
    """Whether outputs were made from what a fingerprint stands for, and are unchanged since.

    Arguments
    ---------
    path : str or Path
        The stamp.
    key : str
        The fingerprint.

    Returns
    -------
    bool

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
    """Hashes the content of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
