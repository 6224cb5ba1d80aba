"""Writers of NIST's formats (trn, stm, ctm), for sclite and asclite."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from gatedrnn.data.files import write_atomically
from gatedrnn.scoring.formats import IGNORED
from gatedrnn.scoring.measures import Score
from gatedrnn.scoring.pairing import Pair
from gatedrnn.scoring.transcript import Transcript, speaker_prefix

#: Words that sclite takes for something else: alternatives, an empty word, and tags of words.
_SPECIAL = re.compile(r"@|.*[{};].*|.+\*|<alt_?.*", re.DOTALL | re.IGNORECASE)


def write_files(folder: str | Path, scores: Sequence[Score]) -> list[Path]:
    """Writes ``ref.trn`` and ``hyp.trn``, and where times are known ``ref.stm`` and ``hyp.ctm``.

    They hold what was scored: sclite gives the same counts with ``-s -i rm``, or without ``-s`` if
    case was ignored.

    Arguments
    ---------
    folder : str or Path
        Folder to write to.
    scores : sequence of Score
        Of one system, or of several: the files of the second one are called ``hyp2``.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ValueError
        If sclite would take a word or an id for something else, or the systems were not scored on
        the same utterances.

    Example
    -------
    >>> from gatedrnn.scoring import Transcripts, score
    >>> reference = Transcripts("r", "trn", (Transcript("ann-1", ("GO", "ON"), "ann"),))
    >>> hypothesis = Transcripts("h", "trn", (Transcript("ann-1", ("GO",)),))
    >>> folder = getfixture("tmp_path")
    >>> [path.name for path in write_files(folder, [score(reference, hypothesis)])]
    ['ref.trn', 'hyp.trn']
    >>> print((folder / "hyp.trn").read_text().strip())
    GO (ann-1)
    """
    folder = Path(folder)
    references = [[pair.reference for pair in score.pairing.pairs] for score in scores]
    if any(items != references[0] for items in references[1:]):
        raise ValueError(
            "the systems were scored on different utterances, so that they have no reference in "
            "common; count what is missing (--missing delete), or write one at a time"
        )
    written = [folder / "ref.trn"]
    write_trn(written[0], references[0])
    timed = all(r.recording and r.start is not None and r.end is not None for r in references[0])
    if timed:
        written.append(folder / "ref.stm")
        write_stm(written[-1], references[0])
    for number, score in enumerate(scores, start=1):
        name = "hyp" if number == 1 else f"hyp{number}"
        hypotheses = [_placed(pair) for pair in score.pairing.pairs]
        written.append(folder / f"{name}.trn")
        write_trn(written[-1], hypotheses)
        if timed and all(len(item.times) == len(item.words) for item in hypotheses):
            written.append(folder / f"{name}.ctm")
            write_ctm(written[-1], hypotheses)
    return written


def _placed(pair: Pair) -> Transcript:
    """A hypothesis with the id, speaker, recording and times of its reference."""
    reference, hypothesis = pair.reference, pair.hypothesis
    # Times of the words of a whole recording count from the recording's own start.
    own = hypothesis.start is not None and hypothesis.recording
    start = hypothesis.start if own else reference.start
    return replace(reference, words=hypothesis.words, times=hypothesis.times, start=start)


def write_trn(path: str | Path, transcripts: Iterable[Transcript]) -> None:
    """Writes transcripts for sclite, which takes the speaker from the utterance id.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.trn"
    >>> write_trn(path, [Transcript("1", ("GO", "ON"), "ann"), Transcript("bob-2", (), "bob")])
    >>> print(path.read_text().strip())
    GO ON (ann-1)
    (bob-2)
    """
    lines = []
    for item in transcripts:
        words = " ".join([*_checked_words(item), f"({sclite_name(item)})"])
        lines.append(words + "\n")
    write_atomically(path, "".join(lines))


def write_stm(path: str | Path, transcripts: Iterable[Transcript]) -> None:
    """Writes segments for sclite and asclite, in the order that they need.

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
        words = [IGNORED] if item.ignored else list(_checked_words(item))
        # A first word in angle brackets would be taken for a label, of which there is one at most.
        label = ["<o>"] if words and words[0].startswith("<") else []
        times = (f"{item.start:.3f}", f"{item.end:.3f}")
        fields = (item.recording, item.channel, item.speaker or "unknown", *times, *label, *words)
        lines.append(" ".join(_checked_fields(item, fields)) + "\n")
    write_atomically(path, "".join(lines))


def write_ctm(path: str | Path, transcripts: Iterable[Transcript]) -> None:
    """Writes words with times for sclite and asclite, in the order that they need.

    Example
    -------
    >>> from gatedrnn.tokens.hypotheses import Word
    >>> path = getfixture("tmp_path") / "a.ctm"
    >>> words = (Word("GO", 0.1, 0.3, 0.9), Word("ON", 0.3, 0.5, 0.8))
    >>> write_ctm(path, [Transcript("u1", ("GO", "ON"), "", "m1", "1", 2.0, times=words)])
    >>> print(path.read_text().strip())
    m1 1 2.100 0.200 GO 0.9000
    m1 1 2.300 0.200 ON 0.8000
    """
    rows = []
    for item in transcripts:
        if not item.recording or item.start is None or len(item.times) < len(item.words):
            raise ValueError(f"utterance {item.id}: its recording or its word times are unknown")
        for word, text in zip(item.times, _checked_words(item), strict=True):
            place = (item.recording, item.channel)
            start, length = item.start + word.start, max(word.end - word.start, 0.0)
            row = (*place, f"{start:.3f}", f"{length:.3f}", text, f"{word.confidence:.4f}")
            rows.append(((*place, start), " ".join(_checked_fields(item, row)) + "\n"))
    write_atomically(path, "".join(line for _, line in sorted(rows, key=lambda row: row[0])))


def sclite_name(transcript: Transcript) -> str:
    """Utterance id from which sclite takes the right speaker.

    Example
    -------
    >>> sclite_name(Transcript("an4-1", (), "f-ash")), sclite_name(Transcript("1", ()))
    ('f_ash-an4-1', 'unknown-1')
    """
    # The first hyphen ends the speaker's name.
    speaker = transcript.speaker.replace("-", "_") or speaker_prefix(transcript.id) or "unknown"
    begins = speaker_prefix(transcript.id) == speaker
    name = transcript.id if begins else f"{speaker}-{transcript.id}"
    if re.search(r"[\s()]", name):
        raise ValueError(f"utterance {name!r}: sclite reads no names with spaces or parentheses")
    return name


def _checked_words(transcript: Transcript) -> Iterator[str]:
    """The words; ValueError at one that sclite would take for something else."""
    for word in transcript.words:
        if _SPECIAL.fullmatch(word):
            raise ValueError(
                f"utterance {transcript.id}: sclite does not read {word!r} as a word (it must not "
                "be @, nor have braces or semicolons, begin with <ALT or end in *)"
            )
        yield word


def _checked_fields(item: Transcript, fields: Sequence[str]) -> Sequence[str]:
    if any(len(field.split()) != 1 for field in fields):
        raise ValueError(f"utterance {item.id}: recording, channel and speaker must have no spaces")
    return fields
