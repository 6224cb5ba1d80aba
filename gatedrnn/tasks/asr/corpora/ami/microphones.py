"""Finds the recordings of a microphone: by the names of the files, wherever they lie."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gatedrnn.data.files import list_files
from gatedrnn.data.report import Report

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
class Microphone:
    """Which recording to take for a speaker of a meeting.

    Arguments
    ---------
    name : str
        ``"sdm"`` (Array1-01), ``"ihm"`` (the speaker's headset), ``"lapel"``, ``"mix"``
        (Mix-Headset), any channel of an array (``"Array1-05"``), ``"Mix-Lapel"`` or ``"MDM8"``.

    Raises
    ------
    ValueError
        If there is no such microphone.

    Example
    -------
    >>> Microphone("sdm").recording(channel=2), Microphone("ihm").recording(channel=2)
    ('Array1-01', 'Headset-2')
    """

    name: str

    def __post_init__(self) -> None:
        known = (*_WORN, *_SHARED, *(other.lower() for other in _OTHERS))
        if self.name.lower() not in known and not _ARRAY.match(self.name):
            raise ValueError(
                f"microphone {self.name!r}: must be {', '.join([*_SHARED, *_WORN, *_OTHERS])} "
                "or a channel of an array, such as Array1-05"
            )

    def recording(self, channel: int) -> str:
        """Name of the recording for the speaker with a channel.

        Arguments
        ---------
        channel : int
            The speaker's, from meetings.xml.

        Returns
        -------
        str
        """
        if self.name in _WORN:
            return f"{_WORN[self.name]}-{channel}"
        return _SHARED.get(self.name, self.name)


def find_recordings(folder: str | Path, report: Report) -> dict[tuple[str, str], Path]:
    """Finds all recordings under a folder, whatever folders they lie in.

    Arguments
    ---------
    folder : str or Path
        The folder.
    report : Report
        Told about recordings that lie in two places.

    Returns
    -------
    dict
        (meeting, microphone in lower case) -> file.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.

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
    found: dict[tuple[str, str], Path] = {}
    for path in list_files(folder):
        match = _NAME.match(path.name)
        if match is None:
            continue
        key = (match["meeting"], match["mic"].lower())
        if key in found:
            report.add("audio-duplicate", str(path), f"{found[key]} is used")
        else:
            found[key] = path.absolute()
    return found


def choose(
    recordings: Mapping[tuple[str, str], Path], meeting: str, microphone: Microphone, channel: int
) -> Path | None:
    """The recording of a microphone for a speaker of a meeting.

    Arguments
    ---------
    recordings : Mapping
        What :func:`find_recordings` found.
    meeting : str
        The meeting.
    microphone : Microphone
        The microphone.
    channel : int
        The speaker's.

    Returns
    -------
    Path, or None

    Example
    -------
    >>> choose({("M1", "headset-0"): Path("a.wav")}, "M1", Microphone("ihm"), 0).name
    'a.wav'
    """
    return recordings.get((meeting, microphone.recording(channel).lower()))
