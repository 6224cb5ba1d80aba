"""Prepares the AMI meeting corpus from its official files."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from gatedrnn.data.audio import AudioError, AudioFile, inspect
from gatedrnn.data.preparation import Prepared, prepare, statistics_of
from gatedrnn.data.report import Check, Report
from gatedrnn.data.tables import Utterance
from gatedrnn.tasks.asr.corpora.ami.annotations import (
    NORMALIZATIONS,
    SEGMENTATIONS,
    Annotations,
    Participant,
    Piece,
    clip,
    read_meetings,
    read_segments,
    read_words,
    report_overlaps,
)
from gatedrnn.tasks.asr.corpora.ami.meetings import (
    PARTITIONS,
    SPLITS,
    Microphone,
    choose,
    find_partition,
    find_recordings,
)

logger = logging.getLogger(__name__)

#: Sample rate of the corpus; also of the sample counts where there is no audio.
RATE = 16_000
#: Recordings of the first array that were never published.
_NEVER_PUBLISHED = ("IS1003b", "IS1007d")

_LHOTSE = "lhotse, pull request 889"
_KALDI = "sclite and asclite of Kaldi and ESPnet count 94.5 to 95.2 and 89.6 to 90.0 thousand"
#: (segmentation, split) -> (utterances, fraction by which they may differ, source).
_UTTERANCES = {
    # Exact for dev and eval: the same references in the same annotations.
    ("unsplit", "dev"): (8_665, 0.0, _LHOTSE),
    ("unsplit", "eval"): (7_490, 0.0, _LHOTSE),
    ("unsplit", "train"): (67_317, 0.02, "the 137 meetings of Kaldi, IB4005 included"),
    ("words30", "dev"): (12_614, 0.03, _LHOTSE),
    ("words30", "eval"): (12_121, 0.03, _LHOTSE),
    ("words30", "train"): (103_377, 0.03, _LHOTSE),
}
_WORDS = {"dev": 95_164, "eval": 89_641}
_RECORDINGS = {"train": (133, 136), "dev": (18, 18), "eval": (16, 16)}
#: Hours of speech to train on: 74.8 of lhotse without the two meetings that have no recording,
#: 76 to 77 of Kaldi.
_HOURS = (74.0, 77.0)

_WHY_TRAIN_DIFFERS = (
    "The complete annotations give 66,784 train utterances, not 67,317: IB4005 (533 of them) "
    "shares speakers with dev and is left out, as in lhotse, SpeechBrain and pyannote; "
    "--include-ib4005 brings it back, and the count to 67,317 exactly. lhotse's own 65,557 are "
    "fewer, since three recordings are missing or skipped there. Eleven segments that hold "
    "nothing but dots are named under text-empty."
)
_WHY_WORDS30 = (
    "words30 splits at full stops only; Kaldi, which splits at question marks too, counts 105,149 "
    "/ 13,059 / 12,612."
)


@dataclass(frozen=True)
class AmiOptions:
    """Options of the preparation of AMI.

    Arguments
    ---------
    mic : str
        Such as ``"sdm"`` or ``"ihm"``: see
        :class:`~gatedrnn.tasks.asr.corpora.ami.meetings.Microphone`.
    segmentation : str
        ``"unsplit"`` or ``"words30"``: see :mod:`gatedrnn.tasks.asr.corpora.ami.annotations`.
    partition : str
        See :func:`~gatedrnn.tasks.asr.corpora.ami.meetings.find_partition`.
    include_ib4005 : bool
        Train on IB4005, whose speakers are in dev too.
    normalize : str
        ``"plain"`` or ``"kaldi"``: see :mod:`gatedrnn.tasks.asr.corpora.ami.annotations`.
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
            ("normalize", self.normalize, NORMALIZATIONS),
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
    """Makes the utterances; keeps the headers of recordings."""

    source: Annotations
    recordings: Mapping[tuple[str, str], Path] | None
    options: AmiOptions
    meetings: Mapping[str, str]
    headers: dict[Path, AudioFile | None] = field(default_factory=dict)
    wordless: int = 0

    def make(self, report: Report) -> dict[str, list[Utterance]]:
        """Split -> utterances."""
        name = "meetings.xml"
        people = read_meetings(self.source.read("corpusResources", name), name)
        speakers = self._speakers(report)
        splits: dict[str, list[Utterance]] = {split: [] for split in SPLITS}
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
            split = splits[self.meetings[meeting]]
            split += self._utterances(meeting, agent, person, pieces, report)
        for utterances in splits.values():
            utterances.sort(key=lambda utterance: utterance.id)
        self._conclude(splits, report)
        return splits

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
        lists = [split(segment) for segment in segments or []]
        self.wordless += sum(not pieces for pieces in lists)
        return [piece for pieces in lists for piece in pieces]

    def _utterances(
        self, meeting: str, agent: str, person: Participant, pieces: list[Piece], report: Report
    ) -> Iterator[Utterance]:
        """Normalizes the text of pieces, and locates them in the recording."""
        header = self._header(meeting, person, report)
        if self.recordings is not None and header is None:
            return
        normalize = NORMALIZATIONS[self.options.normalize]
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
            words = normalize(kept.text)
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
            name = microphone.recording(person.channel)
            known = meeting in _NEVER_PUBLISHED and name.startswith("Array1")
            detail = "never published: known to AMI's makers" if known else "not in the folder"
            report.add("audio-missing", f"{meeting}.{name}.wav", detail)
            return None
        if path not in self.headers:
            self.headers[path] = _inspect(path, report)
        return self.headers[path]

    def _conclude(self, splits: Mapping[str, list[Utterance]], report: Report) -> None:
        """Adds statistics, checks and notes; an empty result is an error."""
        if not any(splits.values()):
            raise ValueError(
                f"AMI: no utterance left of {self.source.path} for partition "
                f"{self.options.partition} and microphone {self.options.mic}: "
                f"{report.count('audio-missing')} recordings are missing, "
                f"{report.count('xml-broken')} annotation files are broken"
            )
        report.statistics["segments_without_words"] = self.wordless
        microphone = Microphone(self.options.mic)
        if self.options.partition == PARTITIONS[0]:
            report.checks += check_statistics(
                {split: statistics_of(utterances) for split, utterances in splits.items()},
                self.options.segmentation,
                shared_microphone=microphone.recording(0) == microphone.recording(1),
                with_audio=self.recordings is not None,
            )
            report.notes.append(explain(self.options.segmentation))


