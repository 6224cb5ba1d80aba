"""Where annotations come from: the unpacked folder, or the zip file as it was downloaded."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath
from types import TracebackType

from gatedrnn.data.files import list_files

_FOLDERS = ("words", "segments", "corpusResources")
_MEETINGS = "corpusResources/meetings.xml"


class Annotations:
    """The files of the AMI manual annotations.

    Arguments
    ---------
    path : str or Path
        The folder that holds ``words``, ``segments`` and ``corpusResources``, at any depth, or
        the zip file ``ami_public_manual_1.6.2.zip``, which need not be unpacked.

    Raises
    ------
    FileNotFoundError
        If there is no such path, or nothing like that in it.
    ValueError
        If the file is no zip file, or there are several copies of the annotations.

    Example
    -------
    >>> root = getfixture("tmp_path") / "ami_public_manual_1.6.2"
    >>> for name in ("words/M.A.words.xml", "segments/M.A.segments.xml",
    ...              "corpusResources/meetings.xml"):
    ...     (root / name).parent.mkdir(parents=True)
    ...     _ = (root / name).write_text("<xml/>")
    >>> with Annotations(root.parent) as annotations:
    ...     annotations.names("words"), annotations.read("words", "M.A.words.xml")
    (['M.A.words.xml'], b'<xml/>')
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._zip: zipfile.ZipFile | None = None
        if self.path.is_dir():
            self._names = {
                str(PurePosixPath(file.relative_to(self.path))): file
                for file in list_files(self.path)
                if file.suffix == ".xml" and file.parent.name in _FOLDERS
            }
        elif self.path.is_file():
            try:
                self._zip = zipfile.ZipFile(self.path)
            except zipfile.BadZipFile as error:
                raise ValueError(
                    f"{self.path}: {error}; must be a folder or the zip file of the AMI manual "
                    "annotations (another archive must be unpacked first)"
                ) from error
            self._names = dict.fromkeys(self._zip.namelist(), self.path)
        else:
            raise FileNotFoundError(f"{self.path}: no such folder or zip file of annotations")
        roots = sorted(
            name[: -len(_MEETINGS)]
            for name in self._names
            if name == _MEETINGS or name.endswith(f"/{_MEETINGS}")
        )
        if not roots:
            self.close()
            raise FileNotFoundError(
                f"{self.path}: holds no {_MEETINGS}; must be the AMI manual annotations, with the "
                "folders words, segments and corpusResources"
            )
        if len(roots) > 1:
            self.close()
            raise ValueError(
                f"{self.path}: holds the annotations {len(roots)} times, in "
                f"{', '.join(root or '.' for root in roots)}; give the folder of one of them"
            )
        self._root = roots[0]

    def __enter__(self) -> Annotations:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the zip file."""
        if self._zip is not None:
            self._zip.close()

    def names(self, folder: str) -> list[str]:
        """Names of the files of a folder.

        Arguments
        ---------
        folder : str
            ``"words"``, ``"segments"`` or ``"corpusResources"``.

        Returns
        -------
        list of str
        """
        prefix = f"{self._root}{folder}/"
        return sorted(
            name[len(prefix) :]
            for name in self._names
            if name.startswith(prefix) and "/" not in name[len(prefix) :] and name != prefix
        )

    def read(self, folder: str, name: str) -> bytes:
        """Reads a file.

        Arguments
        ---------
        folder : str
            As for :meth:`names`.
        name : str
            One of the names.

        Returns
        -------
        bytes
        """
        full = f"{self._root}{folder}/{name}"
        if self._zip is not None:
            return self._zip.read(full)
        return self._names[full].read_bytes()

    def inputs(self) -> list[Path]:
        """All files on the disk that these annotations stand in.

        Returns
        -------
        list of Path
        """
        return sorted(set(self._names.values()))
