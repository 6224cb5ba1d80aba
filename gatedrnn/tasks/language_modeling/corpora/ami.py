"""Transcripts of AMI as running text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gatedrnn.data.report import Report
from gatedrnn.data.text import Text, read_lines
from gatedrnn.data.utterance import read_csv

SPLITS = ("train", "dev", "eval")
ORDERS = ("time", "file")
#: In the order in which they are looked for; plain text has neither meetings nor times.
SUFFIXES = (".tsv.gz", ".tsv", ".csv", ".txt", ".txt.gz")
_TSV = re.compile(
    r"(?P<meeting>[^\s.]+)\.(?P<agent>\S+) (?P<start>\d+(?:\.\d+)?) [\d.]+(?P<text> .*)?$"
)
_ID = re.compile(r"(?P<meeting>[^_]+)_(?P<agent>[^_]+)_(?P<start>\d+)_\d+")


@dataclass(frozen=True, slots=True)
class Turn:
    """What somebody says without a break.

    Arguments
    ---------
    meeting, agent : str
        Where, and who of those present.
    start : float
        When, in seconds.
    words : str
        What is said.
    """

    meeting: str
    agent: str
    start: float
    words: str


def read_ami(
    folder: Path, report: Report, order: str = "time", exclude: Sequence[str] = ()
) -> tuple[Text, Text, Text]:
    """Reads ``train``, ``dev`` and ``eval``.

    Arguments
    ---------
    folder : Path
        With ``train.tsv.gz`` and so on (``meeting.agent start end``, a tab, the text), or with the
        CSV files, or the plain text, that ``ami_prepare.py --text-only`` writes.
    report : Report
        Takes the faults.
    order : str
        ``"time"``: the turns of a meeting as they follow each other, so that an answer stands
        after its question. ``"file"``: as the files have them, one speaker after the other. Plain
        text has no times.
    exclude : sequence of str
        Meetings to leave out of the training text: ``["IB4005"]`` has speakers of dev.

    Returns
    -------
    tuple of Text
        Training, dev and eval.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If ``order`` is neither, or a meeting to leave out is not there.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> rows = "ES2011a.A 5.0 6.0\\tHELLO THERE\\nES2011a.B 4.0 5.0\\tHI\\n"
    >>> for split in SPLITS:
    ...     _ = (folder / f"{split}.tsv").write_text(rows)
    >>> read_ami(folder, Report("mine"))[0].lines
    ['HI', 'HELLO THERE']
    """
    if order not in ORDERS:
        raise ValueError(f"order must be {' or '.join(ORDERS)}, not {order!r}")
    texts = []
    for split in SPLITS:
        path = _find(folder, split)
        if path.name.endswith((".txt", ".txt.gz")):
            if exclude and split == "train":
                raise ValueError(f"{path} does not say which meeting a line is of: take the .csv")
            report.notes.append(f"{path.name} has no times: its order is kept")
            texts.append(Text(split, read_lines(path, report)))
            continue
        turns = _from_csv(path) if path.suffix == ".csv" else _from_tsv(path, report)
        if split == "train":
            unknown = sorted(set(exclude) - {turn.meeting for turn in turns})
            if unknown:
                raise ValueError(f"{path} has no meeting {', '.join(unknown)} to leave out")
            turns = [turn for turn in turns if turn.meeting not in set(exclude)]
        if order == "time":
            place: dict[str, int] = {}
            for turn in turns:
                place.setdefault(turn.meeting, len(place))
            turns.sort(key=lambda turn: (place[turn.meeting], turn.start, turn.agent))
        texts.append(Text(split, [turn.words for turn in turns]))
    train, dev, test = texts
    return train, dev, test


def _find(folder: Path, split: str) -> Path:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    for suffix in SUFFIXES:
        if (folder / f"{split}{suffix}").is_file():
            return folder / f"{split}{suffix}"
    raise FileNotFoundError(
        f"{folder}: there is no {split} with one of the endings {', '.join(SUFFIXES)}; "
        "recipes/AMI/ami_prepare.py --text-only makes them"
    )


def _from_tsv(path: Path, report: Report) -> list[Turn]:
    turns = []
    for number, line in enumerate(read_lines(path, report), start=1):
        # The tab has become a space, like all that separates words.
        row = _TSV.match(line)
        if row is None:
            report.add("value-unreadable", f"{path.name}, row {number}", line[:80])
        elif not row["text"]:
            report.add("text-empty", f"{path.name}, row {number}", line[:80])
        else:
            start = float(row["start"])
            turns.append(Turn(row["meeting"], row["agent"], start, row["text"].strip()))
    if not turns:
        raise ValueError(f"{path} has no row `meeting.agent start end<TAB>TEXT`")
    return turns


def _from_csv(path: Path) -> list[Turn]:
    turns = []
    for utterance in read_csv(path):
        name = _ID.match(utterance.id)
        if name is None:
            raise ValueError(
                f"{path}: {utterance.id} is not an identifier of ami_prepare.py, which are "
                "meeting_agent_start_end"
            )
        words = " ".join(utterance.words.split())
        if words:
            turns.append(Turn(name["meeting"], name["agent"], int(name["start"]) / 1000, words))
    return turns
