"""What reading and preparing a corpus finds: issues, statistics, and checks of published numbers.

Every kind of issue that preparation knows is listed here with what is done about it: ``skipped``
leaves the item out, ``repaired`` changes it, ``reported`` keeps it as it is.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gatedrnn.data.files import write_atomically

logger = logging.getLogger(__name__)

#: Items per kind of issue that the log names; the report file names all of them.
ITEMS_IN_LOG = 5
#: Keys of ``report.json`` of older versions -> keys of today.
_OLD_KEYS = {"figures": "statistics", "faults": "issues"}  # old names


@dataclass(frozen=True)
class Issue:
    """A kind of issue: its name, what is done about it, and a sentence for readers of the report.

    Example
    -------
    >>> ISSUES["audio-truncated"].action
    'skipped'
    """

    kind: str
    action: str
    meaning: str


_AUDIO = (
    Issue("audio-missing", "skipped", "there is no such audio file"),
    Issue("audio-empty", "skipped", "the audio file holds no samples"),
    Issue("audio-unreadable", "skipped", "the audio file cannot be opened or decoded"),
    Issue("audio-truncated", "skipped", "the audio file ends before its own header says"),
    Issue(
        "recording-truncated",
        "repaired",
        "the recording is cut off; what lies before is still used",
    ),
    Issue("audio-rate", "reported", "another sample rate than the corpus's: resampled at loading"),
    Issue(
        "audio-channels", "repaired", "several channels: the one in the column `channel` is read"
    ),
    Issue("audio-converted", "repaired", "headerless samples, written again as WAV files"),
    Issue(
        "audio-duplicate", "reported", "the same recording lies in two places: the first is used"
    ),
    Issue("past-the-end", "skipped", "starts after its audio has ended"),
    Issue(
        "clipped",
        "repaired",
        "ran past the end of its audio: cut there, words timed after it dropped",
    ),
    Issue("no-duration", "skipped", "ends where it starts, or before"),
)

_TEXT = (
    Issue("text-empty", "skipped", "the transcript holds no words"),
    Issue("characters-unknown", "skipped", "characters outside of the character set"),
    Issue("characters-removed", "repaired", "characters outside of the character set were removed"),
    Issue("speaker-missing", "repaired", "a row without a speaker: called `unknown`"),
    Issue("column-missing", "skipped", "a field that every row needs is missing or empty"),
    Issue("value-unreadable", "skipped", "a field holds what cannot be read"),
    Issue("id-repeated", "skipped", "this identifier was seen before"),
    Issue("transcript-missing", "skipped", "audio without a transcript"),
)

_NXT = (
    Issue("xml-broken", "skipped", "cut off, or not XML: this speaker of this meeting is left out"),
    Issue("words-file-missing", "skipped", "segments without a file of words"),
    Issue("segments-file-missing", "skipped", "words without a file of segments"),
    Issue("meeting-unknown", "skipped", "annotated, but in no part of the partition"),
    Issue("meeting-unannotated", "skipped", "in the partition, but not annotated"),
    Issue("speaker-unlisted", "repaired", "not in meetings.xml: named after meeting and agent"),
    Issue("word-untimed", "repaired", "a word without times: placed at the end of the one before"),
    Issue(
        "word-negative", "repaired", "a word that ends before it starts: it ends where it starts"
    ),
    Issue("word-unlinked", "skipped", "a word that no segment refers to"),
    Issue("word-transform-error", "skipped", "a word the corpus marks as failed conversion"),
    Issue("link-missing", "skipped", "a segment that refers to no words"),
    Issue("link-broken", "skipped", "a segment that refers to words that do not exist"),
    Issue("segment-untimed", "repaired", "a segment without readable times: those of its words"),
    Issue("segment-negative", "repaired", "a segment that ends before it starts: its words' times"),
    Issue("segment-overlap", "reported", "two segments of one speaker overlap: both are kept"),
)

_LINES = (
    Issue("bytes-not-utf8", "repaired", "bytes that are not UTF-8: each became U+FFFD"),
    Issue("byte-order-mark", "repaired", "the file begins with a byte order mark: removed"),
    Issue("line-empty", "skipped", "lines without a word"),
    Issue("line-long", "reported", "lines of more than 100,000 characters: kept whole"),
)

_CAPTIONS = (
    Issue("image-missing", "skipped", "there is no such image"),
    Issue("image-unreadable", "skipped", "the file is no image"),
    Issue("image-truncated", "skipped", "the image begins well, but is cut off or broken"),
    Issue("features-missing", "skipped", "there is no such file of features"),
    Issue("features-unreadable", "skipped", "the features are not there or are no numbers"),
    Issue("caption-empty", "repaired", "captions without a word were left out"),
    Issue("references-missing", "skipped", "there is no caption, or none with a word"),
    Issue("split-missing", "skipped", "belongs to no split"),
    Issue("split-unknown", "skipped", "belongs to a split of another name"),
)

_MUSIC = (
    Issue("piece-empty", "skipped", "the piece has no frames"),
    Issue("piece-short", "skipped", "the piece has a single frame: nothing can be predicted"),
    Issue("piece-silent", "reported", "no note sounds in the piece"),
    Issue("note-repeated", "repaired", "a note stands twice in a frame: it sounds once"),
)

_PARALLEL = (
    Issue("pair-empty", "skipped", "a sentence or its translation holds no words"),
    Issue("pair-incomplete", "skipped", "a line without two sentences and a tab between them"),
    Issue("pair-repeated", "skipped", "the same pair was seen before"),
    Issue("pair-long", "skipped", "a sentence for training of more tokens than max_length"),
    Issue("pair-uneven", "skipped", "one of two sentences for training is many times as long"),
)

#: Kind -> issue.
ISSUES = {f.kind: f for f in (*_AUDIO, *_TEXT, *_NXT, *_LINES, *_CAPTIONS, *_MUSIC, *_PARALLEL)}


@dataclass(frozen=True)
class Check:
    """A number and the range in which it should lie, bounds included; ``source`` published it.

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
        """Whether the value lies in the range."""
        return self.low <= self.value <= self.high


