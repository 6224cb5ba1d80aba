"""CMU's AN4 (Census) corpus: the official layout, and packs with a ``manifest.tsv``.

Official are ``etc/an4_train.fileids``, ``etc/an4_train.transcription``, the same for
``an4_test``, and the recordings under ``wav`` (``.sph`` or ``.wav``) or ``raw`` (headerless). It
has no dev split: training speakers are held out for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from gatedrnn.data.audio import SUFFIXES, AudioError, inspect_raw
from gatedrnn.data.files import list_files
from gatedrnn.data.preparation import Entry
from gatedrnn.data.report import Report
from gatedrnn.tasks.asr.corpora.librispeech import PACK, read_pack

RATE = 16_000
_RAW = ".raw"
_LINE = re.compile(r"^(?P<text>.*)\((?P<utterance>[^()\s]+)\)\s*$")
#: Beginning, end, silence and noises: not words.
_MARK = re.compile(r"<[^>]*>|\+\+[^+]*\+\+")


def read(data_folder: Path, report: Report, out: Path) -> dict[str, Iterable[Entry]]:
    """Reads the official layout or a pack; writes headerless recordings as WAV to ``out/wav``."""
    if (data_folder / PACK).is_file():
        return read_pack(data_folder)
    lists = {split: data_folder / "etc" / f"an4_{split}.fileids" for split in ("train", "test")}
    if not lists["train"].is_file():
        raise FileNotFoundError(
            f"{data_folder}: has neither {PACK} nor etc/an4_train.fileids; must be the folder an4 "
            "of the corpus"
        )
    converted = out.absolute() / "wav"
    files = {
        path.stem: path
        for path in list_files(data_folder)
        # What was converted in an earlier run may lie in the corpus's own folder.
        if path.suffix in (*SUFFIXES, _RAW) and converted not in path.absolute().parents
    }
    entries = {}
    for split, fileids in lists.items():
        if fileids.is_file():
            texts = fileids.with_suffix(".transcription")
            if not texts.is_file():
                raise FileNotFoundError(f"{texts}: no such file, but {fileids.name} is there")
            entries[split] = _read_split(fileids, texts, files, converted, report)
    return entries


def _read_split(
    fileids: Path, transcription: Path, files: dict[str, Path], converted: Path, report: Report
) -> Iterator[Entry]:
    """Reads the lists of a split."""
    texts = read_transcription(transcription, report)
    for line in fileids.read_text(encoding="utf-8").split():
        name = Path(line).name
        speaker = Path(line).parent.name or name.split("-")[1]
        if name not in texts:
            report.add("transcript-missing", name, f"listed in {fileids.name}")
            continue
        path = files.get(name, fileids.parent.parent / "wav" / f"{line}.sph")
        if path.suffix == _RAW:
            try:
                path = convert_raw(path, converted / f"{name}.wav")
            except AudioError as error:
                report.add(error.kind, str(path), error.detail)
                continue
            report.add("audio-converted", str(files[name]), str(path))
        yield Entry(name, path, texts[name], speaker)


def read_transcription(path: str | Path, report: Report) -> dict[str, str]:
    """Utterance -> words, from lines like ``<s> YES </s> (an251-fash-b)``.

    Example
    -------
    >>> path = getfixture("tmp_path") / "an4_train.transcription"
    >>> _ = path.write_text("<s> YES </s> (an251-fash-b)\\n")
    >>> read_transcription(path, Report("an4"))
    {'an251-fash-b': 'YES'}
    """
    texts = {}
    path = Path(path)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        match = _LINE.match(line)
        if match is None:
            report.add("value-unreadable", f"{path}, line {number}", repr(line))
        else:
            texts[match["utterance"]] = " ".join(_MARK.sub(" ", match["text"]).split())
    return texts


def convert_raw(path: str | Path, out: str | Path, rate: int = RATE) -> Path:
    """Writes headerless 16-bit samples as a WAV file.

    The corpus comes in both byte orders and its files do not say in which: speech is smooth, so
    the order in which neighbouring samples differ less is taken.
    """
    out = Path(out)
    inspect_raw(path, rate)
    data = Path(path).read_bytes()
    both = [np.frombuffer(data, dtype=order).astype(np.int16) for order in ("<i2", ">i2")]
    samples = min(both, key=lambda x: np.abs(np.diff(x.astype(np.int64))).sum())
    out.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(out, samples, rate, subtype="PCM_16")
    return out
