"""Corpora of running text in their usual layouts, and windows of their tokens.

Rows of tokens are processed side by side, a window of each at a time. A row is a segment of the
running text, whose state continues from one window to the next, or a line by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler

from gatedrnn.data.files import find_file, list_files
from gatedrnn.data.report import Report
from gatedrnn.data.tables import Text, read_bytes, read_csv, read_lines, read_text
from gatedrnn.tokens import IGNORE

__all__ = ["CORPORA", "Corpus", "read_corpus"]
#: The token that is read before the first one.
START = 0
#: Parts of 100 of a text that is divided: the rest is for training.
VALID = TEST = 5
#: Words in the path of a file, for a folder of text files -> the set it belongs to.
SETS = {
    "train": "train", "training": "train",
    "valid": "valid", "validation": "valid", "dev": "valid", "val": "valid",
    "test": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
_SUFFIXES = (".txt", ".txt.gz")
AMI_SPLITS = ("train", "dev", "eval")
AMI_ORDERS = ("time", "file")
#: In order of preference; plain text has neither meetings nor times.
AMI_SUFFIXES = (".tsv.gz", ".tsv", ".csv", ".txt", ".txt.gz")
_TSV = re.compile(
    r"(?P<meeting>[^\s.]+)\.(?P<agent>\S+) (?P<start>\d+(?:\.\d+)?) [\d.]+(?P<text> .*)?$"
)
_ID = re.compile(r"(?P<meeting>[^_]+)_(?P<agent>[^_]+)_(?P<start>\d+)_\d+")


@dataclass(frozen=True)
class Corpus:
    """The texts of a corpus.

    Arguments
    ---------
    train, valid : Text
        For training, and for validation: every choice is made by it.
    tests : tuple of Text
        For the results.
    """

    train: Text
    valid: Text
    tests: tuple[Text, ...] = ()


def read_corpus(layout: str, folder: str | Path, report: Report, **options: Any) -> Corpus:
    """Reads a corpus.

    Arguments
    ---------
    layout : str
        A key of ``CORPORA``: ``"ami"``, ``"ptb"``, ``"wikitext"``, ``"text8"`` or ``"folder"``.
    folder : str or Path
        Where it lies.
    report : Report
        Told about issues, and the numbers of lines, words and characters.
    **options : Any
        Of the layout's reader.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If there is no such layout, or a file is not what it should be.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for part in ("train", "valid", "test"):
    ...     _ = (folder / f"ptb.{part}.txt").write_text(" no it was n't \\n" * 3)
    >>> corpus = read_corpus("ptb", folder, Report("mine"))
    >>> corpus.valid.words
    15
    """
    if layout not in CORPORA:
        raise ValueError(f"corpus must be one of {', '.join(CORPORA)}, not {layout!r}")
    corpus = CORPORA[layout](Path(folder), report, **options)
    report.statistics["texts"] = {
        text.name: {"lines": len(text.lines), "words": text.words, "characters": text.characters}
        for text in (corpus.train, corpus.valid, *corpus.tests)
    }
    return corpus


@dataclass(frozen=True)
class Window:
    """A window: inputs and the token after each of them, ``IGNORE`` past the end of a row.

    ``first`` tells that rows begin here; otherwise they continue from the window before.
    ``lengths`` are relative lengths of the rows, where they differ.

    inputs: Tokens, int64, (rows, time).
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    first: bool
    id: tuple[str, ...] = ()
    lengths: torch.Tensor | None = None

    def to(self, device: torch.device | str) -> Window:
        """The window on a device."""
        moved = {n: getattr(self, n) for n in ("inputs", "targets", "lengths")}
        return replace(self, **{n: t.to(device) for n, t in moved.items() if t is not None})


@dataclass(frozen=True)
class Rows:
    """Rows of tokens that are processed side by side.

    ``starts`` and ``stops`` (rows,) are places in ``ids``; with ``fresh`` each row begins anew, as
    a line does, otherwise after the token before it."""

    ids: torch.Tensor
    starts: torch.Tensor
    stops: torch.Tensor
    fresh: bool = False

    def __len__(self) -> int:
        """Tokens of the longest row."""
        return int((self.stops - self.starts).max()) if len(self.starts) else 0

    def share(self, rank: int, world: int) -> Rows:
        """The rows of one process."""
        return replace(self, starts=self.starts[rank::world], stops=self.stops[rank::world])

    def window(self, begin: int, end: int) -> Window:
        """Some tokens of every row."""
        places = self.starts.unsqueeze(1) + torch.arange(begin, end)
        inside = places < self.stops.unsqueeze(1)
        last = max(0, len(self.ids) - 1)
        targets = self.ids[places.clamp(max=last)].long().masked_fill(~inside, IGNORE)
        inputs = self.ids[(places - 1).clamp(0, last)].long()
        anew = places == (self.starts.unsqueeze(1) if self.fresh else 0)
        return Window(inputs.masked_fill(anew, START), targets, begin == 0, (f"token {begin}",))

    def windows(self, size: int) -> Iterator[Window]:
        """All tokens of every row, one window after the other."""
        for begin in range(0, len(self), size):
            yield self.window(begin, min(begin + size, len(self)))


