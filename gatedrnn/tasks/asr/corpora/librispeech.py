"""Corpora in LibriSpeech's layout, and packs: a ``manifest.tsv`` beside a folder of audio files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gatedrnn.data.files import list_files
from gatedrnn.data.preparation import Entry
from gatedrnn.data.report import Report
from gatedrnn.data.tables import read_rows

_SUFFIXES = (".flac", ".wav", ".ogg")
#: First letters of the official subsets -> split.
_SPLITS = {"train-": "train", "dev-": "dev", "test-": "test"}
PACK = "manifest.tsv"


def read(
    data_folder: Path,
    report: Report,
    out: Path,
    subsets: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Iterator[Entry] | list[Entry]]:
    """Reads a corpus in LibriSpeech's layout, or a pack.

    The layout has folders subset (``train-clean-100``, ...), speaker and chapter, with audio files
    and their ``.trans.txt``. ``subsets``: split -> names of subsets; None for all that are there.
    """
    if (data_folder / PACK).is_file() and subsets is None:
        return read_pack(data_folder)
    subsets = subsets or find_subsets(data_folder)
    for names in subsets.values():
        for name in names:
            if not (data_folder / name).is_dir():
                raise FileNotFoundError(f"{data_folder / name}: no such subset")
    return {
        split: _read_subsets([data_folder / name for name in names], report)
        for split, names in subsets.items()
    }


def read_pack(data_folder: Path) -> dict[str, list[Entry]]:
    """Reads a pack: ``manifest.tsv`` with the columns split, utt, speaker, text, and audio files.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "manifest.tsv").write_text(
    ...     "split\\tutt\\tspeaker\\ttext\\ntrain\\tu1\\tann\\tYES\\n")
    >>> read_pack(folder)["train"][0].speaker
    'ann'
    """
    audio = {path.stem: path for path in list_files(data_folder) if path.suffix in _SUFFIXES}
    entries: dict[str, list[Entry]] = {}
    columns = ("split", "utt", "speaker", "text")
    for _, row in read_rows(data_folder / PACK, required=columns):
        # A file that is not there is reported when it is checked.
        path = audio.get(row["utt"], data_folder / f"{row['utt']}.flac")
        entry = Entry(row["utt"], path, row["text"] or "", row["speaker"])
        entries.setdefault(row["split"], []).append(entry)
    return entries


def find_subsets(data: Path) -> dict[str, list[str]]:
    """Split -> names of the subsets in a folder.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for name in ("train-clean-5", "dev-clean-2"):
    ...     (folder / name).mkdir()
    >>> find_subsets(folder)
    {'train': ['train-clean-5'], 'dev': ['dev-clean-2']}
    """
    subsets: dict[str, list[str]] = {}
    for prefix, split in _SPLITS.items():
        names = sorted(path.name for path in data.glob(f"{prefix}*") if path.is_dir())
        if names:
            subsets[split] = names
    if "train" not in subsets:
        raise FileNotFoundError(
            f"{data}: has neither {PACK} nor a folder train-*; must be the folder of "
            "LibriSpeech's subsets (train-clean-100, dev-clean, ...)"
        )
    return subsets


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
    texts = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, text = line.strip().partition(" ")
        if name:
            texts[name] = (text, path)
    return texts
