"""A corpus of simulated meetings in the official AMI layout.

Meetings bear names of the full-corpus-ASR partition, so that the AMI preparation sorts them into
train, dev and eval by itself. A series (`ES2002`) has four speakers of its own, as in AMI; the
first meetings of all series come before any second one, for as many speakers as possible.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import soundfile
from tqdm import tqdm

from gatedrnn.data.files import write_atomically
from gatedrnn.lazy import require
from gatedrnn.simulation.grammar import Token
from gatedrnn.simulation.meeting import (
    Acoustics,
    Meeting,
    MeetingPlan,
    Participant,
    TimedTurn,
    simulate_meeting,
)
from gatedrnn.simulation.voices import NEEDED_BY, SAMPLE_RATE, SPLITS, sample_voice

#: Series of meetings by split, with the letters of their meetings. Left out are EN2001-EN2009 and
#: IN10xx (not all have four speakers) and the meetings with annotation errors: IS1003b, IS1007d,
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

ENCODING = "ISO-8859-1"
_HEADER = f'<?xml version="1.0" encoding="{ENCODING}" standalone="yes"?>\n'
_NAMESPACE = 'xmlns:nite="http://nite.sourceforge.net/"'
#: What meetings.xml says of a split: whether a system may have seen it, and as what.
_VISIBILITY = {
    "train": 'visibility="seen" seen_type="training"',
    "dev": 'visibility="seen" seen_type="development"',
    "eval": 'visibility="unseen"',
}


@dataclass(frozen=True)
class CorpusOptions:
    """Options of a simulated corpus.

    Arguments
    ---------
    train_minutes, dev_minutes, eval_minutes : float
        Length of all meetings of a split together.
    meeting_minutes : float
        About how long a meeting is; meetings are longer where the names do not suffice.
    seed : int
        The same seed makes the same bytes.
    acoustics : Acoustics
        Rooms, microphones, overlap.

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
        return getattr(self, f"{split}_minutes")


def plan_corpus(options: CorpusOptions) -> tuple[MeetingPlan, ...]:
    """Plans the meetings of a corpus and their participants.

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
    """Writes a corpus: `OUT/audio`, `OUT/annotations`, and `OUT/partition.json`, which names the
    meetings of each split. Complete meetings are kept, so that an interrupted run
    resumes and a second one is instant.

    Arguments
    ---------
    out : str or Path
        Folder of the corpus.
    options : CorpusOptions
        Lengths, seed and acoustics.
    jobs : int
        Number of processes.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    int
        Number of meetings that were simulated.

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
        require(package, *NEEDED_BY)
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


