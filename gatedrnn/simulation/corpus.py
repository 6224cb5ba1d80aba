"""A corpus of simulated meetings in the official AMI layout.

Meetings bear names of the full-corpus-ASR partition, so that the AMI preparation sorts them into
train, dev and eval by itself. A series (`ES2002`) has four speakers of its own, as in AMI; the
first meetings of all series come before any second one, for as many speakers as possible.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from gatedrnn.simulation import nxt
from gatedrnn.simulation.extras import need
from gatedrnn.simulation.meeting import (
    Acoustics,
    MeetingPlan,
    is_written,
    simulate_meeting,
    write_meeting,
)
from gatedrnn.simulation.nxt import Participant
from gatedrnn.simulation.voices import SPLITS, draw_voice

#: Series of meetings by split, with the letters of their meetings. Left out are EN2001-EN2009 and
#: IN10xx (not all have four speakers) and the meetings with faults of their own: IS1003b, IS1007d,
#: ES2010d.
SERIES: dict[str, tuple[tuple[str, str], ...]] = {
    "train": (
        *((f"ES20{n:02d}", "abcd") for n in (2, 3, 5, 6, 7, 8, 9)),
        ("ES2010", "abc"),
        *((f"ES20{n:02d}", "abcd") for n in (12, 13, 14, 15, 16)),
        *((f"IS100{n}", "abcd") for n in (0, 1)),
        ("IS1002", "bcd"),
        ("IS1003", "acd"),
        ("IS1004", "abcd"),
        ("IS1005", "abc"),
        ("IS1006", "abcd"),
        ("IS1007", "abc"),
        *((f"TS30{n:02d}", "abcd") for n in range(5, 13)),
    ),
    "dev": (("ES2011", "abcd"), ("IS1008", "abcd"), ("TS3004", "abcd")),
    "eval": (("ES2004", "abcd"), ("IS1009", "abcd"), ("TS3003", "abcd"), ("EN2002", "abcd")),
}
ROLES = ("PM", "ID", "UI", "ME")
_OPTIONS = "simulation.json"
#: Raised when the same options make other meetings, so that no corpus is made of both.
_EDITION = 1


@dataclass(frozen=True)
class CorpusOptions:
    """What decides a corpus.

    Arguments
    ---------
    train_minutes : float
        Length of all training meetings together.
    dev_minutes : float
        The same for development.
    eval_minutes : float
        The same for evaluation.
    meeting_minutes : float
        About how long a meeting is; meetings are longer where the names do not suffice.
    seed : int
        The same seed makes the same bytes.
    acoustics : Acoustics
        Rooms, microphones, overlap.

    Raises
    ------
    ValueError
        If a value is impossible.

    Example
    -------
    >>> len(plan_corpus(CorpusOptions(train_minutes=60, dev_minutes=3, eval_minutes=0)))
    42
    """

    train_minutes: float = 60.0
    dev_minutes: float = 5.0
    eval_minutes: float = 5.0
    meeting_minutes: float = 1.5
    seed: int = 1
    acoustics: Acoustics = field(default_factory=Acoustics)

    def __post_init__(self):
        minutes = [self.minutes(split) for split in SPLITS]
        if min(minutes) < 0 or not max(minutes) > 0 or not math.isfinite(sum(minutes)):
            raise ValueError(f"minutes of train, dev and eval must be positive or 0: {minutes}")
        if not 0.2 <= self.meeting_minutes <= 90:
            raise ValueError(f"a meeting lasts 0.2 to 90 minutes, not {self.meeting_minutes}")
        if self.seed < 0:
            raise ValueError(f"a seed is not negative: {self.seed}")

    def minutes(self, split: str) -> float:
        """Length of a split."""
        return {
            "train": self.train_minutes,
            "dev": self.dev_minutes,
            "eval": self.eval_minutes,
        }[split]


def plan_corpus(options: CorpusOptions) -> tuple[MeetingPlan, ...]:
    """Which meetings take place, and who takes part.

    Arguments
    ---------
    options : CorpusOptions
        What decides the corpus.

    Returns
    -------
    tuple of MeetingPlan

    Example
    -------
    >>> plan = plan_corpus(CorpusOptions(train_minutes=3, dev_minutes=0, eval_minutes=1))
    >>> [(meeting.name, meeting.split, round(meeting.seconds)) for meeting in plan]
    [('ES2002a', 'train', 90), ('ES2003a', 'train', 90), ('ES2004a', 'eval', 60)]
    """
    plans = []
    for split in SPLITS:
        minutes = options.minutes(split)
        names = list(_names(split))
        # Half a second more must not make another meeting.
        count = min(len(names), math.ceil(minutes / options.meeting_minutes - 0.01))
        for series, name in names[:count]:
            people = _participants(series, split, options.seed)
            seconds = 60 * minutes / count
            plans.append(MeetingPlan(name, split, seconds, options.seed, people, options.acoustics))
    return tuple(plans)


def simulate_corpus(
    out: str | Path, options: CorpusOptions, *, jobs: int = 1, progress: bool = True
) -> int:
    """Makes a corpus: `OUT/audio`, `OUT/annotations`, and `OUT/partition.json`, which names the
    meetings of each split. Meetings that stand complete are kept, so that an interrupted run goes
    on and a second one is instant.

    Arguments
    ---------
    out : str or Path
        Folder of the corpus.
    options : CorpusOptions
        What decides the corpus.
    jobs : int
        How many processes.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    int
        How many meetings had to be made.

    Raises
    ------
    ImportError
        If the packages of the extra `demo` are not installed.
    ValueError
        If the folder holds a corpus of other options, or there are no jobs.
    """
    if jobs < 1:
        raise ValueError(f"there must be at least one job, not {jobs}")
    for package in ("espeakng_loader", "pyroomacoustics"):
        need(package)
    out = Path(out)
    _claim(out, options)
    plans = plan_corpus(options)
    missing = [plan for plan in plans if not is_written(plan.name, out)]
    with tqdm(
        total=len(plans), initial=len(plans) - len(missing), unit="meeting", disable=not progress
    ) as bar:
        for _ in _make(missing, out, jobs):
            bar.update()
    _write_resources(out, plans)
    shutil.rmtree(out / ".partial", ignore_errors=True)
    return len(missing)


def _names(split: str) -> Iterator[tuple[str, str]]:
    """Series and meeting: the first meeting of every series, then the second, and so on."""
    series = SERIES[split]
    for turn in range(max(len(letters) for _, letters in series)):
        for name, letters in series:
            if turn < len(letters):
                yield name, name + letters[turn]


def _participants(series: str, split: str, seed: int) -> tuple[Participant, ...]:
    """The four people of a series, named as the sites name theirs."""
    everyone = [name for part in SPLITS for name, _ in SERIES[part]]
    number = 1 + len(ROLES) * everyone.index(series)
    rng = np.random.default_rng([seed, number])
    people = []
    for k, role in enumerate(ROLES):
        sex = "MF"[int(rng.integers(2))]
        site = {"I": "I", "T": "T"}.get(series[0], "E")
        # TNO's names end in a role.
        name = f"{sex}{site}{'D' if site == 'T' else 'E'}{number + k:03d}"
        name += role if site == "T" else ""
        people.append(Participant(name, role, draw_voice(rng, split, sex)))
    return tuple(people)


def _claim(out: Path, options: CorpusOptions) -> None:
    """Notes the options in the folder, or checks that they are those noted."""
    text = json.dumps({"edition": _EDITION, **asdict(options)}, indent=2) + "\n"
    file = out / _OPTIONS
    if file.exists():
        if file.read_text(encoding="utf-8") != text:
            raise ValueError(
                f"{out} holds a corpus made with other options ({file}): "
                "take another folder, or delete that one"
            )
        return
    if (out / "audio").exists() or (out / "annotations").exists():
        raise ValueError(f"{out} holds a corpus that was not simulated: take another folder")
    out.mkdir(parents=True, exist_ok=True)
    _write(file, text, "utf-8")


def _make(plans: list[MeetingPlan], out: Path, jobs: int) -> Iterator[None]:
    """Makes meetings; yields after each."""
    if jobs == 1 or len(plans) < 2:
        for plan in plans:
            yield _make_one(plan, out)
        return
    # Spawned: a fork of a process with running threads (a framework's, FFT's) may hang.
    with ProcessPoolExecutor(min(jobs, len(plans)), mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_make_one, plan, out) for plan in plans]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def _make_one(plan: MeetingPlan, out: Path) -> None:
    """Makes a meeting, in any process."""
    write_meeting(simulate_meeting(plan), out)


def _write_resources(out: Path, plans: tuple[MeetingPlan, ...]) -> None:
    """The files about all meetings."""
    folder = out / "annotations" / "corpusResources"
    folder.mkdir(parents=True, exist_ok=True)
    meetings = []
    for plan in plans:
        files = sorted((out / "audio" / plan.name / "audio").glob("*.wav"))
        duration = soundfile.info(files[0]).duration
        meetings.append((plan.name, plan.split, duration, plan.participants))
    partition = {split: [plan.name for plan in plans if plan.split == split] for split in SPLITS}
    _write(out / "partition.json", json.dumps(partition, indent=2) + "\n", "utf-8")
    people = {p.name: (p, plan.name[:6]) for plan in plans for p in plan.participants}
    _write(folder / "meetings.xml", nxt.meetings_file(meetings), nxt.ENCODING)
    _write(folder / "participants.xml", nxt.participants_file(list(people.values())), nxt.ENCODING)


def _write(file: Path, text: str, encoding: str) -> None:
    """Writes a file whole or not at all."""
    partial = file.with_name(file.name + ".partial")
    partial.write_text(text, encoding=encoding)
    os.replace(partial, file)
