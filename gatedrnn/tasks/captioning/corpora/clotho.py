"""Clotho: recordings of 15 to 30 seconds with five captions each."""

from __future__ import annotations

from pathlib import Path

from gatedrnn.data.report import Report
from gatedrnn.data.tables import find_text, read_rows
from gatedrnn.tasks.captioning.corpora.items import CaptionItem

#: The corpus's names of the splits -> ours.
PARTS = {"development": "train", "validation": "dev", "evaluation": "test"}


def read_clotho(folder: str | Path, report: Report) -> list[CaptionItem]:
    """Reads ``clotho_captions_{development,validation,evaluation}.csv`` and finds the recordings.

    The recordings of a part are in a folder of its name, as the archives unpack, or in
    ``clotho_audio_development`` and the like. Version 1 has no validation part.
    """
    folder = Path(folder)
    items = []
    for part, split in PARTS.items():
        table = find_text(folder, f"clotho_captions_{part}.csv")
        if table is None:
            continue
        places = [folder / part, folder / f"clotho_audio_{part}", folder]
        for place, row in read_rows(table, report, ("file_name", "caption_1")):
            name = row["file_name"]
            if not name:
                report.add("column-missing", place, "no file_name")
                continue
            paths = [where / name for where in places]
            path = next((path for path in paths if path.is_file()), paths[0])
            captions = tuple(
                text or "" for column, text in row.items() if str(column).startswith("caption_")
            )
            items.append(CaptionItem(name, split, str(path.absolute()), "audio", captions))
    if not items:
        raise FileNotFoundError(
            f"{folder}: holds no clotho_captions_development.csv, nor _validation or _evaluation"
        )
    return items