def streams(ids: torch.Tensor, count: int, equal: bool = False) -> Rows:
    """Cuts a text into ``count`` segments, processed side by side, that differ by one token.

    With ``equal``, as in training, they have the same length, and the remaining tokens are left
    out."""
    if not 1 <= count <= max(1, len(ids)):
        raise ValueError(
            f"a text of {len(ids)} tokens cannot be read as {count} streams: take from 1 to "
            f"{max(1, len(ids))}"
        )
    step = torch.arange(count + 1)
    borders = step * (len(ids) // count) if equal else step * len(ids) // count
    return Rows(ids, borders[:-1], borders[1:])


def lines(ids: torch.Tensor, offsets: torch.Tensor, count: int) -> list[Rows]:
    """Rows of ``count`` lines each, of similar length."""
    order = torch.argsort(offsets[1:] - offsets[:-1], stable=True)
    return [
        Rows(ids, offsets[:-1][part], offsets[1:][part], fresh=True) for part in order.split(count)
    ]


class WindowDataset(Dataset):
    """The windows of some rows, in their order."""

    def __init__(self, rows: Sequence[Rows], size: int) -> None:
        self.rows, self.size = rows, size
        self.places = [(i, begin) for i, r in enumerate(rows) for begin in range(0, len(r), size)]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Window:
        which, begin = self.places[index]
        rows = self.rows[which]
        return rows.window(begin, min(begin + self.size, len(rows)))


class LineDataset(Dataset):
    """Batches of whole lines; longer ones are cut, and what follows a cut is a line by itself.

    Example
    -------
    >>> lines = LineDataset(torch.tensor([5, 6, 7, 0, 8, 0]), torch.tensor([0, 4, 6]), longest=3)
    >>> lines.sizes
    [3, 1, 2]
    >>> lines[[0, 2]].targets
    tensor([[   5,    6,    7],
            [   8,    0, -100]])
    """

    def __init__(self, ids: torch.Tensor, offsets: torch.Tensor, longest: int) -> None:
        borders = [
            (begin, min(begin + longest, stop))
            for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
            for begin in range(start, stop, longest)
        ]
        self.ids = ids
        self.starts, self.stops = torch.tensor(borders).reshape(-1, 2).unbind(1)
        #: Tokens of each line.
        self.sizes = (self.stops - self.starts).tolist()

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, chosen: Sequence[int]) -> Window:
        rows = Rows(self.ids, self.starts[chosen], self.stops[chosen], fresh=True)
        window = rows.window(0, len(rows))
        lengths = (rows.stops - rows.starts) / len(rows)
        return replace(window, lengths=lengths, id=tuple(f"line {i}" for i in chosen))


