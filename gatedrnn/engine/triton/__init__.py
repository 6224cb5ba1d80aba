"""The GPU runner: Triton kernels printed from a cell's traced step; no compiler is needed.

========================================  =========================================================
module                                    what is in it
========================================  =========================================================
:mod:`~gatedrnn.engine.triton.layout`     buffers and products of a step, in both directions
:mod:`~gatedrnn.engine.triton.printing`   scalar programs as Triton code; functions it calls
:mod:`~gatedrnn.engine.triton.kernels`    what all kernels share
:mod:`~gatedrnn.engine.triton.stepwise`   the step path's kernels
:mod:`~gatedrnn.engine.triton.loops`      kernels with the time loop inside: persistent, scan
:mod:`~gatedrnn.engine.triton.source`     printed text as an imported module
:mod:`~gatedrnn.engine.triton.launch`     tiles, tables of addresses, CUDA graphs
:mod:`~gatedrnn.engine.triton.dispatch`   which path a cell takes, and what keeps it from any
:mod:`~gatedrnn.engine.triton.runner`     what happens before and after the kernels
========================================  =========================================================

A kernel computes a tile of sequences by units: all products of its units (the matrices of one sum
lie beside each other in the packed weights), then the traced pointwise program. float32 products
are exact (no TF32); float16 and bfloat16 are stored as such and computed in float32. Gamma draws
are made inside the kernels, from Philox numbers counted by sequence, unit, frame and draw: a seed
decides them, whatever the tiles.

Triton itself is imported when the first cell runs. With TRITON_INTERPRET=1 in the environment the
runner takes CPU tensors (and float64), which is how it is tested without a GPU.
"""
