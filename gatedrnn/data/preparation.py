"""Preparation of speech corpora: every utterance is checked, and the work is done once.

A corpus lists entries; what can be used becomes CSV files of utterances, and a report names every
issue.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from gatedrnn.data.audio import AudioError, AudioFile, inspect
from gatedrnn.data.files import fingerprint, is_current, write_atomically, write_stamp
from gatedrnn.data.report import Report, read_report
from gatedrnn.data.tables import Utterance, write_csv

logger = logging.getLogger(__name__)

#: In the output folder: what the files in it were made from.
STAMP = ".prepared.json"
REPORT = "report.json"
#: Seconds by which a stated end may lie past that of the audio: rounding, not an error.
TOLERANCE = 0.1


@dataclass(frozen=True, slots=True)
class Entry:
    """An utterance as a corpus lists it, not yet checked.

    Arguments
    ---------
    id : str
        Unique within the corpus.
    start, stop : float or None
        Seconds; None for the start and the end of the file.
    channel : int
        Channel of the file, from 0.

    Example
    -------
    >>> Entry("u1", Path("a.wav"), "YES", "ann").stop is None
    True
    """

    id: str
    audio: Path
    text: str
    speaker: str
    start: float | None = None
    stop: float | None = None
    channel: int = 0


@dataclass(frozen=True)
class Policy:
    """How unusual entries are handled, and how a missing dev split is made.

    Arguments
    ---------
    rate : int
        Sample rate of the recipe: files with another are reported, and resampled at loading.
    characters : str or None
        All characters that transcripts may have beside the space; None for any.
    unknown : str
        ``"skip"`` transcripts with other characters, or ``"remove"`` these characters.
    upper : bool
        Write transcripts in upper case.
    dev_share : float
        Fraction of the training speech, by duration, that is held out where there is no dev split;
        always of whole speakers.
    seed : int
        Decides which speakers are held out.

    Example
    -------
    >>> Policy(characters="ABC'", unknown="remove").unknown
    'remove'
    """

    rate: int = 16_000
    characters: str | None = None
    unknown: str = "skip"
    upper: bool = False
    dev_share: float = 0.1
    seed: int = 1

    def __post_init__(self) -> None:
        if self.unknown not in ("skip", "remove"):
            raise ValueError(f"unknown {self.unknown!r}: must be 'skip' or 'remove'")
        if not 0 < self.dev_share < 1:
            raise ValueError(f"dev_share {self.dev_share}: must lie between 0 and 1")
        if self.rate <= 0:
            raise ValueError(f"rate {self.rate}: must be samples per second")


class Checker:
    """Checks entries, and reports those with issues.

    Example
    -------
    >>> report = Report("mine")
    >>> Checker(report, Policy()).check(Entry("u1", Path("nowhere.wav"), "YES", "ann"))
    >>> report.count("audio-missing")
    1
    """

    def __init__(self, report: Report, policy: Policy) -> None:
        self.report = report
        self.policy = policy
        self._headers: dict[Path, AudioFile | None] = {}
        self._seen: set[str] = set()
        self._unknown: Counter[str] = Counter()

    def check(self, entry: Entry) -> Utterance | None:
        """The utterance of an entry; None if it is skipped, which is reported."""
        if entry.id in self._seen:
            self.report.add("id-repeated", entry.id, f"again with {entry.audio}")
            return None
        self._seen.add(entry.id)
        words = self._words(entry)
        header = self._header(entry.audio)
        if words is None or header is None:
            return None
        span = self._span(entry, header)
        if span is None:
            return None
        start, stop = span
        if entry.channel >= header.channels:
            detail = f"channel {entry.channel}, but the file has {header.channels}"
            self.report.add("value-unreadable", entry.id, detail)
            return None
        seconds = (stop - start) / header.rate
        path = str(header.path.absolute())
        return Utterance(entry.id, seconds, path, start, stop, entry.channel, entry.speaker, words)

    def finish(self) -> None:
        """Writes the unknown characters with their numbers into the report."""
        if self._unknown:
            self.report.statistics["unknown_characters"] = dict(self._unknown.most_common())

    def _words(self, entry: Entry) -> str | None:
        """The transcript to write; None if it cannot be used."""
        words = " ".join(entry.text.split())
        words = words.upper() if self.policy.upper else words
        if not words:
            self.report.add("text-empty", entry.id, f"of {entry.audio}")
            return None
        if self.policy.characters is None:
            return words
        known = set(self.policy.characters) | {" "}
        unknown = [c for c in words if c not in known]
        if not unknown:
            return words
        self._unknown.update(unknown)
        characters = "".join(sorted(set(unknown)))
        if self.policy.unknown == "skip":
            self.report.add("characters-unknown", entry.id, f"{characters!r} in {words!r}")
            return None
        self.report.add("characters-removed", entry.id, f"{characters!r} from {words!r}")
        words = " ".join("".join(c for c in words if c in known).split())
        if not words:
            self.report.add("text-empty", entry.id, "once unknown characters were removed")
            return None
        return words

    def _header(self, path: Path) -> AudioFile | None:
        """The header of a file, read once; None if the file cannot be used."""
        if path in self._headers:
            return self._headers[path]
        header = None
        try:
            header = inspect(path)
        except AudioError as error:
            self.report.add(error.kind, str(path), error.detail)
        if header is not None:
            if header.channels > 1:
                self.report.add("audio-channels", str(path), f"{header.channels} channels")
            if header.rate != self.policy.rate:
                detail = f"{header.rate} Hz, not {self.policy.rate}"
                self.report.add("audio-rate", str(path), detail)
        self._headers[path] = header
        return header

    def _span(self, entry: Entry, header: AudioFile) -> tuple[int, int] | None:
        """First sample and the one past the last; None if there are none."""
        start, stop = entry.start or 0.0, entry.stop
        needed = header.declared / header.rate if stop is None else stop - TOLERANCE
        # Of a file that was cut off, segments before the cut are complete.
        if header.truncated and needed > header.seconds:
            detail = f"{header.frames} of {header.declared} samples are there"
            self.report.add("audio-truncated", str(entry.audio), detail)
            return None
        if start < 0 or (stop is not None and stop <= start):
            self.report.add("no-duration", entry.id, f"from {start} to {stop} s")
            return None
        if start >= header.seconds:
            detail = f"starts at {start} s of {header.seconds:.3f} s"
            self.report.add("past-the-end", entry.id, detail)
            return None
        if stop is not None and stop > header.seconds + TOLERANCE:
            detail = f"stated to end at {stop:.3f} s of {header.seconds:.3f} s"
            self.report.add("clipped", entry.id, detail)
        first = round(start * header.rate)
        last = header.frames if stop is None else min(header.frames, round(stop * header.rate))
        if last <= first:
            self.report.add("no-duration", entry.id, "less than a sample")
            return None
        return first, last


def hold_out_speakers(
    utterances: Sequence[Utterance], share: float, seed: int
) -> tuple[list[Utterance], list[Utterance]]:
    """Divides utterances into training and dev ones, without a speaker in both.

    Speakers are put in an order that follows from their names and the seed alone, and are held
    out until their speech reaches the fraction ``share``.
    """
    seconds: Counter[str] = Counter()
    for utterance in utterances:
        seconds[utterance.speaker] += utterance.duration
    if len(seconds) < 2:
        raise ValueError(
            f"only {len(seconds)} speaker in the training data: no dev split without its "
            "speakers can be made; give a dev split, or say who speaks in `speaker`"
        )
    order = sorted(seconds, key=lambda name: hashlib.sha256(f"{seed}\0{name}".encode()).digest())
    held: set[str] = set()
    total = 0.0
    for name in order[:-1]:
        if total >= share * sum(seconds.values()):
            break
        held.add(name)
        total += seconds[name]
    train = [utterance for utterance in utterances if utterance.speaker not in held]
    dev = [utterance for utterance in utterances if utterance.speaker in held]
    return train, dev


@dataclass(frozen=True)
class Prepared:
    """A prepared corpus: split -> file, the report, and whether it was there already."""

    files: Mapping[str, Path]
    report: Path
    reused: bool

    def findings(self) -> dict[str, Any]:
        """The content of the report."""
        return read_report(self.report)


def prepare(
    corpus: str,
    out: str | Path,
    options: Mapping[str, Any],
    inputs: Iterable[str | Path],
    make: Callable[[Report], Mapping[str, Sequence[Any]]],
    *,
    splits: Sequence[str],
    texts: bool = False,
    report: Report | None = None,
    write: Callable[[Path, Sequence[Any]], None] = write_csv,
    suffix: str = ".csv",
    describe: Callable[[Sequence[Any]], Mapping[str, Any]] | None = None,
) -> Prepared:
    """Writes a file per split and a report, unless they are there from the same options and files.

    options: All options that decide the result, JSON-serialisable.
    inputs: All files that decide the result.
    make: Given a report to fill, makes split -> items, such as utterances.
    texts: Also write ``<split>.txt``, a transcript per line, for language models.
    report: A report that is continued; None for an empty one.
    write: Writes the items of a split, given a path.
    suffix: Ending of the files of the splits.
    describe: Statistics of the items of a split; None for those of utterances.
    """
    out = Path(out)
    files = {split: out / f"{split}{suffix}" for split in splits}
    text = {split: out / f"{split}.txt" for split in splits} if texts else {}
    key = fingerprint({"corpus": corpus, "splits": list(splits), **options}, inputs)
    if is_current(out / STAMP, key):
        logger.info("%s: %s is up to date", corpus, out)
        return Prepared(files, out / REPORT, reused=True)
    # A run that is killed half-way must not look like the one before it.
    (out / STAMP).unlink(missing_ok=True)
    report = report or Report(corpus)
    try:
        items = make(report)
    except ValueError:
        # What led to the error is in the report: it is of use even then.
        report.write(out / REPORT)
        report.log()
        raise
    describe = describe or statistics_of
    report.statistics["splits"] = {split: describe(items[split]) for split in splits}
    for split in splits:
        write(files[split], items[split])
        if texts:
            lines = [utterance.words for utterance in items[split]]
            write_atomically(text[split], "".join(f"{line}\n" for line in lines))
    report.write(out / REPORT)
    write_stamp(out / STAMP, key, [*files.values(), *text.values(), out / REPORT])
    report.log()
    for split, statistics in report.statistics["splits"].items():
        logger.info("%s: %s: %s", corpus, split, statistics)
    return Prepared(files, out / REPORT, reused=False)


def statistics_of(utterances: Sequence[Utterance]) -> dict[str, float | int]:
    """Numbers of utterances, words, hours, speakers and recordings of a split."""
    return {
        "utterances": len(utterances),
        "words": sum(len(utterance.words.split()) for utterance in utterances),
        "hours": round(sum(utterance.duration for utterance in utterances) / 3600, 3),
        "speakers": len({utterance.speaker for utterance in utterances}),
        "recordings": len({utterance.wav for utterance in utterances} - {""}),
    }


def prepare_entries(
    corpus: str,
    out: str | Path,
    entries: Mapping[str, Iterable[Entry]],
    inputs: Iterable[str | Path],
    policy: Policy,
    options: Mapping[str, Any],
    report: Report,
) -> Prepared:
    """Checks what a corpus lists, and writes its CSV files and report.

    Arguments
    ---------
    corpus : str
        Name of the corpus.
    out : str or Path
        Folder for the results.
    entries : Mapping
        Split -> its entries; without ``"dev"`` one is made of training speakers.
    inputs : iterable of str or Path
        All files that decide the result.
    policy : Policy
        How unusual entries are handled.
    options : Mapping
        Further options that decide the result.
    report : Report
        The report that reading the entries fills.

    Raises
    ------
    ValueError
        If a split has no utterance left; the report says why.
    """
    splits = [split for split in ("train", "dev", "test") if split in entries or split == "dev"]

    def make(report: Report) -> dict[str, list[Utterance]]:
        checker = Checker(report, policy)
        checked = {}
        for split, listed in entries.items():
            listed = list(listed)
            bar = tqdm(listed, desc=f"{corpus} {split}", unit="utterance", disable=None)
            checked[split] = [kept for entry in bar if (kept := checker.check(entry))]
            if not checked[split]:
                raise ValueError(
                    f"{corpus}: no utterance of {split} can be used ({len(listed)} are listed); "
                    f"{Path(out) / REPORT} names each issue"
                )
        checker.finish()
        if "dev" not in checked:
            checked["train"], checked["dev"] = hold_out_speakers(
                checked["train"], policy.dev_share, policy.seed
            )
            speakers = sorted({utterance.speaker for utterance in checked["dev"]})
            report.notes.append(f"dev is made of training speakers: {', '.join(speakers)}")
        return checked

    settings = {**asdict(policy), **options}
    return prepare(corpus, out, settings, inputs, make, splits=splits, report=report)