class Report:
    """Collects what reading or preparing a corpus finds.

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
        self.statistics: dict[str, Any] = {}
        self.notes: list[str] = []
        self.checks: list[Check] = []
        self._items: dict[str, dict[str, str]] = {}

    def add(self, kind: str, item: str, detail: str = "") -> None:
        """Adds an item with an issue; adding it again changes nothing.

        kind: A key of ``gatedrnn.data.report.ISSUES``.
        item: The file, utterance or word.
        detail: What exactly is wrong with it.
        """
        self._items.setdefault(ISSUES[kind].kind, {}).setdefault(str(item), detail)

    def count(self, kind: str) -> int:
        """Number of items with a kind of issue."""
        return len(self.items(kind))

    def items(self, kind: str) -> dict[str, str]:
        """Items with a kind of issue -> their details."""
        return dict(self._items.get(ISSUES[kind].kind, {}))

    def as_dict(self) -> dict[str, Any]:
        """The content of ``report.json``.

        Example
        -------
        >>> report = Report("mine")
        >>> report.add("text-empty", "utt1")
        >>> report.as_dict()["issues"]["text-empty"]["count"]
        1
        """
        return {
            "corpus": self.corpus,
            "statistics": self.statistics,
            "checks": [{**asdict(check), "holds": check.holds} for check in self.checks],
            "notes": self.notes,
            "issues": {
                kind: {
                    "action": ISSUES[kind].action,
                    "meaning": ISSUES[kind].meaning,
                    "count": len(items),
                    "items": items,
                }
                for kind, items in sorted(self._items.items())
            },
        }

    def write(self, path: str | Path) -> None:
        """Writes everything as JSON."""
        write_atomically(path, json.dumps(self.as_dict(), indent=1, ensure_ascii=False) + "\n")

    def log(self) -> None:
        """Logs a line per kind of issue, and warns of the checks that fail."""
        for kind, items in sorted(self._items.items()):
            issue = ISSUES[kind]
            names = ", ".join(list(items)[:ITEMS_IN_LOG])
            more = f", and {len(items) - ITEMS_IN_LOG} more" if len(items) > ITEMS_IN_LOG else ""
            level = logging.INFO if issue.action == "reported" else logging.WARNING
            message = f"{self.corpus}: {len(items)} x {kind}, {issue.action} ({issue.meaning})"
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


def read_report(path: str | Path) -> dict[str, Any]:
    """Reads a ``report.json``, also one of an older version, with the keys of today."""
    data = json.loads(Path(path).read_text(encoding="utf-8"))
    return {_OLD_KEYS.get(key, key): value for key, value in data.items()}
