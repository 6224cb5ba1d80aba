"""Speech corpora: a module with a reader for each, and one way to prepare them all.

A reader is ``read(data_folder, report, out, **options)``: it returns split -> entries, and adds to
the report what it leaves out. ``out`` is a folder for recordings that it has to convert.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gatedrnn.data.dataset import (
    DistantSpeech,
    ImpulseResponses,
    Noises,
    SpeechDataset,
    simulate_rooms,
    speech_dataset,
)
from gatedrnn.data.files import list_files
from gatedrnn.data.preparation import Entry, Policy, Prepared, prepare_entries
from gatedrnn.data.report import Report
from gatedrnn.tasks.asr.corpora import ami, an4, librispeech, manifest, tones

__all__ = ["CORPORA", "Corpus", "prepare", "prepare_corpus", "read"]
#: Sets whose name ends like this are made distant.
DISTANT = "-distant"


def read_speech(path: Path, name: str, hparams: Mapping[str, Any]) -> SpeechDataset:
    """Makes the dataset of a prepared CSV file.

    Of the YAML it takes ``sample_rate``; for ``"train"`` ``min_seconds``, ``max_seconds`` and
    ``distant_train``; for sets whose name ends in ``"-distant"`` ``distant_test``.
    """
    rate = hparams["sample_rate"]
    if name == "train":
        return speech_dataset(
            path,
            rate,
            effect=hparams.get("distant_train"),
            min_seconds=float(hparams.get("min_seconds") or 0.0),
            max_seconds=float(hparams.get("max_seconds") or "inf"),
        )
    if name.endswith(DISTANT):
        if hparams.get("distant_test") is None:
            raise ValueError(f"set {name} needs impulse_responses or noises to be made distant")
        return speech_dataset(path, rate, effect=hparams["distant_test"])
    return speech_dataset(path, rate)


def distant_speech(
    impulse_responses: str | None,
    noises: str | None,
    rate: int,
    split: str | None = None,
    share: float = 1.0,
    snr: Sequence[float] = (5.0, 25.0),
    seed: int = 1,
) -> DistantSpeech | None:
    """Makes the effect that turns close speech into distant speech, for YAML.

    Arguments
    ---------
    impulse_responses : str or None
        A folder, an ``.npz`` file, or ``"simulated"`` for rooms made by pyroomacoustics.
    noises : str or None
        A folder of noise recordings.
    rate : int
        Samples per second.
    split : str or None
        Take the responses of this split only: of an ``.npz`` file that tells splits; simulated
        ones are of other rooms in each split.
    share : float
        Part of the utterances that are changed.
    snr : sequence of float
        Lowest and highest ratio of speech to noise, in dB.
    seed : int
        Decides all.

    Returns
    -------
    DistantSpeech or None
        ``None`` if ``share`` is 0, or neither responses nor noises are given.

    Example
    -------
    >>> distant_speech(None, None, rate=16000) is None
    True
    """
    if share == 0 or (impulse_responses is None and noises is None):
        return None
    responses = None
    if impulse_responses == "simulated":
        # Each split has other rooms.
        offset = sum(map(ord, split or ""))
        responses = simulate_rooms(64, rate, seed=seed * 10_007 + offset)
    elif impulse_responses is not None:
        folder = Path(impulse_responses).is_dir()
        responses = ImpulseResponses.load(impulse_responses, rate, None if folder else split)
    noise = None if noises is None else Noises(noises, rate)
    return DistantSpeech(responses, noise, (float(snr[0]), float(snr[1])), share, seed)


@dataclass(frozen=True)
class Corpus:
    """A speech corpus that recipes know by name.

    Arguments
    ---------
    read : callable or None
        Its reader; None where ``sets`` is given.
    options : Mapping
        Option of the reader -> key of the YAML.
    required : tuple of str
        Keys of the YAML that must have a value.
    sets : callable or None
        Values of the YAML -> (name of a set -> path), where there is nothing to prepare.
    dataset : callable
        Makes the dataset of a set: ``dataset(path, name, hparams)``.
    """

    read: Callable[..., Mapping[str, Iterable[Entry]]] | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ("data_folder",)
    sets: Callable[[Mapping[str, Any]], Mapping[str, Path]] | None = None
    dataset: Callable[[Path, str, Mapping[str, Any]], Any] = read_speech


#: Name, the key ``corpus`` of the YAML -> corpus.
CORPORA: dict[str, Corpus] = {
    "ami": Corpus(sets=ami.prepared_sets),
    "an4": Corpus(an4.read),
    "librispeech": Corpus(librispeech.read, {"subsets": "subsets"}),
    "manifest": Corpus(
        manifest.read,
        {"train": "train_manifest", "dev": "dev_manifest", "test": "test_manifest"},
        required=("train_manifest",),
    ),
    "tones": Corpus(sets=tones.sets, dataset=tones.dataset),
}
#: Corpus -> the key by which YAML files of older versions, which have no ``corpus``, are known.
_OLD_RECIPES = {
    "manifest": "train_manifest",
    "tones": "train_utterances",
    "an4": "data_folder",
    "ami": "prepared_folder",
}


def prepare_corpus(
    corpus: str,
    data_folder: str | Path | None,
    out: str | Path,
    policy: Policy | None = None,
    **options: Any,
) -> Prepared:
    """Writes ``train.csv``, ``dev.csv``, if there is one ``test.csv``, and ``report.json``.

    Without a dev split, training speakers are held out for one. A second call with the same options
    and files does nothing.

    Arguments
    ---------
    corpus : str
        A key of ``CORPORA``.
    data_folder : str or Path or None
        Folder of the corpus; None for manifests.
    out : str or Path
        Folder for the results.
    policy : Policy or None
        How unusual utterances are handled.
    **options : Any
        Options of the corpus's reader.

    Raises
    ------
    FileNotFoundError, ValueError
        If the corpus is not there or has another layout, or a split has no utterance left.
    """
    out, report = Path(out), Report(corpus)
    settings: dict[str, Any] = {"options": {name: str(value) for name, value in options.items()}}
    if data_folder is None:
        entries = CORPORA[corpus].read(None, report, out, **options)
        entries = {split: list(listed) for split, listed in entries.items()}
        audio = {entry.audio for listed in entries.values() for entry in listed}
        inputs = [*(path for path in options.values() if path is not None), *audio]
    else:
        data_folder = Path(data_folder)
        if not data_folder.is_dir():
            raise FileNotFoundError(f"{data_folder}: no such folder; must be that of the corpus")
        entries = CORPORA[corpus].read(data_folder, report, out, **options)
        # What was converted in an earlier run may lie in the corpus's own folder.
        ours = out.absolute()
        inputs = [p for p in list_files(data_folder) if ours not in p.absolute().parents]
        settings["data"] = str(data_folder.absolute())
    return prepare_entries(corpus, out, entries, inputs, policy or Policy(), settings, report)


def prepare(hparams: Mapping[str, Any]) -> dict[str, Path]:
    """Prepares the corpus of a recipe: name of a set -> its CSV file.

    Of the YAML it takes ``corpus``, ``data_folder``, ``prepared_folder``, ``sample_rate``,
    optionally ``characters``, and the keys of the corpus's options; where ``distant_test`` is not
    null, the test sets are there a second time, to be made distant.
    """
    corpus = _corpus(hparams)
    if corpus.sets is not None:
        return dict(corpus.sets(hparams))
    for key in corpus.required:
        if not hparams.get(key):
            raise ValueError(f"{key}: has no value; corpus {corpus_of(hparams)!r} needs one")
    prepared = prepare_corpus(
        corpus_of(hparams),
        hparams.get("data_folder"),
        hparams["prepared_folder"],
        Policy(rate=hparams["sample_rate"], characters=hparams.get("characters")),
        **{name: hparams[key] for name, key in corpus.options.items() if hparams.get(key)},
    )
    sets = dict(prepared.files)
    if hparams.get("distant_test") is not None:
        sets |= {name + DISTANT: path for name, path in prepared.files.items() if name != "train"}
    return sets


def read(path: Path, name: str, hparams: Mapping[str, Any]) -> Any:
    """Makes the dataset of a set that :func:`prepare` returned."""
    return _corpus(hparams).dataset(path, name, hparams)


def corpus_of(hparams: Mapping[str, Any]) -> str:
    """The name of a recipe's corpus; YAML files of older versions have no ``corpus``."""
    older = (name for name, key in _OLD_RECIPES.items() if key in hparams)
    corpus = hparams.get("corpus") or next(older, None)
    if corpus not in CORPORA:
        raise ValueError(f"corpus: {corpus!r} is unknown; must be one of {', '.join(CORPORA)}")
    return corpus


def _corpus(hparams: Mapping[str, Any]) -> Corpus:
    return CORPORA[corpus_of(hparams)]
