"""AudioCaps: ten seconds of AudioSet each, with one caption in train and five in val and test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gatedrnn.data.files import list_files
from gatedrnn.data.report import Report
from gatedrnn.data.tables import find_text, read_rows
from gatedrnn.tasks.captioning.corpora.items import CaptionItem

#: The corpus's names of the splits -> ours.
PARTS = {"train": "train", "val": "dev", "test": "test"}
#: What downloaders call a clip, without its ending; the first that is there is used.
NAMES = (
    "{youtube_id}_{start}",
    "Y{youtube_id}_{start}",
    "{youtube_id}_{start}_{stop}",
    "{youtube_id}_{start}000_{stop}000",
    "{audiocap_id}",
    "{youtube_id}",
    "Y{youtube_id}",
)
_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a")


def read_audiocaps(folder: str | Path, report: Report) -> list[CaptionItem]:
    """Reads ``train.csv``, ``val.csv`` and ``test.csv``, and finds the clips.

    The corpus comes without its clips, and every downloader names them differently: the names of
    :data:`NAMES` are known (times in seconds, ``stop`` ten after ``start``), anywhere below the
    folder; of two matches the one in a folder named like the part. Ids are
    ``{youtube_id}_{start}``.
    """
    folder = Path(folder)
    files: dict[str, list[Path]] = {}
    for path in list_files(folder) if folder.is_dir() else ():
        if path.suffix.lower() in _SUFFIXES:
            files.setdefault(path.stem, []).append(path)
    items: dict[tuple[str, str], CaptionItem] = {}
    for part, split in PARTS.items():
        table = find_text(folder, f"{part}.csv")
        columns = ("audiocap_id", "youtube_id", "start_time", "caption")
        for place, row in read_rows(table, report, columns) if table else ():
            try:
                clip = _clip(row)
            except ValueError as error:
                report.add("value-unreadable", place, str(error))
                continue
            name = NAMES[0].format(**clip)
            before = items.get((part, name))
            path = before.path if before else _find(clip, part, files, folder)
            captions = (*(before.references if before else ()), row["caption"] or "")
            items[part, name] = CaptionItem(name, split, path, "audio", captions)
    if not items:
        raise FileNotFoundError(f"{folder}: holds no train.csv, val.csv or test.csv with rows")
    return list(items.values())


def _clip(row: Mapping[str, str]) -> dict[str, str | int]:
    """Values of the fields of :data:`NAMES`."""
    start = float(row["start_time"] or "nan")
    if not row["youtube_id"] or not start >= 0:
        raise ValueError(f"youtube_id {row['youtube_id']!r}, start_time {row['start_time']!r}")
    start = int(start)
    return {
        "audiocap_id": row["audiocap_id"],
        "youtube_id": row["youtube_id"],
        "start": start,
        "stop": start + 10,
    }


def _find(
    clip: Mapping[str, str | int], part: str, files: Mapping[str, list[Path]], folder: Path
) -> str:
    """Path of a clip, or of where it could be."""
    for name in NAMES:
        paths = files.get(name.format(**clip), [])
        for path in sorted(paths, key=lambda path: part not in path.parent.parts):
            return str(path.absolute())
    return str((folder / part / f"{NAMES[0].format(**clip)}.wav").absolute())
