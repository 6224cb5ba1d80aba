"""NLVR (Suhr et al. 2017): drawings of boxes with shapes, and sentences that are true of them."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path, PurePosixPath

from gatedrnn.data.files import list_files
from gatedrnn.data.report import Report
from gatedrnn.data.tables import find_text, read_rows
from gatedrnn.tasks.captioning.corpora.items import CaptionItem

PARTS = ("train", "dev", "test")


def read_nlvr(
    folder: str | Path,
    report: Report,
    unpack: str | Path | None = None,
    dev_share: float = 0.2,
) -> list[CaptionItem]:
    """Reads ``{train,dev,test}.json`` or ``.jsonl``: true sentences as captions of their images.

    A line names its image in ``image``, or officially by ``identifier``, of which the first of six
    permutations is taken (``dev-1572-0-0.png``). Images are anywhere below the folder, or in
    ``dev_images.zip`` and the like, which are unpacked into the folder ``unpack``. Without
    ``train`` a fraction ``dev_share`` of the sentences of ``dev`` stays dev, and the others become
    train: sentences that are true of several images stay on one side. False sentences are left out.
    """
    if not 0 < dev_share < 1:
        raise ValueError(f"dev_share {dev_share}: must lie between 0 and 1")
    folder = Path(folder)
    tables = {part: find_text(folder, f"{part}.jsonl", f"{part}.json") for part in PARTS}
    if not any(tables.values()):
        raise FileNotFoundError(f"{folder}: holds no train, dev or test with .json or .jsonl")
    files = {path.name: path for path in list_files(folder) if path.suffix == ".png"}
    for archive in sorted(folder.glob("*.zip")) if unpack else ():
        files |= unpack_images(archive, Path(unpack) / archive.stem)
    items: dict[str, CaptionItem] = {}
    for part, table in tables.items():
        for place, row in read_rows(table, report) if table else ():
            missing = [key for key in ("identifier", "sentence", "label") if key not in row]
            if missing:
                report.add("column-missing", place, f"no {', '.join(missing)}")
                continue
            if str(row["label"]).lower() != "true":
                continue
            identifier = str(row["identifier"])
            name = f"{part}-{identifier}"
            file = str(row.get("image") or f"{name}-0.png")
            path = str(files.get(file, folder / file).absolute())
            split = part
            if part == "dev" and tables["train"] is None:
                split = "dev" if _fraction(identifier.split("-")[0]) < dev_share else "train"
            before = items[name].references if name in items else ()
            items[name] = CaptionItem(name, split, path, "image", (*before, str(row["sentence"])))
    return list(items.values())


def _fraction(sentence: str) -> float:
    """A number from 0 to 1 that depends only on a sentence's number."""
    return int(hashlib.sha256(sentence.encode()).hexdigest()[:8], 16) / 16**8


def unpack_images(archive: str | Path, folder: str | Path) -> dict[str, Path]:
    """Unpacks the PNG files of a zip archive into a flat folder; returns name -> file.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> with zipfile.ZipFile(folder / "a.zip", "w") as archive:
    ...     archive.writestr("../../deep/a.png", b"png")
    >>> unpack_images(folder / "a.zip", folder / "a")["a.png"].read_bytes()
    b'png'
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    images = {}
    try:
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                name = PurePosixPath(member.filename).name
                if not name.endswith(".png"):
                    continue
                path = images[name] = folder / name
                if path.is_file() and path.stat().st_size == member.file_size:
                    continue
                draft = folder / f".{name}"
                with opened.open(member) as source, open(draft, "wb") as target:
                    shutil.copyfileobj(source, target)
                draft.replace(path)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{archive}: {error}") from error
    return images
