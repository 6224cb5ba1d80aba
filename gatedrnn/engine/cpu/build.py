"""Compiles printed sources and keeps the result on disk.

Environment variables: ``CXX`` names the compiler, ``GATEDRNN_CACHE`` the folder of compiled cells,
``GATEDRNN_CPU_ISA`` the instructions they are made of (see :data:`INSTRUCTIONS`).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import threading
import warnings
from functools import lru_cache
from pathlib import Path

FLAGS = ("-O3", "-std=c++17", "-fPIC", "-shared", "-fopenmp", "-fno-math-errno")
FLAGS += ("-fno-trapping-math", "-ffp-contract=fast", "-w")
#: Environment variable that chooses the instructions cells are compiled to.
VARIABLE = "GATEDRNN_CPU_ISA"
#: What it may say -> the compiler's flags. ``native`` is the default: all that the processor has;
#: ``plain`` is what every processor of the family has, SSE2 or NEON.
INSTRUCTIONS = {
    "native": ("-march=native",),
    "avx512": ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma"),
    "avx2": ("-mavx2", "-mfma"),
    "plain": (),
}


class CompilerError(RuntimeError):
    """There is no C++ compiler, or it failed."""


@lru_cache
def compiler() -> str | None:
    """The C++ compiler: $CXX, or the first of c++, g++ and clang++ on the path; or ``None``."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        found = shutil.which(name) if name else None
        if found:
            return found
    return None


@lru_cache
def _features() -> str:
    """What the processor says of itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((x for x in lines if x.startswith(("flags", "Features"))), "")


def instructions() -> str:
    """The instructions cells are compiled to: what $GATEDRNN_CPU_ISA says, or ``"native"``.

    Returns
    -------
    str
        A key of :data:`INSTRUCTIONS`.

    Raises
    ------
    CompilerError
        If there are no such instructions, or this processor lacks them.

    Example
    -------
    >>> instructions() in INSTRUCTIONS
    True
    """
    chosen = os.environ.get(VARIABLE) or "native"
    if chosen not in INSTRUCTIONS:
        raise CompilerError(f"{VARIABLE} must be one of {', '.join(INSTRUCTIONS)}, not {chosen!r}")
    have = _features().split()
    needed = [flag.removeprefix("-m") for flag in INSTRUCTIONS[chosen] if chosen != "native"]
    lacking = [name for name in needed if name not in have]
    if lacking:
        raise CompilerError(
            f"{VARIABLE}={chosen} needs instructions that this processor lacks: "
            f"{', '.join(lacking)}"
        )
    return chosen


def describe() -> str:
    """The compiler and the instructions it makes, or why cells are not compiled here.

    Returns
    -------
    str

    Example
    -------
    >>> len(describe()) > 0
    True
    """
    reason = obstacle()
    if reason is not None:
        return f"none: {reason}"
    chosen = instructions()
    found = chosen
    if chosen == "native":
        have = set(_features().split())
        sets = ("avx512", "avx2")
        named = (n for n in sets if {f.removeprefix("-m") for f in INSTRUCTIONS[n]} <= have)
        found = f"native ({next(named, platform.machine())})"
    return f"{compiler()}, instructions {found}, {VARIABLE} chooses; kept in {cache_folder()}"


def _flags() -> tuple[str, ...]:
    return (*FLAGS, *INSTRUCTIONS[instructions()])


@lru_cache
def _machine(command: str) -> str:
    """What a compiled file depends on beside its source and its flags."""
    version = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)
    return "\n".join((command, version.stdout, platform.machine(), _features()))


@lru_cache
def _private_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="gatedrnn-"))


def cache_folder() -> Path:
    """Where compiled cells are kept: $GATEDRNN_CACHE, or the user's cache folder."""
    chosen = os.environ.get("GATEDRNN_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "gatedrnn"


_WARNED: set[Path] = set()


def _writable_folder() -> Path:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        if folder not in _WARNED:
            _WARNED.add(folder)
            warnings.warn(
                f"the cache folder {folder} cannot be written ({error.strerror or error}), so "
                "cells are compiled anew in every process; set GATEDRNN_CACHE to a folder that can",
                UserWarning,
                stacklevel=2,
            )
        return _private_folder()


_LOCK = threading.Lock()
_LOADED: dict[str, ctypes.CDLL] = {}


def load(source: str) -> ctypes.CDLL:
    """Compiles a source, or finds it compiled, and loads it.

    Arguments
    ---------
    source : str
        C++ that defines ``workspace`` and ``run``.

    Returns
    -------
    ctypes.CDLL

    Raises
    ------
    CompilerError
        If there is no compiler or it fails; the message carries its words.
    """
    with _LOCK:
        if source not in _LOADED:
            _LOADED[source] = _load(source)
        return _LOADED[source]


#: The least that uses what the flags ask for.
_PROBE = """#include <omp.h>
extern "C" long workspace(const long* n) { return omp_get_max_threads(); }
extern "C" void run(const long* n, void* const* p) {}
"""


@lru_cache
def obstacle() -> str | None:
    """Why nothing can be compiled here, or ``None``; tried out once."""
    try:
        load(_PROBE)
    except CompilerError as error:
        return str(error)
    return None


def _load(source: str) -> ctypes.CDLL:
    command = compiler()
    if command is None:
        raise CompilerError("no C++ compiler (c++, g++ or clang++) is on the path, nor is CXX set")
    key = "\n".join((source, _machine(command), *_flags()))
    name = hashlib.sha256(key.encode()).hexdigest()[:32] + ".so"
    ready = cache_folder() / name
    if ready.is_file():
        try:
            return _open(ready)
        except (OSError, AttributeError):
            # Cut short by a full disk, or not ours: built anew below.
            pass
    path = _writable_folder() / name
    _compile(command, source, path)
    return _open(path)


def _open(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    library.workspace.restype = ctypes.c_long
    library.workspace.argtypes = [ctypes.c_void_p]
    library.run.restype = None
    library.run.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    return library


def _compile(command: str, source: str, path: Path) -> None:
    """Writes ``path`` in one stroke: other processes see nothing or all of it."""
    with tempfile.TemporaryDirectory(prefix="build-", dir=path.parent) as folder:
        text, built = Path(folder, "cell.cpp"), Path(folder, path.name)
        text.write_text(source, encoding="utf-8")
        arguments = [command, *_flags(), str(text), "-o", str(built)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CompilerError(f"{' '.join(arguments)} failed:\n{done.stderr[-4000:]}")
        os.replace(built, path)
