"""Words: the terms that docs/style.md replaces stand nowhere."""

import re

from tests.test_architecture import structure


def test_replaced_terms_are_gone():
    terms = [f"{name}:{line}: {term!r}: {better}" for name, line, term, better in
             structure.glossary_terms()]  # fmt: skip
    assert terms == []


def test_terms_are_found():
    """Each rule finds what it is to find, and leaves ordinary English alone."""
    examples = {
        "readings": "the best reading of each utterance; lists of readings",
        "prefix": "the beginning of a hypothesis",
        "resumes": "the training goes on",
        "metrics": "figures of the test",
        "greedy": "the likeliest word",
    }
    rules = [(re.compile(pattern), better) for pattern, better, _ in structure.GLOSSARY]
    for text in examples.values():
        assert any(pattern.search(text) for pattern, _ in rules), text
    for text in (
        "reading a file",
        "one reads",
        "the plain LSTM",
        "at least one",
        "matplotlib.figure",
    ):
        assert not any(pattern.search(text) for pattern, _ in rules), text
