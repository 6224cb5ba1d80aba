"""What was scored, as files for NIST's sclite and asclite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gatedrnn.scoring.measures import Score
from gatedrnn.scoring.pairing import Pair
from gatedrnn.scoring.text_files import write_trn
from gatedrnn.scoring.timed_files import write_ctm, write_stm
from gatedrnn.scoring.transcript import Transcript


def write_files(folder: str | Path, scores: Sequence[Score]) -> list[Path]:
    """Writes ``ref.trn`` and ``hyp.trn``, and where times are known ``ref.stm`` and ``hyp.ctm``.

    They hold what was scored: sclite gives the same counts with ``-s -i rm``, or without ``-s`` if
    case was ignored.

    Arguments
    ---------
    folder : str or Path
        Where to.
    scores : sequence of Score
        Of one system, or of several: the files of the second one are called ``hyp2``.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ValueError
        If sclite would read a word or a name as something else, or the systems were not scored on
        the same utterances.

    Example
    -------
    >>> from gatedrnn.scoring import Transcripts, score
    >>> said = Transcripts("r", "trn", (Transcript("ann-1", ("GO", "ON"), "ann"),))
    >>> heard = Transcripts("h", "trn", (Transcript("ann-1", ("GO",)),))
    >>> folder = getfixture("tmp_path")
    >>> [path.name for path in write_files(folder, [score(said, heard)])]
    ['ref.trn', 'hyp.trn']
    >>> print((folder / "hyp.trn").read_text().strip())
    GO (ann-1)
    """
    folder = Path(folder)
    references = [[pair.reference for pair in score.pairing.pairs] for score in scores]
    if any(other != references[0] for other in references[1:]):
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
        heard = [_placed(pair) for pair in score.pairing.pairs]
        written.append(folder / f"{name}.trn")
        write_trn(written[-1], heard)
        if timed and all(len(item.times) == len(item.words) for item in heard):
            written.append(folder / f"{name}.ctm")
            write_ctm(written[-1], heard)
    return written


def _placed(pair: Pair) -> Transcript:
    """A hypothesis with name, speaker and place of its reference."""
    said, heard = pair.reference, pair.hypothesis
    # Words of a recording have a beginning of their own to count from.
    start = said.start if heard.start is None or not heard.recording else heard.start
    return replace(said, words=heard.words, times=heard.times, start=start)
