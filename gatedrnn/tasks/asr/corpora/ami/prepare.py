"""Prepares the AMI meeting corpus from its official files."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tqdm.auto import tqdm

from gatedrnn.data.audio import AudioError, AudioFile, inspect
from gatedrnn.data.preparation import Prepared, figures_of, prepare
from gatedrnn.data.report import Report
from gatedrnn.data.utterance import Utterance
from gatedrnn.tasks.asr.corpora.ami.checks import check_figures, explain
from gatedrnn.tasks.asr.corpora.ami.microphones import Microphone, choose, find_recordings
from gatedrnn.tasks.asr.corpora.ami.normalise import NORMALISERS
from gatedrnn.tasks.asr.corpora.ami.nxt import Participant, read_meetings, read_segments, read_words
from gatedrnn.tasks.asr.corpora.ami.partitions import PARTITIONS, SPLITS, find_partition
from gatedrnn.tasks.asr.corpora.ami.segments import SEGMENTATIONS, Piece, clip, report_overlaps
from gatedrnn.tasks.asr.corpora.ami.source import Annotations

logger = logging.getLogger(__name__)

#: Sample rate of the corpus; also what samples are counted at where there is no audio.
RATE = 16_000
#: Recordings of the first array that were never published.
_NEVER_PUBLISHED = ("IS1003b", "IS1007d")


@dataclass(frozen=True)
class AmiOptions:
    """What is to be prepared.

    Arguments
    ---------
    mic : str
        See :class:`~gatedrnn.tasks.asr.corpora.ami.microphones.Microphone`.
    segmentation : str
        ``"unsplit"`` or ``"words30"``, see ``gatedrnn.tasks.asr.corpora.ami.segments``.
    partition : str
        See :func:`~gatedrnn.tasks.asr.corpora.ami.partitions.find_partition`.
    include_ib4005 : bool
        Train on IB4005, whose speakers are in dev too.
    normalize : str
        ``"plain"`` or ``"kaldi"``, see ``gatedrnn.tasks.asr.corpora.ami.normalise``.

    Raises
    ------
    ValueError
        If there is no such choice.

    Example
    -------
    >>> AmiOptions(mic="ihm").segmentation
    'unsplit'
    """

    mic: str = "sdm"
    segmentation: str = "unsplit"
    partition: str = "full-corpus-asr"
    include_ib4005: bool = False
    normalize: str = "plain"

    def __post_init__(self) -> None:
        Microphone(self.mic)
        for name, value, known in (
            ("segmentation", self.segmentation, SEGMENTATIONS),
            ("normalize", self.normalize, NORMALISERS),
        ):
            if value not in known:
                raise ValueError(f"{name} {value!r}: must be one of {', '.join(known)}")


def prepare_ami(
    annotations: str | Path,
    out: str | Path,
    audio: str | Path | None = None,
    options: AmiOptions | None = None,
) -> Prepared:
    """Writes ``train.csv``, ``dev.csv``, ``eval.csv`` and ``report.json``.

    ``start`` and ``stop`` in the CSV files are samples of the recording, not seconds. A second
    call with the same options and files does nothing; another option prepares again. Without
    audio, ``wav`` is empty, and ``train.txt``, ``dev.txt`` and ``eval.txt`` hold the transcripts,
    one per line, for language models.

    Arguments
    ---------
    annotations : str or Path
        Folder or zip file of the manual annotations.
    out : str or Path
        Folder for the results.
    audio : str or Path or None
        Folder of the recordings, nested in any way; None for text only.
    options : AmiOptions or None
        What is to be prepared.

    Returns
    -------
    Prepared

    Raises
    ------
    FileNotFoundError, ValueError
        If annotations or recordings are not there, or no utterance is left.
    """
    options = options or AmiOptions()
    # Fails early, and before anything is read, if the partition is not one.
    partition = find_partition(options.partition, options.include_ib4005)
    found_by = Report("AMI")
    recordings = find_recordings(audio, found_by) if audio is not None else None
    with Annotations(annotations) as source:
        maker = _Maker(source, recordings, options, dict(partition.meetings))

        def make(report: Report) -> Mapping[str, list[Utterance]]:
            for item, detail in found_by.items("audio-duplicate").items():
                report.add("audio-duplicate", item, detail)
            return maker.make(report)

        return prepare(
            "AMI",
            out,
            {
                **asdict(options),
                "meetings": partition.meetings,
                "annotations": str(Path(annotations).absolute()),
                "audio": None if audio is None else str(Path(audio).absolute()),
            },
            [*source.inputs(), *(recordings or {}).values()],
            make,
            splits=SPLITS,
            texts=recordings is None,
        )


@dataclass
class _Maker:
    """Makes the utterances; keeps the headers of recordings that it has looked at."""

    source: Annotations
    recordings: Mapping[tuple[str, str], Path] | None
    options: AmiOptions
    meetings: Mapping[str, str]
    headers: dict[Path, AudioFile | None] = field(default_factory=dict)
    wordless: int = 0

    def make(self, report: Report) -> dict[str, list[Utterance]]:
        """Makes split -> utterances."""
        name = "meetings.xml"
        people = read_meetings(self.source.read("corpusResources", name), name)
        speakers = self._speakers(report)
        made: dict[str, list[Utterance]] = {split: [] for split in SPLITS}
        for meeting, agent in tqdm(speakers, desc="AMI", unit="speaker", disable=None):
            pieces = self._pieces(meeting, agent, report)
            report_overlaps(f"{meeting}.{agent}", pieces, report)
            person = people.get((meeting, agent))
            if not pieces:
                continue
            if person is None:
                # Headsets are numbered as agents are lettered, with few exceptions.
                person = Participant(f"{meeting}.{agent}", ord(agent[0].upper()) - ord("A"))
                report.add("speaker-unlisted", person.name)
            made[self.meetings[meeting]] += self._utterances(meeting, agent, person, pieces, report)
        for utterances in made.values():
            utterances.sort(key=lambda utterance: utterance.id)
        self._conclude(made, report)
        return made

    def _speakers(self, report: Report) -> list[tuple[str, str]]:
        """(meeting, agent) of all that is annotated and in the partition."""
        named: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for folder in ("words", "segments"):
            for name in self.source.names(folder):
                meeting, _, rest = name.partition(".")
                agent = rest.removesuffix(f".{folder}.xml")
                if rest != agent and agent and "." not in agent:
                    named[folder].add((meeting, agent))
        for meeting, agent in sorted(named["segments"] ^ named["words"]):
            if meeting in self.meetings:
                lost = "words" if (meeting, agent) in named["segments"] else "segments"
                report.add(f"{lost}-file-missing", f"{meeting}.{agent}.{lost}.xml")
        annotated = {meeting for names in named.values() for meeting, _ in names}
        for meeting in sorted(annotated - set(self.meetings)):
            report.add("meeting-unknown", meeting, f"not in {self.options.partition}")
        for meeting in sorted(set(self.meetings) - annotated):
            report.add("meeting-unannotated", meeting, self.meetings[meeting])
        both = named["segments"] & named["words"]
        return sorted(pair for pair in both if pair[0] in self.meetings)

    def _pieces(self, meeting: str, agent: str, report: Report) -> list[Piece]:
        """Utterances to be of a speaker of a meeting."""
        words_name = f"{meeting}.{agent}.words.xml"
        name = f"{meeting}.{agent}.segments.xml"
        tokens = read_words(self.source.read("words", words_name), words_name, report)
        if tokens is None:
            return []
        data = self.source.read("segments", name)
        segments = read_segments(data, name, words_name, tokens, report)
        split = SEGMENTATIONS[self.options.segmentation]
        made = [split(segment) for segment in segments or []]
        self.wordless += sum(not pieces for pieces in made)
        return [piece for pieces in made for piece in pieces]

    def _utterances(
        self, meeting: str, agent: str, person: Participant, pieces: list[Piece], report: Report
    ) -> Iterator[Utterance]:
        """Spells pieces, and finds them in the recording."""
        header = self._header(meeting, person, report)
        if self.recordings is not None and header is None:
            return
        spell = NORMALISERS[self.options.normalize]
        rate = header.rate if header else RATE
        names: set[str] = set()
        for piece in pieces:
            name = _name(meeting, agent, piece, names)
            # Clipping comes first, since it may take words away.
            kept = piece
            if header is not None:
                if piece.end <= piece.start:
                    report.add("no-duration", name, f"{piece.text!r} at {piece.start:.3f} s")
                    continue
                kept = clip(piece, header.seconds)
                detail = f"{piece.start:.3f} to {piece.end:.3f} s of {header.seconds:.3f} s"
                if kept is None:
                    report.add("past-the-end", name, detail)
                    continue
                if kept is not piece:
                    lost = len(piece.words) - len(kept.words)
                    report.add("clipped", name, f"{detail}; {lost} words dropped")
            words = spell(kept.text)
            if not words:
                report.add("text-empty", name, repr(kept.text))
                continue
            start = round(kept.start * rate)
            stop = max(start, round(kept.end * rate))
            if header is not None:
                stop = min(stop, header.frames)
                if stop <= start:
                    report.add("no-duration", name, "less than a sample")
                    continue
            path = str(header.path) if header else ""
            seconds = (stop - start) / rate
            yield Utterance(name, seconds, path, start, stop, 0, person.name, words)

    def _header(self, meeting: str, person: Participant, report: Report) -> AudioFile | None:
        """The header of the recording of a speaker; None if there is none that can be used."""
        if self.recordings is None:
            return None
        microphone = Microphone(self.options.mic)
        path = choose(self.recordings, meeting, microphone, person.channel)
        if path is None:
            wanted = microphone.recording(person.channel)
            known = meeting in _NEVER_PUBLISHED and wanted.startswith("Array1")
            detail = "never published: known to AMI's makers" if known else "not in the folder"
            report.add("audio-missing", f"{meeting}.{wanted}.wav", detail)
            return None
        if path not in self.headers:
            self.headers[path] = _inspect(path, report)
        return self.headers[path]

    def _conclude(self, made: Mapping[str, list[Utterance]], report: Report) -> None:
        """Adds figures, checks and notes; an empty result is an error."""
        if not any(made.values()):
            raise ValueError(
                f"AMI: no utterance left of {self.source.path} for partition "
                f"{self.options.partition} and microphone {self.options.mic}: "
                f"{report.count('audio-missing')} recordings are missing, "
                f"{report.count('xml-broken')} annotation files are broken"
            )
        report.figures["segments_without_words"] = self.wordless
        microphone = Microphone(self.options.mic)
        if self.options.partition == PARTITIONS[0]:
            report.checks += check_figures(
                {split: figures_of(utterances) for split, utterances in made.items()},
                self.options.segmentation,
                shared_microphone=microphone.recording(0) == microphone.recording(1),
                with_audio=self.recordings is not None,
            )
            report.notes.append(explain(self.options.segmentation))


def _inspect(path: Path, report: Report) -> AudioFile | None:
    """Reads the header of a recording, and tells the report what is odd about it."""
    try:
        header = inspect(path)
    except AudioError as error:
        report.add(error.kind, str(path), error.detail)
        return None
    if header.truncated:
        detail = f"{header.frames} of {header.declared} samples are there"
        report.add("recording-truncated", str(path), detail)
    if header.channels > 1:
        report.add("audio-channels", str(path), f"{header.channels} channels, channel 0 is used")
    if header.rate != RATE:
        report.add("audio-rate", str(path), f"{header.rate} Hz")
    return header


def _name(meeting: str, agent: str, piece: Piece, taken: set[str]) -> str:
    """A name for an utterance: who and when, in milliseconds; unique."""
    times = f"{round(piece.start * 1000):07d}_{round(piece.end * 1000):07d}"
    name = base = f"{meeting}_{agent}_{times}"
    number = 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    taken.add(name)
    return name
