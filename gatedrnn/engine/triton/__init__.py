"""The GPU runner: Triton kernels printed from a cell's traced step. No compiler is needed."""
