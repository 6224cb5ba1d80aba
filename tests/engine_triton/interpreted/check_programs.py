"""Several programs of a persistent kernel, waiting for each other: one process for each.

The interpreter runs the programs of a grid one after another, so a wait between them would never
end. Here each program is a process of its own on shared memory. This tests which program does
what, and that nothing is read before its wait or overwritten too early; a GPU's memory model it
does not test.
"""

from __future__ import annotations

import multiprocessing
import sys
import traceback

import pytest
import torch
from triton.runtime import interpreter

from gatedrnn.cells import LSTMP, RAN, DepthGatedLSTM, ResidualLSTM
from gatedrnn.engine.triton import dispatch, launch
from tests.engine_triton.compare import compare

PROGRAMS = 2


def _one(run_loop, number, count, arguments):
    builder = interpreter.interpreter_builder
    ids, counts = {0: number}, {0: count}
    builder.create_get_program_id = lambda axis: _scalar(ids.get(axis, 0))
    builder.create_get_num_programs = lambda axis: _scalar(counts.get(axis, 1))
    launch.Tiles.grid = lambda *_: (1, 1)
    try:
        run_loop(*arguments)
    except BaseException:
        traceback.print_exc()
        sys.exit(1)


def _scalar(value):
    import numpy
    import triton.language as tl

    return interpreter.TensorHandle(numpy.array([value], dtype=numpy.int32), tl.int32)


@pytest.fixture
def many_programs(monkeypatch):
    """Runs every loop kernel as a group of processes; counts the groups."""
    table, run_loop, groups = launch.table, launch.run_loop, []

    def shared_table(buffers, tensors, frames):
        for tensor in tensors.values():
            tensor.share_memory_()
        return table(buffers, tensors, frames)

    def run_together(layout, module, backward, entries, batch, tiles, device):
        widths = [s.width for s in layout.segments]
        count, _ = tiles.grid(batch, widths)
        arguments = (layout, module, backward, entries, batch, tiles, device)
        context = multiprocessing.get_context("fork")
        group = [
            context.Process(target=_one, args=(run_loop, k, count, arguments)) for k in range(count)
        ]
        for process in group:
            process.start()
        for process in group:
            process.join(60)
        codes = [process.exitcode for process in group]
        for process in group:
            process.kill()
        assert codes == [0] * count
        groups.append(count)

    monkeypatch.setattr(launch, "table", shared_table)
    monkeypatch.setattr(launch, "run_loop", run_together)
    monkeypatch.setattr(launch, "processors", lambda device: PROGRAMS)
    monkeypatch.setenv(dispatch.VARIABLE, "persistent")
    return groups


@pytest.mark.parametrize("gradients", (True, False))
@pytest.mark.parametrize(
    "cell",
    [
        LSTMP(input_size=3, hidden_size=13),
        ResidualLSTM(input_size=3, hidden_size=13, proj_size=9),
        RAN(input_size=3, hidden_size=13, proj_size=9),
        DepthGatedLSTM(input_size=3, hidden_size=9, layer_index=1, peephole="full"),
    ],
    ids=lambda cell: cell.label,
)
def test_programs_wait_for_each_other(cell, gradients, many_programs):
    with torch.set_grad_enabled(gradients):
        if gradients:
            compare(cell, frames=3, lengths=(3, 1, 2), reverse=True)
        else:
            compare(cell, frames=5, gradients=False)
    assert many_programs == [PROGRAMS] * (2 if gradients else 1)