def main(arguments: Sequence[str] | None = None, description: str | None = None) -> int:
    """The command line of simulated meetings; returns 0, or 2 after bad input.

    Example
    -------
    >>> main(["--out", "no_such_folder", "--train-minutes", "-1"])
    2
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, usual, sound = parser.add_argument, CorpusOptions(), Acoustics()
    add("--out", required=True, type=Path, help="folder of the corpus")
    lengths = {
        f"--{split}-minutes": (usual.minutes(split), f"length of all {split} meetings together")
        for split in SPLITS
    }
    short = "about how long a meeting is: short ones give many speakers"
    for flag, (default, text) in {
        **lengths,
        "--meeting-minutes": (usual.meeting_minutes, short),
        "--seed": (usual.seed, "the same seed, the same bytes"),
        "--jobs": (1, "processes"),
        "--overlap": (sound.overlap, "fraction of turns that overlap the one before"),
    }.items():
        add(flag, type=type(default), default=default, help=f"{text} (%(default)g)")
    text = "of Array1-01 to Array1-08, Headset (one per speaker), Mix-Headset (%(default)s)"
    add("--microphones", nargs="+", default=list(sound.microphones), metavar="NAME", help=text)
    pair = {"nargs": 2, "type": float, "metavar": ("LOW", "HIGH")}
    add("--rt60", **pair, default=sound.rt60, help="reverberation time, seconds (%(default)s)")
    add("--snr", **pair, default=sound.snr, help="speech to noise at the array, dB (%(default)s)")
    add("--quiet", action="store_true", help="no progress bar")
    args = parser.parse_args(arguments)
    try:
        options = CorpusOptions(
            args.train_minutes,
            args.dev_minutes,
            args.eval_minutes,
            args.meeting_minutes,
            args.seed,
            Acoustics(tuple(args.microphones), tuple(args.rt60), tuple(args.snr), args.overlap),
        )
        written = simulate_corpus(args.out, options, jobs=args.jobs, progress=not args.quiet)
    except (ImportError, ValueError) as error:
        print(f"simulate_meetings: {error}", file=sys.stderr)
        return 2
    print(f"{args.out}: {written} meetings made" if written else f"{args.out}: up to date")
    return 0


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
        people.append(Participant(name, role, sample_voice(rng, split, sex)))
    return tuple(people)


def _claim(out: Path, options: CorpusOptions) -> None:
    """Writes the options into the folder, or checks that they are those of its corpus."""
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
    write_atomically(file, text)


def _make(plans: list[MeetingPlan], out: Path, jobs: int) -> Iterator[None]:
    """Simulates meetings; yields after each."""
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
    """Simulates a meeting, in any process."""
    write_meeting(simulate_meeting(plan), out)


def _write_resources(out: Path, plans: tuple[MeetingPlan, ...]) -> None:
    """Writes the files about all meetings."""
    folder = out / "annotations" / "corpusResources"
    folder.mkdir(parents=True, exist_ok=True)
    meetings = []
    for plan in plans:
        files = sorted((out / "audio" / plan.name / "audio").glob("*.wav"))
        duration = soundfile.info(files[0]).duration
        meetings.append((plan.name, plan.split, duration, plan.participants))
    partition = {split: [plan.name for plan in plans if plan.split == split] for split in SPLITS}
    write_atomically(out / "partition.json", json.dumps(partition, indent=2) + "\n")
    people = {p.name: (p, plan.name[:6]) for plan in plans for p in plan.participants}
    write_atomically(folder / "meetings.xml", meetings_file(meetings).encode(ENCODING))
    write_atomically(
        folder / "participants.xml", participants_file(list(people.values())).encode(ENCODING)
    )


# ---- files of a meeting: audio, and NXT annotations as the official AMI release has them ----


def write_meeting(meeting: Meeting, out: Path) -> None:
    """Writes a meeting in the official layout. The folder of its audio comes last, so that an
    interrupted meeting does not look complete.
    """
    name = meeting.plan.name
    partial = out / ".partial" / name
    shutil.rmtree(partial, ignore_errors=True)
    audio = partial / name / "audio"
    audio.mkdir(parents=True)
    for channel, signal in meeting.channels.items():
        soundfile.write(audio / f"{name}.{channel}.wav", signal, SAMPLE_RATE, subtype="PCM_16")
    for speaker in range(len(meeting.plan.participants)):
        words, segments = words_and_segments(name, speaker, meeting.utterances)
        for kind, text in (("words", words), ("segments", segments)):
            file = f"{name}.{agent(speaker)}.{kind}.xml"
            (partial / file).write_text(text, encoding=ENCODING)
            target = out / "annotations" / kind
            target.mkdir(parents=True, exist_ok=True)
            os.replace(partial / file, target / file)
    (out / "audio").mkdir(exist_ok=True)
    os.replace(partial / name, out / "audio" / name)
    partial.rmdir()


def is_written(name: str, out: Path) -> bool:
    """Whether a meeting is complete in a corpus.

    Example
    -------
    >>> is_written("ES2002a", Path("no_such_folder"))
    False
    """
    return (out / "audio" / name).is_dir()


def agent(speaker: int) -> str:
    """The letter of a speaker."""
    return "ABCDE"[speaker]


def words_and_segments(
    meeting: str, speaker: int, utterances: Sequence[TimedTurn]
) -> tuple[str, str]:
    """The files `<meeting>.<agent>.words.xml` and `<meeting>.<agent>.segments.xml` of a speaker.

    Example
    -------
    >>> tokens = (Token("Hi"), Token(".", "punc"))
    >>> turn = TimedTurn(0, tokens, ((1.0, 1.2), (1.2, 1.2)), 0.9, 1.3)
    >>> words, segments = words_and_segments("ES2002a", 0, [turn])
    >>> print(words.splitlines()[3].strip())
    <w nite:id="ES2002a.A.words1" starttime="1.20" endtime="1.20" punc="true">.</w>
    >>> print(segments.splitlines()[3].strip())
    <nite:child href="ES2002a.A.words.xml#id(ES2002a.A.words0)..id(ES2002a.A.words1)"/>
    """
    name = f"{meeting}.{agent(speaker)}"
    words, segments = [], []
    for number, utterance in enumerate(utterances):
        if utterance.speaker != speaker:
            continue
        first = f"{name}.words{len(words)}"
        for token, (start, end) in zip(utterance.tokens, utterance.times, strict=True):
            words.append(_element(token, f"{name}.words{len(words)}", start, end))
        last = f"{name}.words{len(words) - 1}"
        span = f"id({first})" if first == last else f"id({first})..id({last})"
        segments.append(
            f'<segment nite:id="{meeting}.sync.{number}" channel="{speaker}" '
            f'transcriber_start="{utterance.start:.3f}" transcriber_end="{utterance.end:.3f}">\n'
            f'      <nite:child href="{name}.words.xml#{span}"/>\n   </segment>'
        )
    return _document(f"{name}.words", words), _document(f"{name}.segs", segments)


def meetings_file(
    meetings: Sequence[tuple[str, str, float, Sequence[Participant]]],
) -> str:
    """`corpusResources/meetings.xml`.

    Example
    -------
    >>> meetings_file([("ES2002a", "train", 61.2, [])]).splitlines()[2].split()[3]
    'observation="ES2002a"'
    """
    elements = []
    for number, (name, split, duration, participants) in enumerate(meetings, start=1):
        speakers = "".join(
            f'      <speaker nite:id="{name}_{channel + 1}" channel="{channel}" '
            f'nxt_agent="{agent(channel)}" camera="Closeup{channel + 1}" '
            f'global_name="{participant.name}" role="{participant.role}"/>\n'
            for channel, participant in enumerate(participants)
        )
        elements.append(
            f'<meeting nite:id="meet_{number}" type="scenario" observation="{name}" '
            f'name="simulated meeting" description="Made by rule, no recording" '
            f'duration="{round(duration)}" {_VISIBILITY[split]}>\n{speakers}   </meeting>'
        )
    return _document("meet.00", elements)


def participants_file(participants: Sequence[tuple[Participant, str]]) -> str:
    """`corpusResources/participants.xml`.

    participants: Everybody, with the series of meetings they took part in.

    Example
    -------
    >>> import numpy as np
    >>> from gatedrnn.simulation.voices import sample_voice
    >>> person = Participant("FEE005", "PM", sample_voice(np.random.default_rng(0), "dev", "F"))
    >>> participants_file([(person, "ES2011")]).splitlines()[2].split()[1:3]
    ['nite:id="FEE005"', 'sex="F"']
    """
    elements = [
        f'<participant nite:id="{participant.name}" sex="{participant.voice.sex}" '
        f'native_language="English" meeting="{series}">\n'
        f'      <english_language nite:id="participants.{number}" '
        f"region={quoteattr(participant.voice.name)}/>\n   </participant>"
        for number, (participant, series) in enumerate(participants, start=1)
    ]
    return _document("participants.00", elements)


def _element(token: Token, identity: str, start: float, end: float) -> str:
    """One element of a words file."""
    span = f'nite:id="{identity}" starttime="{start:.2f}" endtime="{end:.2f}"'
    if token.kind in ("laugh", "cough"):
        return f'<vocalsound {span} type="{token.kind}"/>'
    if token.kind in ("gap", "disfmarker"):
        return f"<{token.kind} {span}/>"
    mark = {"word": "", "punc": ' punc="true"', "trunc": ' trunc="true"'}[token.kind]
    return f"<w {span}{mark}>{token.text.replace(chr(39), '&#39;')}</w>"


def _document(identity: str, elements: Sequence[str]) -> str:
    """A whole file."""
    body = "".join(f"   {element}\n" for element in elements)
    return f'{_HEADER}<nite:root nite:id="{identity}" {_NAMESPACE}>\n{body}</nite:root>\n'
