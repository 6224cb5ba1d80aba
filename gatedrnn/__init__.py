"""Gated recurrent networks for SpeechBrain: exact, fast, and in deep stacks."""

from gatedrnn import renamed

__all__ = ["register"]
__version__ = "0.2.0"

renamed.install()


def __getattr__(name):
    # Imported when asked for: it needs SpeechBrain, which takes seconds to import.
    if name == "register":
        from gatedrnn.lobes.recurrence import register

        return register
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
