"""Tables of results, and reports made of them: as text, Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["ResultTable", "Section", "list_names", "render"]

#: Names that a report lists; JSON has all.
LISTED = 20


class ResultTable:
    """A table of results, built row by row.

    columns: Headings of the columns.
    text_columns: How many columns, from the left, hold text and are aligned left; the others
        hold numbers and are aligned right.
    digits: Decimals of floats: for all columns, or by heading (2 where a heading is missing).
    missing: What text and Markdown show for None.

    Example
    -------
    >>> table = ResultTable(["set", "words", "WER %"])
    >>> table.add("dev", 200, 9.5)
    >>> table.add("test", 1000, None)
    >>> print(table.text())
    set   words  WER %
    dev     200   9.50
    test   1000      -
    >>> print(table.markdown())
    | set | words | WER % |
    |---|---:|---:|
    | dev | 200 | 9.50 |
    | test | 1000 | - |
    >>> table.records()[0]
    {'set': 'dev', 'words': 200, 'WER %': 9.5}
    """

    def __init__(
        self,
        columns: Sequence[str],
        *,
        text_columns: int = 1,
        digits: int | Mapping[str, int] = 2,
        missing: str = "-",
    ) -> None:
        self.columns = list(columns)
        self.text_columns = text_columns
        self.missing = missing
        self._digits = [
            digits if isinstance(digits, int) else digits.get(name, 2) for name in self.columns
        ]
        self.rows: list[tuple[Any, ...]] = []

    def add(self, *cells: Any) -> None:
        """Appends a row: text, numbers, or None for a value that is not known."""
        if len(cells) != len(self.columns):
            raise ValueError(f"a row needs {len(self.columns)} cells, not {len(cells)}: {cells}")
        self.rows.append(cells)

    def _shown(self) -> list[list[str]]:
        """The cells as text, without the headings."""
        return [
            [
                self.missing
                if cell is None
                else f"{cell:.{digits}f}"
                if isinstance(cell, float)
                else str(cell)
                for cell, digits in zip(row, self._digits, strict=True)
            ]
            for row in self.rows
        ]

    def text(self) -> str:
        """The table in columns of equal width, two spaces apart."""
        lines = [self.columns, *self._shown()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if index < self.text_columns else cell.rjust(width)
                for index, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def markdown(self) -> str:
        """The table in Markdown."""
        numbers = len(self.columns) - self.text_columns
        rule = "|" + "---|" * self.text_columns + "---:|" * numbers
        head, *rows = (
            f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |"
            for line in (self.columns, *self._shown())
        )
        return "\n".join((head, rule, *rows))

    def csv(self) -> str:
        """The table as CSV: numbers in full precision, empty cells for None."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return file.getvalue()

    def records(self) -> list[dict[str, Any]]:
        """A dict per row: heading -> cell, JSON-serialisable if the cells are."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


#: A heading (empty for none), then paragraphs and tables.
Section = tuple[str, Sequence["str | ResultTable"]]


def render(sections: Iterable[Section], markdown: bool, level: int = 2) -> str:
    """Joins the sections of a report, with an empty line between its parts.

    markdown: Markdown, or text.
    level: Level of the headings in Markdown.

    Example
    -------
    >>> print(render([("By speaker", ["two", ResultTable(["name", "WER %"])])], markdown=True))
    ## By speaker
    <BLANKLINE>
    two
    <BLANKLINE>
    | name | WER % |
    |---|---:|
    """
    parts = []
    for heading, body in sections:
        if heading:
            parts.append(f"{'#' * level} {heading}" if markdown else heading)
        for item in body:
            if isinstance(item, ResultTable):
                parts.append(item.markdown() if markdown else item.text())
            else:
                parts.append(item)
    return "\n\n".join(parts)


def list_names(names: Sequence[str], limit: int = LISTED) -> str:
    """The number of names, and the first ``limit`` of them."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{len(names)} ({', '.join(names[:limit])}{more})"
