"""Turns a traced step into an imported module of Triton kernels.

Triton reads the source of a kernel from the file it was defined in, so the printed code becomes a
file of the user's cache folder: ``GATEDRNN_CACHE``, or ``gatedrnn`` in the usual cache folder. A
file is named by its content and put in place in one move, so any number of processes may make it
at once. Compiled kernels lie in Triton's own cache.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import torch

from gatedrnn.engine.trace import Step
from gatedrnn.engine.triton.layout import Layout
from gatedrnn.engine.triton.loops import LoopPrinter
from gatedrnn.engine.triton.printing import PREAMBLE
from gatedrnn.engine.triton.stepwise import StepPrinter

TYPES = {
    torch.float32: "tl.float32",
    torch.float64: "tl.float64",
    torch.float16: "tl.float16",
    torch.bfloat16: "tl.bfloat16",
}
#: Names of the kernels: the step path's for a segment, and those with the loop inside.
FORWARD, BACKWARD = "forward", "backward"
LOOP_FORWARD, LOOP_BACKWARD = "loop_forward", "loop_backward"


def cache_folder() -> Path:
    """Where printed kernels are kept.

    Where that cannot be written it is a temporary folder, without a warning: nothing but a few
    milliseconds of printing is lost. (What takes long is in Triton's cache, TRITON_CACHE_DIR.)

    Returns
    -------
    pathlib.Path
        An existing folder.
    """
    named = os.environ.get("GATEDRNN_CACHE")
    if named:
        folder = Path(named)
    else:
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(root) / "gatedrnn"
    folder = folder / "triton"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return _temporary_folder()


@lru_cache(maxsize=1)
def _temporary_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="gatedrnn-triton-"))


def print_module(
    layout: Layout,
    reverse: bool,
    dtype: torch.dtype,
    gradients: bool,
    cut: tuple[int, int] | None = None,
) -> str:
    """Prints all kernels of a step for one path.

    Arguments
    ---------
    layout : Layout
        The step.
    reverse : bool
        Direction in time.
    dtype : torch.dtype
        Of the input and the weights.
    gradients : bool
        Whether the backward is wanted.
    cut : tuple of int or None
        ``None``: the step path's kernels. Else those with the time loop inside: parts and length
        of a product's blocks, see :class:`gatedrnn.engine.triton.launch.Tiles`.

    Returns
    -------
    str
        Python source.

    Example
    -------
    >>> from gatedrnn.cells import RAN
    >>> from gatedrnn.engine.trace import trace
    >>> layout = Layout(trace(RAN(input_size=3, hidden_size=8)))
    >>> text = print_module(layout, False, torch.float32, gradients=True, cut=(4, 512))
    >>> "def loop_backward(table, B, BB: tl.constexpr, BU_8: tl.constexpr)" in text
    True
    """
    store = TYPES[dtype]
    wide = TYPES[torch.promote_types(dtype, torch.float32)]
    kernels = []
    for backward in (False, True) if gradients else (False,):
        if cut is not None:
            printer = LoopPrinter(layout, backward, reverse, store, wide)
            kernels.append(printer.kernel(LOOP_BACKWARD if backward else LOOP_FORWARD, *cut))
            continue
        for index in range(len(layout.segments)):
            printer = StepPrinter(layout, backward, reverse, store, wide)
            kernels.append(printer.kernel(index, f"{BACKWARD if backward else FORWARD}_{index}"))
    bits = 64 if dtype == torch.float64 else 32
    head = f"import triton\nimport triton.language as tl\n\nWIDE_BITS = tl.constexpr({bits})\n"
    return "\n\n".join([f"{head}\n{PREAMBLE.strip()}", *kernels]) + "\n"


def load(text: str) -> ModuleType:
    """Writes printed source where Triton can read it, and imports it.

    Arguments
    ---------
    text : str
        The source.

    Returns
    -------
    module
        Its functions are the kernels.
    """
    name = f"gatedrnn_triton_{hashlib.sha256(text.encode()).hexdigest()[:24]}"
    if name in sys.modules:
        return sys.modules[name]
    path = cache_folder() / f"{name}.py"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        handle, draft = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(draft, path)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


_MODULES: dict[tuple, ModuleType] = {}


def kernels(
    layout: Layout,
    reverse: bool,
    dtype: torch.dtype,
    gradients: bool,
    cut: tuple[int, int] | None = None,
) -> ModuleType:
    """The imported kernels of a step, made once in a process.

    Arguments
    ---------
    layout : Layout
        The step.
    reverse : bool
        Direction in time.
    dtype : torch.dtype
        Of the input and the weights.
    gradients : bool
        Whether the backward is wanted.
    cut : tuple of int or None
        As in :func:`print_module`.

    Returns
    -------
    module
    """
    key = (id(layout), reverse, dtype, gradients, cut)
    if key not in _MODULES:
        _MODULES[key] = load(print_module(layout, reverse, dtype, gradients, cut))
    return _MODULES[key]


_LAYOUTS: dict[int, Layout] = {}


def layout_of(step: Step) -> Layout:
    """The layout of a step, made once: steps live as long as the process."""
    if id(step) not in _LAYOUTS:
        _LAYOUTS[id(step)] = Layout(step)
    return _LAYOUTS[id(step)]
