"""Fillers and backchannels, which Kaldi's scoring of meetings leaves out or takes as one."""

from __future__ import annotations

from collections.abc import Sequence

#: Hesitations: they count as nothing (Kaldi egs/ami, ``english.glm``).
HESITATIONS = frozenset(
    "ACH AH EEE EH ER EW HA HEE HM HMM HMMM HUH MM OOF UH UM %HESITATION".split()
)
#: Backchannels: all that agree count as one word, and all that disagree as another.
BACKCHANNELS = {
    word: token
    for token, words in {
        "%BCACK": "MHM MM-HM MM-HMM MM-HUH MMHM UH-HMM UHHUH UH-HUH UM-HMM UM-HUM",
        "%BCNACK": "HUH-UH HUHUH UH-UH UHUH",
    }.items()
    for word in words.split()
}
#: Of the backchannels those that are still known without hyphens (spelling ``plain`` of AMI).
_SPLIT = {("MM", "HMM"): "%BCACK", ("UH", "HUH"): "%BCACK"}


def without_fillers(words: Sequence[str]) -> tuple[str, ...]:
    """Words without hesitations, with one spelling of backchannels, in any case of letters.

    Arguments
    ---------
    words : sequence of str
        Of a reference or a hypothesis.

    Returns
    -------
    tuple of str

    Example
    -------
    >>> without_fillers("UM YEAH Mm-hmm UH HUH THAT UH HELPS".split())
    ('YEAH', '%BCACK', '%BCACK', 'THAT', 'HELPS')
    """
    upper = [word.upper() for word in words]
    kept = []
    index = 0
    while index < len(words):
        couple = _SPLIT.get(tuple(upper[index : index + 2]))
        if couple:
            kept.append(couple)
            index += 2
            continue
        if upper[index] not in HESITATIONS:
            kept.append(BACKCHANNELS.get(upper[index], words[index]))
        index += 1
    return tuple(kept)
