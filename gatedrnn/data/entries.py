"""From what a corpus lists to utterances that can be used: every corpus is checked here alike."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from gatedrnn.data.audio import AudioError, AudioFile, inspect
from gatedrnn.data.preparation import Prepared, prepare
from gatedrnn.data.report import Report
from gatedrnn.data.utterance import Utterance

#: Seconds by which a stated end may lie past that of the audio: rounding, not a fault.
TOLERANCE = 0.1


@dataclass(frozen=True, slots=True)
class Entry:
    """An utterance as a corpus lists it, unchecked.

    Arguments
    ---------
    id : str
        Unique within the corpus.
    audio : Path
        The file.
    text : str
        Transcript.
    speaker : str
        Who speaks.
    start, stop : float or None
        Seconds; None for the beginning and the end of the file.
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
    """What is done with odd entries, and how a missing dev split is made.

    Arguments
    ---------
    rate : int
        Sample rate of the recipe: files with another are noted, and resampled at loading.
    characters : str or None
        All characters that transcripts may have beside the space; None for any.
    unknown : str
        What becomes of transcripts with other characters: ``"skip"``, or ``"remove"`` them.
    upper : bool
        Write transcripts in upper case.
    dev_share : float
        Part of the training speech, by duration, that is held out where there is no dev split;
        whole speakers are.
    seed : int
        Decides which speakers are held out.

    Raises
    ------
    ValueError
        If a value is out of its range.

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
    """Checks entries, and tells a report about the faulty ones.

    Arguments
    ---------
    report : Report
        Told about every fault.
    policy : Policy
        What is done with odd entries.

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
        """Checks an entry.

        Arguments
        ---------
        entry : Entry
            The entry.

        Returns
        -------
        Utterance, or None
            None if it is skipped; the report then says why.
        """
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
        """Writes the unknown characters with their numbers into the figures of the report."""
        if self._unknown:
            self.report.figures["unknown_characters"] = dict(self._unknown.most_common())

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
        found = "".join(sorted(set(unknown)))
        if self.policy.unknown == "skip":
            self.report.add("characters-unknown", entry.id, f"{found!r} in {words!r}")
            return None
        self.report.add("characters-removed", entry.id, f"{found!r} from {words!r}")
        words = " ".join("".join(c for c in words if c in known).split())
        if not words:
            self.report.add("text-empty", entry.id, "once unknown characters were removed")
            return None
        return words

    def _header(self, path: Path) -> AudioFile | None:
        """The header of a file, looked at once; None if the file cannot be used."""
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
        # Of a file that was cut off, stretches before the cut are whole.
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
    """Parts utterances into training and dev ones, without a speaker in both.

    Speakers are put in an order that follows from their names and the seed alone, and are held
    out until their speech reaches the share.

    Arguments
    ---------
    utterances : sequence of Utterance
        All of them.
    share : float
        Part of the duration to hold out.
    seed : int
        Decides the order.

    Returns
    -------
    tuple of list of Utterance
        Training, dev.

    Raises
    ------
    ValueError
        If there is only one speaker.

    Example
    -------
    >>> utterances = [Utterance(f"u{i}", 1.0, "a.wav", 0, 16000, 0, f"s{i % 4}", "A")
    ...               for i in range(20)]
    >>> train, dev = hold_out_speakers(utterances, share=0.2, seed=1)
    >>> len(train), len(dev), {u.speaker for u in train} & {u.speaker for u in dev}
    (15, 5, set())
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


def prepare_entries(
    corpus: str,
    out: str | Path,
    read: Mapping[str, Callable[[Report], Iterable[Entry]]],
    inputs: Iterable[str | Path],
    policy: Policy,
    options: Mapping[str, Any] | None = None,
) -> Prepared:
    """Checks what a corpus lists, and writes its CSV files and report.

    Arguments
    ---------
    corpus : str
        Its name.
    out : str or Path
        Folder for the results.
    read : Mapping
        Split -> what lists its entries; without ``"dev"`` one is made of training speakers.
    inputs : iterable of str or Path
        All files that decide the result.
    policy : Policy
        What is done with odd entries.
    options : Mapping or None
        Further options that decide the result.

    Returns
    -------
    Prepared

    Raises
    ------
    ValueError
        If a split has no utterance left; the report says why.
    """
    splits = [split for split in ("train", "dev", "test") if split in read or split == "dev"]

    def make(report: Report) -> dict[str, list[Utterance]]:
        checker = Checker(report, policy)
        made = {}
        for split, entries in read.items():
            listed = list(entries(report))
            bar = tqdm(listed, desc=f"{corpus} {split}", unit="utterance", disable=None)
            made[split] = [found for entry in bar if (found := checker.check(entry))]
            if not made[split]:
                raise ValueError(
                    f"{corpus}: no utterance of {split} can be used ({len(listed)} are listed); "
                    f"{Path(out) / 'report.json'} names each fault"
                )
        checker.finish()
        if "dev" not in made:
            made["train"], made["dev"] = hold_out_speakers(
                made["train"], policy.dev_share, policy.seed
            )
            speakers = sorted({utterance.speaker for utterance in made["dev"]})
            report.notes.append(f"dev is made of training speakers: {', '.join(speakers)}")
        return made

    settings = {**asdict(policy), **(options or {})}
    return prepare(corpus, out, settings, inputs, make, splits=splits)
