"""A Python loop with the traced backward: for machines without a C++ compiler."""
