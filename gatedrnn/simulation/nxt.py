"""NXT annotations, written as the official AMI release has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from gatedrnn.simulation.grammar import Token
from gatedrnn.simulation.voices import Voice

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
class Participant:
    """Somebody at a meeting.

    Arguments
    ---------
    name : str
        Global name, such as `MEE001`.
    role : str
        `PM`, `ID`, `UI` or `ME`: project manager, industrial designer, user interface, marketing.
    voice : Voice
        How they sound.
    """

    name: str
    role: str
    voice: Voice


@dataclass(frozen=True)
class Utterance:
    """A turn that has been placed in a meeting.

    Arguments
    ---------
    speaker : int
        Who speaks: 0 is agent A.
    tokens : tuple of Token
        What is said.
    times : tuple of (float, float)
        Start and end of every token, in seconds of the meeting.
    start : float
        Where its segment starts, a little before the first word.
    end : float
        Where its segment ends.
    """

    speaker: int
    tokens: tuple[Token, ...]
    times: tuple[tuple[float, float], ...]
    start: float
    end: float


def agent(speaker: int) -> str:
    """The letter of a speaker.

    Arguments
    ---------
    speaker : int
        Counted from 0.

    Returns
    -------
    str

    Example
    -------
    >>> agent(0), agent(3)
    ('A', 'D')
    """
    return "ABCDE"[speaker]


def words_and_segments(
    meeting: str, speaker: int, utterances: Sequence[Utterance]
) -> tuple[str, str]:
    """The two files of one speaker.

    Arguments
    ---------
    meeting : str
        Name of the meeting.
    speaker : int
        Whose files.
    utterances : sequence of Utterance
        Everybody's utterances, in order of time.

    Returns
    -------
    (str, str)
        `<meeting>.<agent>.words.xml` and `<meeting>.<agent>.segments.xml`.

    Example
    -------
    >>> said = Utterance(0, (Token("Hi"), Token(".", "punc")), ((1.0, 1.2), (1.2, 1.2)), 0.9, 1.3)
    >>> words, segments = words_and_segments("ES2002a", 0, [said])
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

    Arguments
    ---------
    meetings : sequence of (str, str, float, sequence of Participant)
        Name, split, duration in seconds and participants of every meeting.

    Returns
    -------
    str

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

    Arguments
    ---------
    participants : sequence of (Participant, str)
        Everybody, with the series of meetings they took part in.

    Returns
    -------
    str

    Example
    -------
    >>> import numpy as np
    >>> from gatedrnn.simulation.voices import draw_voice
    >>> someone = Participant("FEE005", "PM", draw_voice(np.random.default_rng(0), "dev", "F"))
    >>> participants_file([(someone, "ES2011")]).splitlines()[2].split()[1:3]
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
