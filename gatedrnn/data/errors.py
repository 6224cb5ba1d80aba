"""Errors that are the user's to solve, beside ValueError and OSError."""


class MissingExtraError(ImportError):
    """An optional package is not installed; the message names the extra to install."""
