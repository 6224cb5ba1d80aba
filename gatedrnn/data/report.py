"""What a preparation found: faults, each item once; figures; checks against published figures."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gatedrnn.data.faults import FAULTS
from gatedrnn.data.files import write_atomically

logger = logging.getLogger(__name__)

#: Items per kind of fault that the log names; the report file names all of them.
ITEMS_IN_LOG = 5


@dataclass(frozen=True)
class Check:
    """A figure beside the range in which it should lie.

    Arguments
    ---------
    name : str
        What is counted.
    value, low, high : float
        The figure, and the range, bounds included.
    source : str
        Who published the figure that the range is around.

    Example
    -------
    >>> Check("dev segments", 8665, 8665, 8665, "lhotse").holds
    True
    """

    name: str
    value: float
    low: float
    high: float
    source: str

    @property
    def holds(self) -> bool:
        """Whether the figure lies in the range."""
        return self.low <= self.value <= self.high


class Report:
    """Collects what a preparation found.

    Arguments
    ---------
    corpus : str
        Name of the corpus, for readers.

    Example
    -------
    >>> report = Report("mine")
    >>> report.add("audio-missing", "a.wav")
    >>> report.add("audio-missing", "a.wav")
    >>> report.count("audio-missing")
    1
    """

    def __init__(self, corpus: str) -> None:
        self.corpus = corpus
        self.figures: dict[str, Any] = {}
        self.notes: list[str] = []
        self.checks: list[Check] = []
        self._items: dict[str, dict[str, str]] = {}

    def add(self, kind: str, item: str, detail: str = "") -> None:
        """Names a faulty item; naming it again changes nothing.

        Arguments
        ---------
        kind : str
            A key of ``gatedrnn.data.faults.FAULTS``.
        item : str
            The file, utterance or word.
        detail : str
            What exactly is wrong with it.

        Raises
        ------
        KeyError
            If there is no such kind.
        """
        fault = FAULTS[kind]
        self._items.setdefault(fault.kind, {}).setdefault(str(item), detail)

    def count(self, kind: str) -> int:
        """Counts the items of a kind of fault.

        Arguments
        ---------
        kind : str
            A key of ``FAULTS``.

        Returns
        -------
        int
        """
        return len(self._items.get(FAULTS[kind].kind, {}))

    def items(self, kind: str) -> dict[str, str]:
        """The items of a kind of fault, with their details.

        Arguments
        ---------
        kind : str
            A key of ``FAULTS``.

        Returns
        -------
        dict
            Item -> detail.
        """
        return dict(self._items.get(FAULTS[kind].kind, {}))

    def as_dict(self) -> dict[str, Any]:
        """Everything, as plain data.

        Returns
        -------
        dict

        Example
        -------
        >>> report = Report("mine")
        >>> report.add("text-empty", "utt1")
        >>> report.as_dict()["faults"]["text-empty"]["count"]
        1
        """
        return {
            "corpus": self.corpus,
            "figures": self.figures,
            "checks": [{**asdict(check), "holds": check.holds} for check in self.checks],
            "notes": self.notes,
            "faults": {
                kind: {
                    "action": FAULTS[kind].action,
                    "meaning": FAULTS[kind].meaning,
                    "count": len(items),
                    "items": items,
                }
                for kind, items in sorted(self._items.items())
            },
        }

    def write(self, path: str | Path) -> None:
        """Writes everything as JSON.

        Arguments
        ---------
        path : str or Path
            The file.
        """
        write_atomically(path, json.dumps(self.as_dict(), indent=1, ensure_ascii=False) + "\n")

    def log(self) -> None:
        """Tells the log: a line per kind of fault, and loudly the checks that fail."""
        for kind, items in sorted(self._items.items()):
            fault = FAULTS[kind]
            names = ", ".join(list(items)[:ITEMS_IN_LOG])
            more = f", and {len(items) - ITEMS_IN_LOG} more" if len(items) > ITEMS_IN_LOG else ""
            level = logging.INFO if fault.action == "noted" else logging.WARNING
            message = f"{self.corpus}: {len(items)} x {kind}, {fault.action} ({fault.meaning})"
            logger.log(level, "%s: %s%s", message, names, more)
        for check in self.checks:
            if not check.holds:
                logger.warning(
                    "%s: !!! %s is %g, OUTSIDE of %g..%g (%s)",
                    self.corpus,
                    check.name,
                    check.value,
                    check.low,
                    check.high,
                    check.source,
                )
        for note in self.notes:
            logger.info("%s: %s", self.corpus, note)
