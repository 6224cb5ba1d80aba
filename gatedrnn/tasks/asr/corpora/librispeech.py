"""Corpora in LibriSpeech's layout, and packs: a ``manifest.tsv`` beside a folder of audio files."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from gatedrnn.data.entries import Entry, Policy, prepare_entries
from gatedrnn.data.files import list_files
from gatedrnn.data.preparation import Prepared
from gatedrnn.data.report import Report

_SUFFIXES = (".flac", ".wav", ".ogg")
#: First letters of the official subsets -> split.
_SPLITS = {"train-": "train", "dev-": "dev", "test-": "test"}
PACK = "manifest.tsv"


def prepare_librispeech(
    data: str | Path,
    out: str | Path,
    subsets: Mapping[str, Sequence[str]] | None = None,
    policy: Policy | None = None,
) -> Prepared:
    """Writes ``train.csv``, ``dev.csv``, if there is one ``test.csv``, and ``report.json``.

    Arguments
    ---------
    data : str or Path
        Folder of the subsets (``train-clean-100``, ...), each with speaker, chapter, and in that
        the audio files and their ``.trans.txt``; or the folder of a pack.
    out : str or Path
        Folder for the results.
    subsets : Mapping or None
        Split -> names of subsets; None for all that are there, by their names.
    policy : Policy or None
        What is done with odd utterances.

    Returns
    -------
    Prepared

    Raises
    ------
    FileNotFoundError, ValueError
        If nothing like that is there, or a split has no utterance left.
    """
    data = Path(data)
    if not data.is_dir():
        raise FileNotFoundError(f"{data}: no such folder")
    if (data / PACK).is_file() and subsets is None:
        return prepare_entries(
            "librispeech", out, *read_pack(data), policy or Policy(), {"data": str(data.absolute())}
        )
    subsets = subsets or find_subsets(data)
    read: dict[str, Callable[[Report], Iterator[Entry]]] = {}
    inputs: list[Path] = []
    for split, names in subsets.items():
        for name in names:
            if not (data / name).is_dir():
                raise FileNotFoundError(f"{data / name}: no such subset")
        folders = [data / name for name in names]
        inputs += [file for folder in folders for file in list_files(folder)]
        read[split] = partial(_read_subsets, folders)
    settings = {"data": str(data.absolute()), "subsets": {s: list(n) for s, n in subsets.items()}}
    return prepare_entries("librispeech", out, read, inputs, policy or Policy(), settings)


def find_subsets(data: Path) -> dict[str, list[str]]:
    """Finds the subsets of a folder by their names.

    Arguments
    ---------
    data : Path
        The folder.

    Returns
    -------
    dict
        Split -> names.

    Raises
    ------
    FileNotFoundError
        If there is no training subset.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for name in ("train-clean-5", "dev-clean-2"):
    ...     (folder / name).mkdir()
    >>> find_subsets(folder)
    {'train': ['train-clean-5'], 'dev': ['dev-clean-2']}
    """
    found: dict[str, list[str]] = {}
    for prefix, split in _SPLITS.items():
        names = sorted(path.name for path in data.glob(f"{prefix}*") if path.is_dir())
        if names:
            found[split] = names
    if "train" not in found:
        raise FileNotFoundError(
            f"{data}: holds neither {PACK} nor a folder train-*; must be the folder of "
            "LibriSpeech's subsets (train-clean-100, dev-clean, ...)"
        )
    return found


def read_pack(
    data: str | Path,
) -> tuple[dict[str, Callable[[Report], list[Entry]]], list[Path]]:
    """Reads a pack: ``manifest.tsv`` with the columns split, utt, speaker, text, and audio files.

    Arguments
    ---------
    data : str or Path
        Its folder.

    Returns
    -------
    tuple
        Split -> what lists its entries; and all files that decide them.

    Raises
    ------
    ValueError
        If a column is missing.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "manifest.tsv").write_text(
    ...     "split\\tutt\\tspeaker\\ttext\\ntrain\\tu1\\tann\\tYES\\n")
    >>> read, files = read_pack(folder)
    >>> read["train"](Report("mine"))[0].speaker
    'ann'
    """
    data = Path(data)
    audio = {path.stem: path for path in list_files(data) if path.suffix in _SUFFIXES}
    entries: dict[str, list[Entry]] = {}
    with open(data / PACK, newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream, delimiter="\t")
        lost = [c for c in ("split", "utt", "speaker", "text") if c not in (rows.fieldnames or ())]
        if lost:
            raise ValueError(
                f"{data / PACK}: no column {', '.join(lost)}; the first line must name split, "
                "utt, speaker and text, with tabs between them"
            )
        for row in rows:
            # A file that is not there is reported when it is looked at.
            path = audio.get(row["utt"], data / f"{row['utt']}.flac")
            entry = Entry(row["utt"], path, row["text"] or "", row["speaker"])
            entries.setdefault(row["split"], []).append(entry)
    read = {split: partial(_listed, found) for split, found in entries.items()}
    return read, [data / PACK, *audio.values()]


def _listed(entries: list[Entry], report: Report) -> list[Entry]:
    """Entries that were read already."""
    return entries


def _read_subsets(folders: Sequence[Path], report: Report) -> Iterator[Entry]:
    """Reads subsets: a file of transcripts per chapter, a line per audio file."""
    for folder in folders:
        audio, texts = {}, {}
        for path in list_files(folder):
            if path.name.endswith(".trans.txt"):
                texts.update(_read_transcripts(path))
            elif path.suffix in _SUFFIXES:
                audio[path.stem] = path
        for name in sorted(audio.keys() - texts.keys()):
            report.add("transcript-missing", str(audio[name]))
        for name, (text, source) in sorted(texts.items()):
            path = audio.get(name, source.parent / f"{name}.flac")
            yield Entry(name, path, text, name.split("-")[0])


def _read_transcripts(path: Path) -> dict[str, tuple[str, Path]]:
    """Reads a file of transcripts: utterance -> transcript and the file it stands in."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, text = line.strip().partition(" ")
        if name:
            found[name] = (text, path)
    return found