class InOrder(Sampler[int]):
    """One window after the other, the same in every epoch."""

    def __init__(self, count: int) -> None:
        self.count = count

    def set_epoch(self, epoch: int) -> None:
        """Does nothing: a state that continues needs the order of the text."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.count))

    def __len__(self) -> int:
        return self.count


@dataclass(frozen=True, slots=True)
class Turn:
    """An utterance of a meeting; ``start`` is in seconds."""

    meeting: str
    agent: str
    start: float
    words: str


def ami(folder: Path, report: Report, order: str = "time", exclude: Sequence[str] = ()) -> Corpus:
    """Reads the transcripts of AMI: ``train``, ``dev`` and ``eval``.

    The folder has ``train.tsv.gz`` and so on (``meeting.agent start end``, a tab, the text), or the
    CSV files or text files that ``ami_prepare.py --text-only`` writes.

    order: ``"time"``: the turns of a meeting in order of time, so that an answer follows its
        question; ``"file"``: as in the files, speaker by speaker. Text files have no times.
    exclude: meetings to leave out of the training text: ``["IB4005"]`` has speakers of dev.
    """
    if order not in AMI_ORDERS:
        raise ValueError(f"order must be {' or '.join(AMI_ORDERS)}, not {order!r}")
    texts = []
    for split in AMI_SPLITS:
        path = _ami_file(folder, split)
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
    return Corpus(train, dev, (test,))


def ptb(folder: Path, report: Report) -> Corpus:
    """Reads ``ptb.train.txt``, ``ptb.valid.txt`` and ``ptb.test.txt``, one sentence a line.

    Rare words are ``<unk>`` and numbers ``N`` in the files themselves; the end of a sentence
    counts as a word (82,430 in the test set).
    """
    texts = (
        read_text(find_file(folder, f"ptb.{part}.txt"), part, report)
        for part in ("train", "valid", "test")
    )
    train, valid, test = texts
    return Corpus(train, valid, (test,))


def wikitext(folder: Path, report: Report, raw: bool = False) -> Corpus:
    """Reads ``wiki.{train,valid,test}.tokens``, or with ``raw`` the ``.raw`` files.

    Both are split into words, with ``@-@``, ``@,@`` and ``@.@`` inside of words and numbers. In
    ``.tokens`` rare words are ``<unk>``; in ``.raw`` they stand as they were, so that there is no
    closed vocabulary: perplexities of the two cannot be compared. Empty lines count, as is the
    custom (245,569 words in the test set of WikiText-2).
    """
    suffix = "raw" if raw else "tokens"
    texts = (
        read_text(find_file(folder, f"wiki.{part}.{suffix}"), part, report, keep_empty=True)
        for part in ("train", "valid", "test")
    )
    train, valid, test = texts
    return Corpus(train, valid, (test,))


def text8(folder: Path, report: Report) -> Corpus:
    """Reads ``text8``: one line of a to z and spaces, cut after 90 % and 95 % of its characters.

    Of the whole file, of 100,000,000 characters, these are the 90, 5 and 5 million characters that
    all use; a shorter file is cut in the same proportions. There are no ends of lines to predict.
    """
    path = folder if folder.is_file() else find_file(folder, "text8")
    characters = read_bytes(path).decode("utf-8", errors="replace").rstrip("\n")
    foreign = re.search(r"[^a-z ]", characters)
    if foreign or len(characters) < 100:
        wrong = f"has {foreign.group()!r} at {foreign.start()}" if foreign else "is too short"
        raise ValueError(
            f"{path} {wrong}: text8 holds a to z and spaces only; read other text as a folder"
        )
    end = len(characters) * (100 - TEST) // 100
    middle = len(characters) * (100 - VALID - TEST) // 100
    parts = characters[:middle], characters[middle:end], characters[end:]
    train, valid, test = (
        Text(name, [part], ends=False)
        for name, part in zip(("train", "valid", "test"), parts, strict=True)
    )
    return Corpus(train, valid, (test,))


def folder_of_texts(folder: Path, report: Report) -> Corpus:
    """Reads all ``.txt`` and ``.txt.gz`` files under a folder, or one file, a sentence per line.

    The path of a file says which set it belongs to: ``train/a.txt``, ``b.valid.txt``,
    ``dev-c.txt``, ``test.txt.gz``. Where no path does, all files together, in the order of their
    names, are cut at the line ends nearest after 90 % and 95 % of their characters.
    """
    if not folder.exists():
        raise FileNotFoundError(f"{folder}: no such folder")
    files = [folder] if folder.is_file() else list_files(folder)
    files = [file for file in files if file.name.endswith(_SUFFIXES)]
    if not files:
        raise FileNotFoundError(f"{folder}: there is no {' or '.join(_SUFFIXES)} file")
    sets: dict[str, list[Path]] = {}
    for file in files:
        sets.setdefault(_set_of(file, folder), []).append(file)
    if set(sets) == {""}:
        return _divide([line for file in files for line in read_lines(file, report)], folder)
    lost = sets.pop("", [])
    if lost or not {"train", "valid"} <= set(sets):
        raise ValueError(
            f"{folder}: "
            + (f"{lost[0]} belongs to no set" if lost else f"there are only {list(sets)}")
            + ": each file needs train, valid or test in its path, or none of them any"
        )
    texts = {
        name: Text(name, [line for file in files for line in read_lines(file, report)])
        for name, files in sets.items()
    }
    return Corpus(texts["train"], texts["valid"], tuple(texts[n] for n in texts if n == "test"))


#: Layout -> its reader.
CORPORA: dict[str, Callable[..., Corpus]] = {
    "ami": ami, "ptb": ptb, "wikitext": wikitext, "text8": text8, "folder": folder_of_texts,
}  # fmt: skip


def _set_of(file: Path, folder: Path) -> str:
    path = file.name if file == folder else str(file.relative_to(folder))
    sets = {SETS[word] for word in re.split("[^a-z]+", path.lower()) if word in SETS}
    if len(sets) > 1:
        raise ValueError(f"{file}: its path names several sets: {', '.join(sorted(sets))}")
    return sets.pop() if sets else ""


def _divide(lines: list[str], folder: Path) -> Corpus:
    total = sum(map(len, lines))
    parts: tuple[list[str], ...] = ([], [], [])
    done = 0
    for line in lines:
        part = (done * 100 >= total * (100 - VALID - TEST)) + (done * 100 >= total * (100 - TEST))
        parts[part].append(line)
        done += len(line)
    if not all(parts):
        raise ValueError(
            f"{folder}: {len(lines)} line(s) are too few to be divided; give files with train, "
            "valid and test in their paths"
        )
    train, valid, test = (
        Text(name, part) for name, part in zip(("train", "valid", "test"), parts, strict=True)
    )
    return Corpus(train, valid, (test,))


def _ami_file(folder: Path, split: str) -> Path:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    for suffix in AMI_SUFFIXES:
        if (folder / f"{split}{suffix}").is_file():
            return folder / f"{split}{suffix}"
    raise FileNotFoundError(
        f"{folder}: there is no {split} with one of the endings {', '.join(AMI_SUFFIXES)}; "
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
