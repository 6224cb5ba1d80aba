"""Corpora for the tests: tiny ones, made here, and where the real ones lie."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
RATE = 16_000


def real_data(*parts: str) -> Path:
    """A path in the folder of real corpora; skips the test where it is not there."""
    folder = Path(os.environ.get("GATEDRNN_TEST_DATA", ROOT.parent / "shared" / "data"))
    path = folder.joinpath(*parts)
    if not path.exists():
        pytest.skip(
            f"{path} is not there (real corpora are looked for in ../shared/data and in "
            "GATEDRNN_TEST_DATA)"
        )
    return path


def tone(path: Path, seconds: float, rate: int = RATE, channels: int = 1) -> Path:
    """Writes a file in which channel c holds the constant (c + 1) / 10."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = round(seconds * rate)
    samples = np.tile((np.arange(channels) + 1) / 10, (frames, 1))
    kind = {"format": "NIST", "endian": "BIG"} if path.suffix == ".sph" else {}
    soundfile.write(path, samples, rate, subtype="PCM_16", **kind)
    return path


def cut(path: Path, share: float = 0.5) -> Path:
    """Cuts a file off."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


class Nxt:
    """Writes annotations in AMI's layout.

    Words are written as ``"Hi 1.0 1.5"``, ``", 1.5"`` for punctuation, ``"<vocalsound> 2.0 2.4"``
    for other elements, ``"Hi"`` for a word without times.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.speakers: dict[str, list[tuple[str, str, int]]] = {}
        for folder in ("words", "segments", "corpusResources"):
            (root / folder).mkdir(parents=True)

    def speaker(
        self,
        meeting: str,
        agent: str,
        name: str | None,
        words: Sequence[str],
        segments: Sequence[tuple[float, float, int, int] | tuple[float, float]],
    ) -> None:
        """Writes a speaker: words, and segments (start, end, first word, last word)."""
        if name is not None:
            channel = "ABCDE".index(agent)
            self.speakers.setdefault(meeting, []).append((agent, name, channel))
        lines = [_element(f"{meeting}.{agent}.words{i}", word) for i, word in enumerate(words)]
        self._write("words", meeting, agent, lines)
        lines = [
            _segment(meeting, agent, number, *segment) for number, segment in enumerate(segments)
        ]
        self._write("segments", meeting, agent, lines)
        self.write_meetings()

    def file(self, folder: str, meeting: str, agent: str) -> Path:
        """The file of a speaker."""
        return self.root / folder / f"{meeting}.{agent}.{folder}.xml"

    def write_meetings(self) -> None:
        """Writes the list of meetings."""
        lines = []
        for meeting, speakers in self.speakers.items():
            lines.append(f'<meeting observation="{meeting}" type="scenario" duration="1">')
            lines += [
                f'<speaker nxt_agent="{agent}" channel="{channel}" global_name="{name}"/>'
                for agent, name, channel in speakers
            ]
            lines.append("</meeting>")
        path = self.root / "corpusResources" / "meetings.xml"
        path.write_bytes(_document(lines))

    def _write(self, folder: str, meeting: str, agent: str, lines: list[str]) -> None:
        self.file(folder, meeting, agent).write_bytes(_document(lines))


def _document(lines: list[str]) -> bytes:
    text = "\n".join(
        [
            '<?xml version="1.0" encoding="ISO-8859-1" standalone="yes"?>',
            '<nite:root nite:id="root" xmlns:nite="http://nite.sourceforge.net/">',
            *lines,
            "</nite:root>\n",
        ]
    )
    return text.encode("iso-8859-1")


def _element(name: str, word: str) -> str:
    text, *times = word.split()
    times = times * 2 if len(times) == 1 else times
    attributes = f'nite:id="{name}"'
    if times:
        attributes += f' starttime="{times[0]}" endtime="{times[1]}"'
    if text.startswith("<"):
        return f'<{text.strip("<>")} {attributes} type="laugh"/>'
    if text in {".", ",", "?"}:
        attributes += ' punc="true"'
    return f"<w {attributes}>{escape(text)}</w>"


def _segment(
    meeting: str, agent: str, number: int, start: float, end: float, *span: int | str
) -> str:
    child = ""
    if span:
        first, last = (f"id({meeting}.{agent}.words{i})" for i in span)
        reference = first if first == last else f"{first}..{last}"
        child = f'<nite:child href="{meeting}.{agent}.words.xml#{reference}"/>'
    times = f'transcriber_start="{start}" transcriber_end="{end}"'
    return f'<segment nite:id="{meeting}.sync.{number}" channel="0" {times}>{child}</segment>'
