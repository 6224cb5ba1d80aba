"""Gated recurrent networks for SpeechBrain: exact, fast, and in deep stacks."""

__version__ = "0.1.0"
