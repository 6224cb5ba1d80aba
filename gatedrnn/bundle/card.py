"""Model cards: ``README.md`` of a bundle, with the results of the training's own test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def model_card(name: str, summary: str, use: Sequence[str], results: Sequence[str]) -> str:
    """Writes a card.

    Arguments
    ---------
    name : str
        Name of the bundle.
    summary : str
        What the model is; paragraphs are separated by empty lines.
    use : sequence of str
        Lines of Markdown that show its use.
    results : sequence of str
        Lines of Markdown, of :func:`result_lines`.

    Returns
    -------
    str
        Markdown.

    Example
    -------
    >>> print(model_card("mine", "A model.", ["    gatedrnn list"], ["None."]))
    # mine
    <BLANKLINE>
    A model.
    <BLANKLINE>
    ## Use
    <BLANKLINE>
        gatedrnn list
    <BLANKLINE>
    ## Results
    <BLANKLINE>
    None.
    <BLANKLINE>
    """
    lines = [f"# {name}", "", summary, "", "## Use", "", *use, "", "## Results", "", *results]
    return "\n".join(lines) + "\n"


def result_lines(
    training: Mapping[str, Any], title: str, columns: Mapping[str, str], otherwise: str
) -> list[str]:
    """The results of a training's test as a table of Markdown.

    Arguments
    ---------
    training : Mapping
        ``training`` of a bundle's config.
    title : str
        What the table shows.
    columns : Mapping
        Heading -> format of a set's results, such as ``"{[WER]:.2f}"``; the first one heads the
        names of the sets.
    otherwise : str
        Line in place of the table, while there are no complete results.

    Returns
    -------
    list of str

    Example
    -------
    >>> training = {"sets": {"test": {"WER": 7.125}}, "seed": 1, "epochs": 9}
    >>> columns = {"set": "", "WER %": "{[WER]:.2f}"}
    >>> print("\\n".join(result_lines(training, "Word error rates:", columns, "")))
    Word error rates:
    <BLANKLINE>
    | set | WER % |
    |---|---|
    | test | 7.12 |
    <BLANKLINE>
    Seed 1, 9 epochs.
    """
    rows = []
    for name, metrics in (training.get("sets") or {}).items():
        try:
            cells = [form.format(metrics) for form in list(columns.values())[1:]]
        except (KeyError, TypeError, ValueError):
            continue
        rows.append(f"| {' | '.join([name, *(cell.replace('|', ' ') for cell in cells)])} |")
    lines = [otherwise]
    if rows:
        lines = [title, "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", *rows]
    if "seed" in training:
        lines += ["", f"Seed {training['seed']}, {training.get('epochs', '?')} epochs."]
    return lines


def validation_line(training: Mapping[str, Any], text: str, digits: int = 2) -> str:
    """The validation metric of a training without test results, after a text."""
    for name, value in training.items():
        if name.startswith("validation"):
            return f"{text}: {value:.{digits}f}."
    return "No results are known."
