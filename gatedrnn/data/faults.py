"""Every fault that preparation knows, and what is done about it: the one place that says so.

``skipped`` leaves the item out, ``mended`` repairs it, ``noted`` keeps it as it is. Each item is
named once in the report of the preparation (``report.json``), beside the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Arguments
    ---------
    kind : str
        Its name in the report.
    action : str
        ``"skipped"``, ``"mended"`` or ``"noted"``.
    meaning : str
        What was found and what was done, for a reader of the report.

    Example
    -------
    >>> FAULTS["audio-truncated"].action
    'skipped'
    """

    kind: str
    action: str
    meaning: str


_AUDIO = (
    Fault("audio-missing", "skipped", "there is no such audio file"),
    Fault("audio-empty", "skipped", "the audio file holds no samples"),
    Fault("audio-unreadable", "skipped", "the audio file cannot be opened or decoded"),
    Fault("audio-truncated", "skipped", "the audio file ends before its own header says"),
    Fault(
        "recording-truncated", "mended", "the recording is cut off; what lies before is still used"
    ),
    Fault("audio-rate", "noted", "another sample rate than the corpus's: resampled at loading"),
    Fault("audio-channels", "mended", "several channels: the one in the column `channel` is read"),
    Fault("audio-converted", "mended", "headerless samples, written again as WAV files"),
    Fault("audio-duplicate", "noted", "the same recording lies in two places: the first is used"),
    Fault("past-the-end", "skipped", "starts after its audio has ended"),
    Fault(
        "clipped",
        "mended",
        "ran past the end of its audio: cut there, words timed after it dropped",
    ),
    Fault("no-duration", "skipped", "ends where it starts, or before"),
)

_TEXT = (
    Fault("text-empty", "skipped", "the transcript holds no words"),
    Fault("characters-unknown", "skipped", "characters outside of the character set"),
    Fault("characters-removed", "mended", "characters outside of the character set were removed"),
    Fault("speaker-missing", "mended", "a row without a speaker: called `unknown`"),
    Fault("column-missing", "skipped", "a field that every row needs is missing or empty"),
    Fault("value-unreadable", "skipped", "a field holds what cannot be read"),
    Fault("id-repeated", "skipped", "this identifier was seen before"),
    Fault("transcript-missing", "skipped", "audio without a transcript"),
)

_NXT = (
    Fault("xml-broken", "skipped", "cut off, or not XML: this speaker of this meeting is left out"),
    Fault("words-file-missing", "skipped", "segments without a file of words"),
    Fault("segments-file-missing", "skipped", "words without a file of segments"),
    Fault("meeting-unknown", "skipped", "annotated, but in no part of the partition"),
    Fault("meeting-unannotated", "skipped", "in the partition, but not annotated"),
    Fault("speaker-unlisted", "mended", "not in meetings.xml: named after meeting and agent"),
    Fault("word-untimed", "mended", "a word without times: placed at the end of the one before"),
    Fault("word-negative", "mended", "a word that ends before it starts: it ends where it starts"),
    Fault("word-unlinked", "skipped", "a word that no segment refers to"),
    Fault("word-transform-error", "skipped", "a word the corpus marks as failed conversion"),
    Fault("link-missing", "skipped", "a segment that refers to no words"),
    Fault("link-broken", "skipped", "a segment that refers to words that do not exist"),
    Fault("segment-untimed", "mended", "a segment without readable times: those of its words"),
    Fault("segment-negative", "mended", "a segment that ends before it starts: its words' times"),
    Fault("segment-overlap", "noted", "two segments of one speaker overlap: both are kept"),
)

_LINES = (
    Fault("bytes-not-utf8", "mended", "bytes that are not UTF-8: each became U+FFFD"),
    Fault("byte-order-mark", "mended", "the file begins with a byte order mark: removed"),
    Fault("line-empty", "skipped", "lines without a word"),
    Fault("line-long", "noted", "lines of more than 100,000 characters: kept whole"),
)

_CAPTIONS = (
    Fault("image-missing", "skipped", "there is no such image"),
    Fault("image-unreadable", "skipped", "the file is no image"),
    Fault("image-truncated", "skipped", "the image begins well, but is cut off or broken"),
    Fault("features-missing", "skipped", "there is no such file of features"),
    Fault("features-unreadable", "skipped", "the features are not there or are no numbers"),
    Fault("caption-empty", "mended", "captions without a word were left out"),
    Fault("references-missing", "skipped", "there is no caption, or none with a word"),
    Fault("split-missing", "skipped", "belongs to no split"),
    Fault("split-unknown", "skipped", "belongs to a split of another name"),
)

_MUSIC = (
    Fault("piece-empty", "skipped", "the piece has no frames"),
    Fault("piece-short", "skipped", "the piece has a single frame: nothing can be predicted"),
    Fault("piece-silent", "noted", "no note sounds in the piece"),
    Fault("note-repeated", "mended", "a note stands twice in a frame: it sounds once"),
)

_PARALLEL = (
    Fault("pair-empty", "skipped", "a sentence or its translation holds no words"),
    Fault("pair-incomplete", "skipped", "a line without two sentences and a tab between them"),
    Fault("pair-repeated", "skipped", "the same pair was seen before"),
    Fault("pair-long", "skipped", "a sentence for training of more tokens than wanted"),
    Fault("pair-uneven", "skipped", "one of two sentences for training is many times as long"),
)

#: Kind -> fault.
FAULTS = {f.kind: f for f in (*_AUDIO, *_TEXT, *_NXT, *_LINES, *_CAPTIONS, *_MUSIC, *_PARALLEL)}
