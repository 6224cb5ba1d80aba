"""Files with a text per utterance: sclite's trn, Kaldi's text, and tables of two columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from gatedrnn.data.files import write_atomically
from gatedrnn.scoring.transcript import Transcript, Transcripts, speaker_prefix, words_of

_TRN = re.compile(r"(?P<text>.*)\((?P<id>[^()]+)\)\s*$", re.DOTALL)
#: What sclite reads as something else than a word: alternatives, nothing, and tags of words.
_SPECIAL = re.compile(r"@|.*[{};].*|.+\*|<alt_?.*", re.DOTALL | re.IGNORECASE)
#: First cells of a table's row of column names.
_HEADS = {"id", "utt", "utt_id", "uttid", "utterance", "utterance_id", "key", "name"}


def lines_of(path: str | Path) -> list[tuple[int, str]]:
    """Lines of a text file that hold something, with their numbers.

    Arguments
    ---------
    path : str or Path
        A file in UTF-8, with or without byte order mark.

    Returns
    -------
    list of (int, str)
        Without line ends; empty lines and NIST's comments (``;;``) are left out.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not UTF-8.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.trn"
    >>> _ = path.write_text(";; by hand\\nYES (u1)\\n")
    >>> lines_of(path)
    [(2, 'YES (u1)')]
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: {error}; transcripts must be UTF-8") from error
    # Not splitlines, which would also split at separators that may stand inside of a text.
    lines = enumerate(text.replace("\r\n", "\n").split("\n"), start=1)
    return [(number, line) for number, line in lines if line.strip() and line[:2] != ";;"]


def is_trn(line: str) -> bool:
    """Whether a line ends in an utterance's name in parentheses.

    Arguments
    ---------
    line : str
        The line.

    Returns
    -------
    bool

    Example
    -------
    >>> is_trn("GO ON (ann-1)"), is_trn("ann-1 GO ON")
    (True, False)
    """
    return _TRN.match(line) is not None


def read_trn(path: str | Path) -> Transcripts:
    """Reads sclite's transcripts: a line is the words, then the utterance's name in parentheses.

    Speakers are what the names begin with, as sclite takes it, if all names begin so.

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
        If a line has no name, or has alternatives (``{ A / B }``), which only sclite scores.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.trn"
    >>> _ = path.write_text("GO ON (ann-1)\\n(bob-2)\\n")
    >>> [(t.id, t.speaker, t.text) for t in read_trn(path).items]
    [('ann-1', 'ann', 'GO ON'), ('bob-2', 'bob', '')]
    """
    found = []
    for number, line in lines_of(path):
        match = _TRN.match(line)
        if match is None:
            raise ValueError(
                f"{path}, line {number}: a trn line must end in the utterance's name in "
                f"parentheses, but is {line[:60]!r}"
            )
        found.append((match["id"].strip(), scored_words(path, number, match["text"])))
    known = all(speaker_prefix(name) for name, _ in found)
    return Transcripts(
        str(path),
        "trn",
        tuple(Transcript(n, words, speaker_prefix(n) if known else "") for n, words in found),
    )


def scored_words(path: str | Path, number: int, text: str) -> tuple[str, ...]:
    """Words of a line of NIST's formats.

    Arguments
    ---------
    path : str or Path
        The file, for the message.
    number : int
        The line, for the message.
    text : str
        The words.

    Returns
    -------
    tuple of str

    Raises
    ------
    ValueError
        If there are alternatives among them.

    Example
    -------
    >>> scored_words("a.trn", 1, "GO ON")
    ('GO', 'ON')
    """
    words = words_of(text)
    odd = [word for word in words if "{" in word or "}" in word or word == "@"]
    if odd:
        raise ValueError(
            f"{path}, line {number}: {odd[0]!r} marks alternatives, which are not supported; "
            "write the words that count, or score with sclite"
        )
    return words


def read_kaldi(path: str | Path) -> Transcripts:
    """Reads Kaldi's ``text``: a line is the utterance's name, then the words.

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
        If an utterance appears twice.

    Example
    -------
    >>> path = getfixture("tmp_path") / "text"
    >>> _ = path.write_text("u1 GO ON\\nu2\\n")
    >>> [(t.id, t.text) for t in read_kaldi(path).items]
    [('u1', 'GO ON'), ('u2', '')]
    """
    fields = [words_of(line) for _, line in lines_of(path)]
    return Transcripts(str(path), "kaldi", tuple(Transcript(f[0], f[1:]) for f in fields))


def read_tsv(path: str | Path) -> Transcripts:
    """Reads a table of two columns, name and text, that a tab parts; it may have column names.

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
        If a line has not exactly two columns.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.tsv"
    >>> _ = path.write_text("id\\ttext\\nu1\\tGO ON\\n")
    >>> [(t.id, t.text) for t in read_tsv(path).items]
    [('u1', 'GO ON')]
    """
    found = []
    for index, (number, line) in enumerate(lines_of(path)):
        cells = line.split("\t")
        if len(cells) != 2:
            raise ValueError(
                f"{path}, line {number}: {len(cells)} column(s); there must be two, the "
                "utterance's name and its text, with a tab between them"
            )
        if index or cells[0].strip().lower() not in _HEADS:
            found.append(Transcript(cells[0].strip(), words_of(cells[1])))
    return Transcripts(str(path), "tsv", tuple(found))


def write_trn(path: str | Path, transcripts: Iterable[Transcript]) -> None:
    """Writes transcripts as sclite reads them.

    Arguments
    ---------
    path : str or Path
        The file.
    transcripts : iterable of Transcript
        Names get the speaker before them where they do not begin so, as sclite needs it.

    Raises
    ------
    ValueError
        If sclite would read a word as something else.

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
        words = " ".join([*plain_words(item), f"({sclite_name(item)})"])
        lines.append(words + "\n")
    write_atomically(path, "".join(lines))


def sclite_name(transcript: Transcript) -> str:
    """Name of an utterance from which sclite takes its speaker.

    Arguments
    ---------
    transcript : Transcript
        The utterance.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If there are spaces or parentheses in it.

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


def plain_words(transcript: Transcript) -> Iterator[str]:
    """Words of a transcript, of which sclite reads none as something else.

    Arguments
    ---------
    transcript : Transcript
        The utterance.

    Returns
    -------
    iterator of str

    Raises
    ------
    ValueError
        At a word that sclite would read as something else.

    Example
    -------
    >>> list(plain_words(Transcript("u1", ("GO", "ON"))))
    ['GO', 'ON']
    """
    for word in transcript.words:
        if _SPECIAL.fullmatch(word):
            raise ValueError(
                f"utterance {transcript.id}: sclite does not read {word!r} as a word (it must not "
                "be @, nor have braces or semicolons, begin with <ALT or end in *)"
            )
        yield word
