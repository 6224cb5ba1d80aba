"""The corpora of polyphonic music with Boulanger-Lewandowski's division, and files of your own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gatedrnn.data.files import list_files
from gatedrnn.data.report import Check, Report
from gatedrnn.tasks.music.corpora.matlab import read_matlab
from gatedrnn.tasks.music.corpora.note_lists import read_note_lists
from gatedrnn.tasks.music.corpora.rolls import HIGHEST, LOWEST, PARTS, MusicCorpus, make_music

_SOURCE = "Boulanger-Lewandowski, Bengio, Vincent 2012"
_JSON = (".json", ".json.gz")


@dataclass(frozen=True)
class Layout:
    """A corpus as it is published.

    Arguments
    ---------
    files : tuple of str
        Names that its file goes by, the first choice first.
    pieces : tuple of int
        For training, validation and test.
    """

    files: tuple[str, ...]
    pieces: tuple[int, int, int] | None


#: Name of a corpus -> how it is published; ``"folder"``: a file of your own.
CORPORA = {
    "jsb": Layout(
        ("JSB_Chorales.mat", "jsb-chorales-16th.json", "jsb-chorales-quarter.json"), (229, 76, 77)
    ),
    "nottingham": Layout(("Nottingham.mat", "nottingham.json"), (694, 173, 170)),
    "musedata": Layout(("MuseData.mat", "musedata.json"), (524, 135, 124)),
    "piano": Layout(("Piano_midi.mat", "piano_midi.json"), (87, 12, 25)),
    "folder": Layout(("music.json", "music.mat"), None),
}


def read_music(
    corpus: str, folder: str | Path, report: Report, *, file: str | None = None, step: int = 1
) -> MusicCorpus:
    """Reads a corpus.

    Arguments
    ---------
    corpus : str
        A key of ``CORPORA``.
    folder : str or Path
        Where its file lies, there or below; or the file itself.
    report : Report
        Takes faults, figures and checks.
    file : str or None
        Name of the file, if not one of those that the corpus goes by.
    step : int
        Take every so manyth frame: 4 makes quarters of sixteenths.

    Returns
    -------
    MusicCorpus

    Raises
    ------
    FileNotFoundError
        If the file is not there.
    ValueError
        If there is no such corpus, or the file is not what it should be.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> pieces = "[[[60], [64], [67]]]"
    >>> _ = (folder / "music.json").write_text(
    ...     f'{{"train": {pieces}, "valid": {pieces}, "test": {pieces}}}')
    >>> read_music("folder", folder, Report("mine"), step=2).test.frames
    2
    """
    if corpus not in CORPORA:
        raise ValueError(f"corpus must be one of {', '.join(CORPORA)}, not {corpus!r}")
    if not isinstance(step, int) or step < 1:
        raise ValueError(f"step must be a whole number of at least 1, not {step!r}")
    layout = CORPORA[corpus]
    path = _find(Path(folder), layout.files if file is None else (file,))
    if path.name.endswith(".mat"):
        parts = read_matlab(path)
    elif path.name.endswith(_JSON):
        parts = read_note_lists(path, report)
    else:
        raise ValueError(f"{path}: music is read from .mat, .json and .json.gz files")
    try:
        made = {n: make_music(n, [roll[::step] for roll in parts[n]], report) for n in PARTS}
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    counts = tuple(len(parts[name]) for name in PARTS)
    for other, known in CORPORA.items():
        if known.pieces == counts and layout.pieces not in (None, counts):
            raise ValueError(f"{path} has the pieces of {other}, and is not {corpus}")
    for number, (name, music) in enumerate(made.items()):
        low, high = music.notes
        report.figures[name] = {
            "pieces": len(music), "frames": music.frames, "lowest note": low, "highest note": high,
        }  # fmt: skip
        if layout.pieces is not None:
            wanted = layout.pieces[number]
            report.checks.append(Check(f"{name} pieces", len(parts[name]), wanted, wanted, _SOURCE))
        for note, which in ((low, "lowest"), (high, "highest")):
            report.checks.append(
                Check(f"{name} {which} note", note, LOWEST, HIGHEST, "keys of a piano")
            )
    return MusicCorpus(**made)


def _find(folder: Path, names: tuple[str, ...]) -> Path:
    if folder.is_file():
        return folder
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such file or folder")
    there = list_files(folder)
    wanted = [name for given in names for name in (given, f"{given}.gz")]
    for name in wanted:
        found = [path for path in there if path.name == name]
        found = [path for path in found if path.parent == folder] or found
        if len(found) > 1:
            raise ValueError(
                f"{folder}: several files are called {name}: {', '.join(map(str, found))}; give "
                "one of them as data_folder"
            )
        if found:
            return found[0]
    raise FileNotFoundError(f"{folder}: there is no {' or '.join(names)} in it")
