"""Which of the three paths a cell takes on a GPU, and what keeps it from taking any.

===============  ==================================================================================
path             kernels
===============  ==================================================================================
``step``         one for each segment of each frame; recorded in CUDA graphs
``persistent``   one for the whole sequence; programs hold their weights and wait for each other
``elementwise``  one for the whole sequence; for cells with no matrix but the input's
===============  ==================================================================================

No path has been timed yet, and the persistent one has never run with more than one program: its
logic is tested in Triton's interpreter and its compiled code is inspected, which says nothing about
the waits between programs. So nothing chooses the persistent path by itself; set
``GATEDRNN_TRITON_PATH=persistent`` to take it.
"""

from __future__ import annotations

import importlib.util
import os

import torch

from gatedrnn.cells.declaration import Cell
from gatedrnn.engine.segments import UnsupportedOperation
from gatedrnn.engine.trace import trace
from gatedrnn.engine.triton.layout import Layout

STEP, PERSISTENT, ELEMENTWISE = "step", "persistent", "elementwise"
#: Environment variable that forces a path.
VARIABLE = "GATEDRNN_TRITON_PATH"
#: Least compute capability: tensor cores for bfloat16 and cooperative launches.
CAPABILITY = (8, 0)


def is_interpreted() -> bool:
    """Whether kernels run in Triton's interpreter, on CPU tensors (TRITON_INTERPRET=1)."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def obstacle(
    cell: Cell, device: torch.device, dtype: torch.dtype, training: bool = False
) -> str | None:
    """Why the Triton runner cannot run a cell.

    Arguments
    ---------
    cell : Cell
        The recurrence.
    device : torch.device
        Where its tensors are.
    dtype : torch.dtype
        Of its weights.
    training : bool
        Mode.

    Returns
    -------
    str or None
        ``None`` if it can.

    Example
    -------
    >>> from gatedrnn.cells import RAN
    >>> obstacle(RAN(input_size=3, hidden_size=4), torch.device("meta"), torch.float32)
    'it runs on CUDA devices only'
    """
    if is_interpreted():
        if device.type != "cpu":
            return "Triton's interpreter (TRITON_INTERPRET=1) is for CPU tensors"
    elif device.type != "cuda":
        return "it runs on CUDA devices only"
    elif dtype == torch.float64:
        return "it computes in float32 at most"
    elif torch.version.hip is not None:
        return "its waits between programs are for NVIDIA devices only"
    elif torch.cuda.get_device_capability(device) < CAPABILITY:
        return f"it needs compute capability {CAPABILITY[0]}.{CAPABILITY[1]}"
    if dtype not in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        return f"it does not know {dtype}"
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed (CUDA builds of torch bring it)"
    try:
        trace(cell, training)
    except UnsupportedOperation as error:
        return str(error)
    return None


def path(layout: Layout, device: torch.device, dtype: torch.dtype) -> str:
    """The path of a call.

    Arguments
    ---------
    layout : Layout
        The cell.
    device : torch.device
        Where.
    dtype : torch.dtype
        Of the input.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the environment names an unknown path, or one that cannot run this cell.

    Example
    -------
    >>> from gatedrnn.cells import RAN, SlimLSTM
    >>> layouts = (Layout(trace(c(input_size=3, hidden_size=4))) for c in (RAN, SlimLSTM))
    >>> [path(layout, torch.device("cuda"), torch.float32) for layout in layouts]
    ['step', 'step']
    >>> scan = Layout(trace(SlimLSTM(input_size=3, hidden_size=4, variant="10")))
    >>> path(scan, torch.device("cuda"), torch.float32)
    'elementwise'
    """
    forced = os.environ.get(VARIABLE)
    if forced is None:
        return ELEMENTWISE if layout.is_elementwise else STEP
    if forced not in (STEP, PERSISTENT, ELEMENTWISE):
        raise ValueError(f"{VARIABLE} must be step, persistent or elementwise, not {forced!r}")
    if layout.is_elementwise and forced == PERSISTENT:
        # Nobody waits for anybody: it is the same kernel.
        return ELEMENTWISE
    if forced == ELEMENTWISE and not layout.is_elementwise:
        label = layout.step.plan.cell.label
        raise ValueError(f"{VARIABLE}=elementwise: {label} has recurrent matrices")
    return forced
