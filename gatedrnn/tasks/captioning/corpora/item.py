"""Something with captions: an image, a recording, or features computed from one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: In the order in which they are written.
SPLITS = ("train", "dev", "test")
#: What a path leads to; columns of manifests have the same names.
KINDS = ("image", "audio", "features")
#: What corpora call their splits -> what they are called here.
SPLIT_NAMES = {
    "train": "train", "training": "train", "development": "train",
    "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev",
    "test": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CaptionItem:
    """Something with captions.

    Arguments
    ---------
    id : str
        Unique within the corpus.
    split : str
        One of ``SPLITS``.
    path : str
        The file; of features perhaps with ``#`` and the name of an array in it.
    kind : str
        One of ``KINDS``.
    references : tuple of str
        The captions.

    Example
    -------
    >>> CaptionItem("1", "train", "/data/dog.png", "image", ("a dog", "the dog")).file.name
    'dog.png'
    """

    id: str
    split: str
    path: str
    kind: str
    references: tuple[str, ...]

    @property
    def file(self) -> Path:
        """The file itself."""
        return Path(self.path.split("#")[0] if self.kind == "features" else self.path)
