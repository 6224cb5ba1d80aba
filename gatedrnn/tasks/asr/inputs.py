"""What is to be transcribed: files, folders, manifests, and the lists that recipes prepare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gatedrnn.data.audio import INPUT_SUFFIXES
from gatedrnn.data.files import list_files
from gatedrnn.data.report import Report
from gatedrnn.data.tables import read_columns
from gatedrnn.data.utterance import COLUMNS, read_csv
from gatedrnn.tasks.asr.corpora.manifest import read_manifest
from gatedrnn.tasks.asr.transcript import check_name

MANIFESTS = (".csv", ".tsv", ".jsonl", ".json", ".ndjson")


@dataclass(frozen=True, slots=True)
class Item:
    """A recording, or a part of one, that is to be transcribed.

    Arguments
    ---------
    name : str
        What its transcript is called: relative, with ``/`` between folders, unique.
    path : Path
        The audio file.
    start : float or None
        Begin in seconds; ``None`` for that of the file.
    stop : float or None
        End in seconds; ``None`` for that of the file.
    channel : int or None
        Channel of the file, from 0; ``None`` for all of them, mixed.
    text : str or None
        What is said, where that is known.
    speaker : str or None
        Who speaks, where that is known.
    samples : (int, int) or None
        First sample and the one past the last, at the file's own rate, where they are known
        exactly; instead of ``start`` and ``stop``.
    recording : str or None
        What the recording is called from whose beginning times count; ``None`` for ``name``.

    Example
    -------
    >>> Item("talk", Path("talk.wav")).whole, Item("talk-2", Path("talk.wav"), start=60.0).whole
    (True, False)
    """

    name: str
    path: Path
    start: float | None = None
    stop: float | None = None
    channel: int | None = None
    text: str | None = None
    speaker: str | None = None
    samples: tuple[int, int] | None = None
    recording: str | None = None

    @property
    def whole(self) -> bool:
        """Whether it is a whole file."""
        return self.start is None and self.stop is None and self.samples is None


#: An item with the names it may have, the best first.
_Named = tuple[Item, tuple[str, ...]]


def find_items(paths: Iterable[str | Path]) -> list[Item]:
    """Lists what is to be transcribed.

    Recordings are called like their files, without endings; those from folders with the path below
    the folder; rows of manifests by their ``id``. Where two would be called the same, the ending is
    kept or the name of the folder or manifest is put before.

    Arguments
    ---------
    paths : iterable of str or Path
        Each an audio file; a folder, of which all audio files are taken, also those in its folders;
        a manifest (see :mod:`gatedrnn.tasks.asr.corpora.manifest`; texts may be missing); or a
        prepared CSV file of a recipe.

    Returns
    -------
    list of Item
        In the order of the paths and of the rows; files of a folder sorted.

    Raises
    ------
    FileNotFoundError
        If there is no such path.
    ValueError
        If a folder has no audio file, a manifest has a row that cannot be used, or something is
        given twice.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for name in ("a.wav", "b.flac", "b.wav", "notes.txt", "day1/a.wav"):
    ...     path = folder / name
    ...     path.parent.mkdir(exist_ok=True)
    ...     path.touch()
    >>> [item.name for item in find_items([folder])]
    ['a', 'b.flac', 'b.wav', 'day1/a']
    """
    found: list[_Named] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += _of_folder(path)
        elif not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder")
        elif path.suffix.lower() in MANIFESTS:
            found += _of_manifest(path)
        else:
            found.append((Item(path.stem, path), _names(path.name, path.absolute().parent.name)))
    return _named(found)


def _of_folder(folder: Path) -> list[_Named]:
    """All audio files under a folder, hidden ones excepted."""
    found = []
    for path in list_files(folder):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if path.suffix.lower() in INPUT_SUFFIXES and not hidden:
            names = _names(inside.as_posix(), folder.absolute().name)
            found.append((Item(names[0], path), names))
    if not found:
        raise ValueError(f"{folder}: no audio file ({', '.join(INPUT_SUFFIXES)}) in this folder")
    return found


def _names(inside: str, outside: str) -> tuple[str, ...]:
    """Names of a file, given its path below a folder and the folder's own name."""
    without = inside.removesuffix(Path(inside).suffix)
    names = (without, inside)
    return (*names, *(f"{outside}/{name}" for name in names)) if outside else names


def _of_manifest(path: Path) -> list[_Named]:
    """Rows of a manifest or of a prepared CSV file."""
    items = _of_prepared(path) if _is_prepared(path) else _of_rows(path)
    if not items:
        raise ValueError(f"{path}: no row names an audio file")
    repeated = [name for name, count in Counter(i.name for i in items).items() if count > 1]
    if repeated:
        raise ValueError(f"{path}: id {repeated[0]} appears twice")
    recordings = _recordings(item.path for item in items)
    return [
        (
            item if item.whole else replace(item, recording=recordings[item.path]),
            (item.name, f"{path.stem}/{item.name}"),
        )
        for item in items
    ]


def _recordings(paths: Iterable[Path]) -> dict[Path, str]:
    """What recordings are called: like their files; with folders where that says too little."""
    distinct = dict.fromkeys(paths)
    stems = Counter(path.stem for path in distinct)
    return {
        path: path.stem if stems[path.stem] == 1 else path.absolute().as_posix().lstrip("/")
        for path in distinct
    }


def _is_prepared(path: Path) -> bool:
    """Whether a file has the columns of those that recipes prepare."""
    return path.suffix.lower() == ".csv" and set(COLUMNS) <= set(read_columns(path))


def _of_prepared(path: Path) -> list[Item]:
    items = []
    for row in read_csv(path):
        if not row.wav:
            raise ValueError(f"{path}: utterance {row.id} has no recording, only its text")
        items.append(
            Item(
                row.id,
                path.parent / row.wav,
                channel=row.channel,
                text=row.words or None,
                speaker=row.speaker or None,
                samples=(row.start, row.stop),
            )
        )
    return items


def _of_rows(path: Path) -> list[Item]:
    report = Report("transcription")
    items = [
        Item(
            entry.id,
            entry.audio,
            entry.start,
            entry.stop,
            entry.channel,
            " ".join(entry.text.split()) or None,
            None if entry.speaker == "unknown" else entry.speaker,
        )
        for entry in read_manifest(path, report, required=("audio",))
    ]
    issues = {
        place: detail
        for kind in ("column-missing", "value-unreadable")
        for place, detail in report.items(kind).items()
    }
    if issues:
        place, detail = next(iter(issues.items()))
        more = f" (and {len(issues) - 1} more such rows)" if len(issues) > 1 else ""
        raise ValueError(f"{place}: {detail}{more}")
    return items


def _named(found: Sequence[_Named]) -> list[Item]:
    """Gives each item the first of its names that no other one has."""
    levels = [0] * len(found)
    while True:
        chosen = [names[level] for (_, names), level in zip(found, levels, strict=True)]
        counts = Counter(chosen)
        if len(counts) == len(found):
            break
        for place, name in enumerate(chosen):
            if counts[name] == 1:
                continue
            levels[place] += 1
            if levels[place] == len(found[place][1]):
                first, second, *_ = (
                    str(found[i][0].path) for i, n in enumerate(chosen) if n == name
                )
                given = f"{first} is given twice" if first == second else f"{first} and {second}"
                raise ValueError(f"{given}: there can be only one transcript called {name}")
    return [
        replace(item, name=check_name(name)) for (item, _), name in zip(found, chosen, strict=True)
    ]
