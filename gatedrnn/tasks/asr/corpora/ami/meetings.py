"""AMI's meetings: their official partitions, and their recordings by microphone.

``full-corpus-asr`` is the partition for speech recognition. IB4005 shares speakers with two of its
sets, so it belongs to none (Kaldi trains on it; ``include_ib4005`` does the same). Recordings are
found by the names of the files, in whatever folders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gatedrnn.data.files import list_files
from gatedrnn.data.report import Report

#: The splits of every partition.
SPLITS = ("train", "dev", "eval")

#: Meetings of a series, where they are not simply a, b, c and d.
_PARTS = {
    "EN2001": "abde",
    "EN2003": "a",
    "EN2004": "a",
    "EN2005": "a",
    "EN2006": "ab",
    "EN2009": "bcd",
    "IS1002": "bcd",  # IS1002a was dropped from the corpus
    "IS1005": "abc",  # so was IS1005d
}

_SCENARIO = {
    "train": (
        "ES2002 ES2005 ES2006 ES2007 ES2008 ES2009 ES2010 ES2012 ES2013 ES2015 ES2016 "
        "IS1000 IS1001 IS1002 IS1003 IS1004 IS1005 IS1006 IS1007 "
        "TS3005 TS3008 TS3009 TS3010 TS3011 TS3012"
    ),
    "dev": "ES2003 ES2011 IS1008 TS3004 TS3006",
    "eval": "ES2004 ES2014 IS1009 TS3003 TS3007",
}
_UNSCRIPTED = {
    "train": (
        "EN2001 EN2003 EN2004 EN2005 EN2006 EN2009 "
        "IN1001 IN1002 IN1005 IN1007 IN1008 IN1009 IN1012 IN1013 IN1014 IN1016"
    ),
    "dev": "IB4001 IB4002 IB4003 IB4004 IB4010 IB4011",
    "eval": "EN2002",
}
#: For speech recognition, these series of dev and eval are training data.
_ASR_TRAINS_ON = ("ES2003", "TS3006", "ES2014", "TS3007")

PARTITIONS = ("full-corpus-asr", "full-corpus", "scenario-only")
#: ``<meeting>.<microphone>.wav``, or ``<meeting>_MDM8.wav`` for beamformed recordings.
_NAME = re.compile(
    r"^(?P<meeting>[A-Za-z]+\d+[a-z]?)[._](?P<mic>[A-Za-z0-9-]+)\.(?:wav|flac)$", re.IGNORECASE
)
_ARRAY = re.compile(r"^Array\d+-\d+$", re.IGNORECASE)
#: Microphones that every speaker has one of.
_WORN = {"ihm": "Headset", "lapel": "Lapel"}
_SHARED = {"sdm": "Array1-01", "mix": "Mix-Headset"}
_OTHERS = ("Mix-Headset", "Mix-Lapel", "MDM8")


@dataclass(frozen=True)
class Partition:
    """A partition: meeting -> split.

    Example
    -------
    >>> Partition("mine", {"M1": "train", "M2": "dev"}).of_split("dev")
    ['M2']
    """

    name: str
    meetings: Mapping[str, str]

    def of_split(self, split: str) -> list[str]:
        """Meetings of a split."""
        return sorted(meeting for meeting, its in self.meetings.items() if its == split)


def find_partition(name: str, include_ib4005: bool = False) -> Partition:
    """Finds an official partition by name, or reads a JSON file with split -> meetings."""
    if name.endswith(".json"):
        partition = _read_partition(Path(name))
    elif name in PARTITIONS:
        partition = _official_partition(name)
    else:
        raise ValueError(
            f"partition {name!r}: must be {', '.join(PARTITIONS)}, or the name of a .json file"
        )
    if include_ib4005:
        return Partition(partition.name, {**partition.meetings, "IB4005": "train"})
    return partition


def _official_partition(name: str) -> Partition:
    """Lists the meetings of an official partition."""
    meetings = {}
    for split in SPLITS:
        series = _SCENARIO[split].split()
        if name != "scenario-only":
            series += _UNSCRIPTED[split].split()
        for prefix in series:
            moved = name == "full-corpus-asr" and prefix in _ASR_TRAINS_ON
            meetings.update(dict.fromkeys(_meetings(prefix), "train" if moved else split))
    return Partition(name, meetings)


def _meetings(series: str) -> Iterable[str]:
    """Meetings of a series: meetings of IB and IN stand alone."""
    if series.startswith(("IB", "IN")):
        return [series]
    return [series + part for part in _PARTS.get(series, "abcd")]


def _read_partition(path: Path) -> Partition:
    """Reads a partition from a JSON file."""
    want = 'a JSON object {"train": [meeting, ...], "dev": [...], "eval": [...]}'
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"partition {path}: {error}; must be {want}") from error
    if not isinstance(data, dict) or set(data) != set(SPLITS):
        raise ValueError(f"partition {path}: must be {want}")
    meetings: dict[str, str] = {}
    for split in SPLITS:
        if not isinstance(data[split], list) or not all(isinstance(m, str) for m in data[split]):
            raise ValueError(f"partition {path}: {split} must be a list of names of meetings")
        for meeting in data[split]:
            if meeting in meetings:
                raise ValueError(f"partition {path}: {meeting} is in two splits; must be in one")
            meetings[meeting] = split
    return Partition(path.name, meetings)


@dataclass(frozen=True)
class Microphone:
    """A microphone, which selects the recording of a speaker of a meeting.

    ``"sdm"`` (Array1-01), ``"ihm"`` (the speaker's headset), ``"lapel"``, ``"mix"`` (Mix-Headset),
    any channel of an array (``"Array1-05"``), ``"Mix-Lapel"`` or ``"MDM8"``.

    Example
    -------
    >>> Microphone("sdm").recording(channel=2), Microphone("ihm").recording(channel=2)
    ('Array1-01', 'Headset-2')
    """

    name: str

    def __post_init__(self) -> None:
        known = (*_WORN, *_SHARED, *map(str.lower, _OTHERS))
        if self.name.lower() not in known and not _ARRAY.match(self.name):
            raise ValueError(
                f"microphone {self.name!r}: must be {', '.join([*_SHARED, *_WORN, *_OTHERS])} "
                "or a channel of an array, such as Array1-05"
            )

    def recording(self, channel: int) -> str:
        """Name of the recording for the speaker with a channel."""
        if self.name in _WORN:
            return f"{_WORN[self.name]}-{channel}"
        return _SHARED.get(self.name, self.name)


def find_recordings(folder: str | Path, report: Report) -> dict[tuple[str, str], Path]:
    """Finds all recordings under a folder, in folders of any depth.

    Example
    -------
    >>> root = getfixture("tmp_path")
    >>> (root / "deep" / "audio").mkdir(parents=True)
    >>> (root / "deep" / "audio" / "ES2002a.Array1-01.wav").touch()
    >>> list(find_recordings(root, Report("AMI")))
    [('ES2002a', 'array1-01')]
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of recordings")
    recordings: dict[tuple[str, str], Path] = {}
    for path in list_files(folder):
        match = _NAME.match(path.name)
        if match is None:
            continue
        key = (match["meeting"], match["mic"].lower())
        if key in recordings:
            report.add("audio-duplicate", str(path), f"{recordings[key]} is used")
        else:
            recordings[key] = path.absolute()
    return recordings


def choose(
    recordings: Mapping[tuple[str, str], Path], meeting: str, microphone: Microphone, channel: int
) -> Path | None:
    """The recording of a microphone for a speaker of a meeting."""
    return recordings.get((meeting, microphone.recording(channel).lower()))
