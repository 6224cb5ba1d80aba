"""Tables of trainings, and benchmarks."""
