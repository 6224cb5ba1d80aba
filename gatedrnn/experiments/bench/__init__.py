"""Timings of recurrent networks beside those of other libraries."""
