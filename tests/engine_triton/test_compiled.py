"""Compiles the kernels for sm_90, which needs no GPU, and looks at what became of them.

What is asserted: no spilled registers, shared memory within a multiprocessor's, and in the
persistent kernels the order of things that a compiler must not change: weights are put into shared
memory before the loop, and no load is made early by copying asynchronously in front of a wait.
"""

from __future__ import annotations

import os
import re
import subprocess

import pytest
import torch

from gatedrnn.cells import LSTMP, RAN, BetaLSTM, ResidualLSTM, SlimLSTM
from gatedrnn.engine.trace import trace
from gatedrnn.engine.triton import launch, source
from gatedrnn.engine.triton.layout import Layout

triton = pytest.importorskip("triton", reason="triton is not installed")

from triton import knobs  # noqa: E402
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") == "1", reason="this process interprets kernels"
)

#: Dynamic shared memory of a program on sm_90, and multiprocessors of the smallest such board.
SHARED, PROCESSORS = 232448, 132
WIDE = {"input_size": 512, "hidden_size": 1024}
SQUARE = {"input_size": 512, "hidden_size": 512}


def compile_kernel(kernel, constants, tiles, loop, waits):
    signature = dict.fromkeys(kernel.arg_names, "i32") | {"table": "*i64"}
    signature |= dict.fromkeys(constants, "constexpr")
    options = {"num_warps": tiles.warps}
    if loop:
        options |= {"num_stages": 1, "launch_cooperative_grid": waits}
    ordered = {name: signature[name] for name in kernel.arg_names}
    attributes = {(0,): [["tt.divisibility", 16]]}
    built = ASTSource(kernel, ordered, constexprs=constants, attrs=attributes)
    return triton.compile(built, target=GPUTarget("cuda", 90, 32), options=options)


def compile_cell(cell, batch, dtype, loop, training=False):
    """Name of each kernel -> compiled."""
    layout = Layout(trace(cell, training))
    widths = list(dict.fromkeys(s.width for s in layout.segments))
    if loop:
        tiles = launch.loop_tiles(layout, batch, dtype, PROCESSORS)
        names = {source.LOOP_FORWARD: widths, source.LOOP_BACKWARD: widths}
    else:
        tiles = launch.step_tiles(layout, batch, dtype)
        names = {
            f"{direction}_{i}": [segment.width]
            for direction in (source.FORWARD, source.BACKWARD)
            for i, segment in enumerate(layout.segments)
        }
    cut = (tiles.split, tiles.summed) if loop else None
    module = source.load(source.print_module(layout, False, dtype, True, cut))
    found = {}
    for name, used in names.items():
        constants = {"BB": tiles.rows} | {f"BU_{w}": tiles.units[w] for w in used}
        if not loop:
            constants["BK"] = tiles.summed
        waits = not layout.is_elementwise
        found[name] = compile_kernel(getattr(module, name), constants, tiles, loop, waits)
    if loop:
        assert tiles.grid(batch, widths)[0] * tiles.grid(batch, widths)[1] <= PROCESSORS or (
            layout.is_elementwise
        )
    return found


def resources(kernel, folder):
    """Registers of a thread, bytes of its stack, and local bytes, as the assembler counted them."""
    path = folder / "kernel.cubin"
    path.write_bytes(kernel.asm["cubin"])
    text = subprocess.run(
        [knobs.nvidia.cuobjdump.path, "-res-usage", path],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return tuple(int(re.search(rf"{key}:(\d+)", text)[1]) for key in ("REG", "STACK", "LOCAL"))


CASES = {
    "step-lstm-bf16": (LSTMP(**SQUARE), 16, torch.bfloat16, False),
    "step-lstm-fp32": (LSTMP(**SQUARE), 16, torch.float32, False),
    "step-residual-fp16": (ResidualLSTM(**WIDE, proj_size=512), 40, torch.float16, False),
    "step-beta-bf16": (BetaLSTM(**SQUARE), 16, torch.bfloat16, False),
    "scan-slim-fp32": (SlimLSTM(**SQUARE, variant="11"), 16, torch.float32, True),
    "scan-slim-bf16": (SlimLSTM(**SQUARE, variant="C6"), 16, torch.bfloat16, True),
    "loop-lstm-512-bf16": (LSTMP(**SQUARE), 16, torch.bfloat16, True),
    "loop-lstm-1024-fp16": (LSTMP(**WIDE), 16, torch.float16, True),
    "loop-lstm-512-fp32": (LSTMP(**SQUARE), 16, torch.float32, True),
    "loop-residual-bf16": (ResidualLSTM(**WIDE, proj_size=512), 16, torch.bfloat16, True),
    "loop-ran-bf16": (RAN(**WIDE), 16, torch.bfloat16, True),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_compiles_for_sm_90(case, tmp_path):
    cell, batch, dtype, loop = case
    kernels = compile_cell(cell, batch, dtype, loop, training=isinstance(cell, BetaLSTM))
    waits = loop and not Layout(trace(cell)).is_elementwise
    for name, kernel in kernels.items():
        registers, stack, local = resources(kernel, tmp_path)
        # Seven products and five draws in one kernel: a few registers too many.
        allowed = 64 if isinstance(cell, BetaLSTM) else 0
        assert registers <= 255 and local == 0, (name, registers, local)
        assert stack <= allowed, (name, stack)
        assert kernel.metadata.shared <= SHARED, name
        if dtype != torch.float32 and (waits or not loop):
            assert "mma" in kernel.asm["ptx"], name
        if waits:
            check_waits(kernel)


def check_waits(kernel):
    assert kernel.metadata.launch_cooperative_grid
    assert "cp.async" not in kernel.asm["ptx"]
    before, loop = kernel.asm["ttgir"].split("scf.for", 1)
    weights = [line for line in before.splitlines() if re.match(r"\s*%w\d", line)]
    assert any("local_alloc" in line for line in weights)
    assert not re.search(r"%w\w+ = tt\.load", loop), "weights are read again in every frame"
    lines = [line.strip() for line in loop.splitlines()]
    kinds = ("gpu.barrier", "tt.atomic_rmw add, release", "tt.atomic_rmw add, acquire")
    order = [next(k for k in kinds if k in line) for line in lines if any(k in line for k in kinds)]
    each = [kinds[0], kinds[1], kinds[2], kinds[0]]
    assert order and order == each * (len(order) // 4), order
    # Exchanged rows are read from where all programs see them, and never before the first wait
    # of the frame that follows their store.
    exchanged = [line for line in lines if "cacheModifier = cg" in line]
    assert exchanged and "cacheModifier = cg" not in before


def test_a_length_is_no_reason_to_compile():
    layout = Layout(trace(LSTMP(**SQUARE)))
    tiles = launch.loop_tiles(layout, 16, torch.bfloat16, PROCESSORS)
    for cut in (None, (tiles.split, tiles.summed)):
        module = source.load(source.print_module(layout, False, torch.bfloat16, True, cut))
        kernel = getattr(module, source.LOOP_FORWARD if cut else f"{source.FORWARD}_0")
        plain = {p.name: p for p in kernel.params}
        assert "T" not in plain
        for name in ("B", "frame") if cut is None else ("B",):
            assert plain[name].do_not_specialize
