"""Folders of bundles of any model: files that are listed, checked, and replaced whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENS = "tokens.json"
#: The files that bundles of most models list with their sizes and checksums.
FILES = (WEIGHTS, TOKENS)
#: No honest one comes near it.
LARGEST_CONFIG = 1 << 20


@dataclass(frozen=True)
class FileEntry:
    """A file of a bundle.

    Arguments
    ---------
    bytes : int
        Its size.
    sha256 : str
        Its checksum, in hexadecimal.
    """

    bytes: int
    sha256: str


def read_json(folder: str | Path) -> Any:
    """Reads ``config.json`` of a bundle.

    Arguments
    ---------
    folder : str or Path
        The bundle.

    Returns
    -------
    Any
        Plain data.

    Raises
    ------
    FileNotFoundError
        If the folder or the file is missing.
    ValueError
        If the file is no JSON.
    """
    folder = Path(folder)
    path = folder / CONFIG
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such bundle (a folder that gatedrnn export makes)")
    if not path.is_file():
        hint = ""
        if (folder / "save").is_dir():
            hint = f"; it is a training's folder: gatedrnn export {folder} BUNDLE makes one of it"
        raise FileNotFoundError(f"{folder} is no bundle: it has no {CONFIG}{hint}")
    if path.stat().st_size > LARGEST_CONFIG:
        raise ValueError(f"{path}: {path.stat().st_size} bytes are too many for a bundle's config")
    try:
        return json.loads(path.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}") from error


def check_header(data: Any, format: str, version: int, keys: tuple[str, ...]) -> None:
    """Checks what a config begins with.

    Arguments
    ---------
    data : Any
        Plain data.
    format : str
        What ``format`` must be.
    version : int
        The newest that can be read.
    keys : tuple of str
        Those that there may be; ``model`` and ``files`` must be among those that there are.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if not isinstance(data, Mapping):
        raise ValueError("must hold an object with named values")
    if data.get("format") != format:
        raise ValueError(f"format must be {format!r}, not {data.get('format')!r}")
    found = data.get("version")
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise ValueError(f"version must be a whole number, not {found!r}")
    if found > version:
        raise ValueError(
            f"version {found} is newer than what this gatedrnn reads ({version}): update it"
        )
    only(data, keys, "")
    for key in ("model", "files"):
        if key not in data:
            raise ValueError(f"there is no key {key!r}")


def read_files(data: Any, names: tuple[str, ...] = FILES) -> dict[str, FileEntry]:
    """Reads the list of a bundle's files.

    Arguments
    ---------
    data : Any
        Plain data.
    names : tuple of str
        The files that it must list, and no others.

    Returns
    -------
    dict
        Name -> :class:`FileEntry`.

    Raises
    ------
    ValueError
        If it is something else, or lists other files.
    """
    if not isinstance(data, Mapping):
        raise ValueError("files must be an object with named values")
    for name in data:
        if name not in names:
            raise ValueError(
                f"files: {name!r} is not a file of a bundle; these are {' and '.join(names)}, and "
                "they lie in the bundle's own folder"
            )
    entries = {}
    for name in names:
        if name not in data:
            raise ValueError(f"files: {name} is not listed")
        entry = data[name]
        only(entry, ("bytes", "sha256"), f"files: {name}: ")
        size, checksum = entry.get("bytes"), entry.get("sha256")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ValueError(f"files: {name}: bytes must be a whole number, not {size!r}")
        if not isinstance(checksum, str) or len(checksum) != 64:
            raise ValueError(f"files: {name}: sha256 must be 64 hexadecimal digits")
        entries[name] = FileEntry(size, checksum)
    return entries


def only(data: Any, known: tuple[str, ...], place: str) -> None:
    """Refuses unknown keys.

    Arguments
    ---------
    data : Any
        Plain data.
    known : tuple of str
        The keys that there may be.
    place : str
        Where they stand, for the message.

    Raises
    ------
    ValueError
        If there is another one, or no named values.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"{place or 'it '}must be an object with named values, not {data!r}")
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise ValueError(f"{place}unknown key {unknown[0]!r}; known are {', '.join(known)}")


def check_present(folder: Path, names: tuple[str, ...] = FILES) -> None:
    """Refuses a bundle that lacks a file.

    Arguments
    ---------
    folder : Path
        The bundle.
    names : tuple of str
        Its files.

    Raises
    ------
    FileNotFoundError
        If one is missing.
    """
    for name in names:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name}: this file of the bundle is missing")


def check_files(folder: Path, files: Mapping[str, FileEntry]) -> None:
    """Compares the files of a bundle with sizes and checksums.

    Arguments
    ---------
    folder : Path
        The bundle.
    files : Mapping
        Name -> :class:`FileEntry`.

    Raises
    ------
    ValueError
        If one is another than is listed.
    """
    for name, entry in files.items():
        path, size = folder / name, (folder / name).stat().st_size
        if size != entry.bytes:
            raise ValueError(f"{path} has {size} bytes, and {entry.bytes} by {CONFIG}")
        if entry_of(path).sha256 != entry.sha256:
            raise ValueError(f"{path} is not the file that {CONFIG} lists: its checksum differs")


@contextmanager
def replacing(folder: str | Path, overwrite: bool) -> Iterator[Path]:
    """Has a bundle written whole or not at all.

    Arguments
    ---------
    folder : str or Path
        The bundle.
    overwrite : bool
        Whether a bundle that is there already may be replaced.

    Yields
    ------
    Path
        A folder to write to, which then becomes the bundle.

    Raises
    ------
    FileExistsError
        If there is something in the folder that may not be replaced.
    """
    folder = Path(folder)
    _may_write(folder, overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        yield draft
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(draft, 0o777 & ~umask)
        for path in draft.iterdir():
            os.chmod(path, (0o777 if path.is_dir() else 0o666) & ~umask)
        if folder.exists():
            # Out of the way first: a folder that holds files cannot be replaced in one step.
            old = draft.with_name(f"{draft.name}.old")
            os.replace(folder, old)
            try:
                os.replace(draft, folder)
            except OSError:
                os.replace(old, folder)
                raise
            shutil.rmtree(old)
        else:
            os.replace(draft, folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def write_config(draft: Path, data: Mapping[str, Any], more: Mapping[str, str] | None) -> None:
    """Writes ``config.json`` and further texts.

    Arguments
    ---------
    draft : Path
        Of :func:`replacing`.
    data : Mapping
        Plain data.
    more : Mapping or None
        Name -> text of further files.
    """
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    for name, content in {**(more or {}), CONFIG: text}.items():
        (draft / name).write_text(content, encoding="utf-8")


def entry_of(path: Path) -> FileEntry:
    """Size and checksum of a file.

    Arguments
    ---------
    path : Path
        The file.

    Returns
    -------
    FileEntry
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return FileEntry(path.stat().st_size, digest.hexdigest())


def _may_write(folder: Path, overwrite: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / CONFIG).is_file():
        raise FileExistsError(f"{folder} holds something else than a bundle: name another folder")
    if not overwrite:
        raise FileExistsError(f"{folder} is there already: --overwrite replaces it")
