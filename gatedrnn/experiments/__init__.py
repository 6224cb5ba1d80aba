"""Experiments: tables of trainings (compare) and benchmarks (bench)."""

__all__ = ["bench", "compare"]