def _inspect(path: Path, report: Report) -> AudioFile | None:
    """Reads the header of a recording, and reports its issues."""
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


def prepared_sets(hparams: Mapping[str, Any]) -> dict[str, Path]:
    """Finds the lists of utterances that :func:`prepare_ami` wrote, as a recipe's YAML says."""
    folder = Path(hparams["prepared_folder"])
    sets = {name: folder / f"{name}.csv" for name in SPLITS}
    for name, more in (hparams.get("more_tests") or {}).items():
        sets[f"eval-{name}"] = Path(more) / "eval.csv"
    for path in sets.values():
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; run recipes/AMI/ami_prepare.py first")
    return sets


def check_statistics(
    statistics: Mapping[str, Mapping[str, Any]],
    segmentation: str,
    shared_microphone: bool,
    with_audio: bool,
) -> list[Check]:
    """Checks the statistics of the partition ``full-corpus-asr`` against published ones."""
    checks = []
    for split, numbers in statistics.items():
        count, part, source = _UTTERANCES[segmentation, split]
        # Recordings may end early or be lost, so that with audio nothing is exact.
        part = max(part, 0.03) if with_audio else part
        checks.append(_around(f"{split} utterances", numbers["utterances"], count, part, source))
        if split in _WORDS:
            name = f"{split} words"
            checks.append(_around(name, numbers["words"], _WORDS[split], 0.01, _KALDI))
        if with_audio and shared_microphone:
            low, high = _RECORDINGS[split]
            name = f"{split} recordings"
            checks.append(Check(name, numbers["recordings"], low, high, "the corpus's own lists"))
        if with_audio and split == "train" and segmentation == "words30":
            source = "lhotse and Kaldi"
            checks.append(Check("train hours", numbers["hours"], *_HOURS, source))
    return checks


def explain(segmentation: str) -> str:
    """Why the statistics of a segmentation differ from some that were published."""
    return _WHY_TRAIN_DIFFERS if segmentation == "unsplit" else _WHY_WORDS30


def _around(name: str, value: float, target: float, part: float, source: str) -> Check:
    """A numbers that may differ from a published one by a part of it."""
    return Check(name, value, target * (1 - part), target * (1 + part), source)
