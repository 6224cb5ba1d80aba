"""NIST's files with times: stm, segments with speaker and text, and ctm, a word per line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from gatedrnn.data.files import write_atomically
from gatedrnn.data.hypotheses import Word
from gatedrnn.scoring.text_files import lines_of, plain_words, scored_words
from gatedrnn.scoring.transcript import Transcript, Transcripts

#: Text of an stm segment that is not scored, and in which no words count.
IGNORED = "IGNORE_TIME_SEGMENT_IN_SCORING"


def is_stm(line: str) -> bool:
    """Whether a line looks like a segment: recording, channel, speaker, start, end, text.

    Arguments
    ---------
    line : str
        The line.

    Returns
    -------
    bool

    Example
    -------
    >>> is_stm("m1 1 ann 0.5 1.25 GO ON"), is_stm("m1 1 0.5 0.25 GO 0.9")
    (True, False)
    """
    fields = line.split()
    return len(fields) >= 5 and all(_seconds(f) is not None for f in fields[3:5])


def is_ctm(line: str) -> bool:
    """Whether a line looks like a word: recording, channel, start, duration, word, confidence.

    Arguments
    ---------
    line : str
        The line.

    Returns
    -------
    bool

    Example
    -------
    >>> is_ctm("m1 1 0.5 0.25 GO 0.9"), is_ctm("m1 1 ann 0.5 1.25 GO ON")
    (True, False)
    """
    fields = line.split()
    return len(fields) in (5, 6) and all(_seconds(f) is not None for f in fields[2:4])


def read_stm(path: str | Path) -> Transcripts:
    """Reads segments, each an utterance called ``recording-channel-speaker-start-end``.

    Arguments
    ---------
    path : str or Path
        The file.

    Returns
    -------
    Transcripts

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a line is no segment.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.stm"
    >>> _ = path.write_text("m1 1 ann 0.5 1.25 <o,f0,female> GO ON\\n")
    >>> [(t.id, t.speaker, t.text) for t in read_stm(path).items]
    [('m1-1-ann-0.500-1.250', 'ann', 'GO ON')]
    """
    found = []
    for number, line in lines_of(path):
        if not is_stm(line):
            raise ValueError(
                f"{path}, line {number}: an stm line must be 'recording channel speaker start "
                f"end [<label>] text', but is {line[:60]!r}"
            )
        recording, channel, speaker, *times = line.split()[:5]
        rest = line.split(maxsplit=5)[5:]
        text = rest[0] if rest else ""
        if text.startswith("<"):
            text = "".join(text.split(maxsplit=1)[1:])
        start, end = map(float, times)
        if end < start:
            raise ValueError(f"{path}, line {number}: the segment ends before it starts")
        ignored = IGNORED in text.upper()
        words = () if ignored else scored_words(path, number, text)
        # Times in one way of writing, so that hypotheses in stm have the same names.
        name = f"{recording}-{channel}-{speaker}-{start:.3f}-{end:.3f}"
        found.append(
            Transcript(name, words, speaker, recording, channel, start, end, ignored=ignored)
        )
    return Transcripts(str(path), "stm", tuple(found))


def read_ctm(path: str | Path) -> Transcripts:
    """Reads words with times; all words of a recording's channel make one transcript.

    Arguments
    ---------
    path : str or Path
        The file.

    Returns
    -------
    Transcripts

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a line is no word.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.ctm"
    >>> _ = path.write_text("m1 1 0.5 0.25 GO 0.9\\nm1 1 0.75 0.25 ON\\n")
    >>> (channel,) = read_ctm(path).items
    >>> channel.recording, channel.text, channel.times[1].end
    ('m1', 'GO ON', 1.0)
    """
    channels: dict[tuple[str, str], list[Word]] = {}
    for number, line in lines_of(path):
        if not is_ctm(line):
            raise ValueError(
                f"{path}, line {number}: a ctm line must be 'recording channel start duration "
                f"word [confidence]', but is {line[:60]!r}"
            )
        recording, channel, start, duration, text, *rest = line.split()
        if text.upper().startswith("<ALT"):
            raise ValueError(
                f"{path}, line {number}: {text!r} marks alternatives, which are not supported; "
                "write the words that count, or score with sclite"
            )
        (word,) = scored_words(path, number, text)
        begin = float(start)
        confidence = (_seconds(rest[0]) if rest else None) or 0.0
        channels.setdefault((recording, channel), []).append(
            Word(word, begin, begin + float(duration), confidence)
        )
    return Transcripts(
        str(path),
        "ctm",
        tuple(
            channel_of(recording, channel, words)
            for (recording, channel), words in channels.items()
        ),
    )


def channel_of(recording: str, channel: str, words: Iterable[Word]) -> Transcript:
    """The transcript of all that is heard in a channel of a recording.

    Arguments
    ---------
    recording : str
        The recording.
    channel : str
        Its channel.
    words : iterable of Word
        Their times count from the recording's beginning.

    Returns
    -------
    Transcript
        With the words in the order of their beginnings.

    Example
    -------
    >>> channel_of("m1", "1", [Word("ON", 0.5, 0.7, 1.0), Word("GO", 0.1, 0.3, 1.0)]).text
    'GO ON'
    """
    times = tuple(sorted(words, key=lambda w: w.start))
    text = tuple(w.word for w in times)
    return Transcript(f"{recording}-{channel}", text, "", recording, channel, 0.0, None, times)


def write_stm(path: str | Path, transcripts: Iterable[Transcript]) -> None:
    """Writes segments as sclite and asclite read them, in the order that they need.

    Arguments
    ---------
    path : str or Path
        The file.
    transcripts : iterable of Transcript
        With recordings and times.

    Raises
    ------
    ValueError
        If a time is unknown, or sclite would read a word as something else.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.stm"
    >>> write_stm(path, [Transcript("u1", ("GO", "ON"), "ann", "m1", "1", 0.5, 1.25)])
    >>> path.read_text()
    'm1 1 ann 0.500 1.250 GO ON\\n'
    """
    lines = []
    for item in sorted(transcripts, key=lambda t: (t.recording, t.channel, t.start or 0.0)):
        if not item.recording or item.start is None or item.end is None:
            raise ValueError(f"utterance {item.id}: its recording or its times are unknown")
        words = [IGNORED] if item.ignored else list(plain_words(item))
        # A first word in angle brackets would be taken for a label, of which there is one at most.
        label = ["<o>"] if words and words[0].startswith("<") else []
        times = (f"{item.start:.3f}", f"{item.end:.3f}")
        fields = (item.recording, item.channel, item.speaker or "unknown", *times, *label, *words)
        lines.append(" ".join(_fields(item, fields)) + "\n")
    write_atomically(path, "".join(lines))


def write_ctm(path: str | Path, transcripts: Iterable[Transcript]) -> None:
    """Writes words as sclite and asclite read them, in the order that they need.

    Arguments
    ---------
    path : str or Path
        The file.
    transcripts : iterable of Transcript
        With recordings, beginnings, and word times.

    Raises
    ------
    ValueError
        If a time is unknown, or sclite would read a word as something else.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.ctm"
    >>> words = (Word("GO", 0.1, 0.3, 0.9), Word("ON", 0.3, 0.5, 0.8))
    >>> write_ctm(path, [Transcript("u1", ("GO", "ON"), "", "m1", "1", 2.0, times=words)])
    >>> print(path.read_text().strip())
    m1 1 2.100 0.200 GO 0.9000
    m1 1 2.300 0.200 ON 0.8000
    """
    found = []
    for item in transcripts:
        if not item.recording or item.start is None or len(item.times) < len(item.words):
            raise ValueError(f"utterance {item.id}: its recording or its word times are unknown")
        for word, text in zip(item.times, plain_words(item), strict=True):
            place = (item.recording, item.channel)
            start, length = item.start + word.start, max(word.end - word.start, 0.0)
            row = (*place, f"{start:.3f}", f"{length:.3f}", text, f"{word.confidence:.4f}")
            found.append(((*place, start), " ".join(_fields(item, row)) + "\n"))
    write_atomically(path, "".join(line for _, line in sorted(found, key=lambda f: f[0])))


def _fields(item: Transcript, fields: Sequence[str]) -> Sequence[str]:
    if any(len(field.split()) != 1 for field in fields):
        raise ValueError(f"utterance {item.id}: recording, channel and speaker must have no spaces")
    return fields


def _seconds(text: str) -> float | None:
    """A number that is not negative, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
