"""NIST's own tools, if they are installed (Debian package sctk), and their recorded counts."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

#: Also two outputs of a training on AN4 (its free transcripts of 100 held-out utterances), decoded
#: from the close microphone and through simulated distance, and their speakers.
DATA = Path(__file__).parent / "data"
#: 1,000 pairs of ten words at most, a letter each, with the counts of sclite 2.10.
RECORDED = DATA / "sclite_1000.tsv"
_ID = re.compile(
    r"id: \((\S+)\)\n(?:File: .*\nChannel: .*\n)?Scores: \(#C #S #D #I\) (\d+) (\d+) (\d+) (\d+)"
)


def tool(name: str) -> str:
    """Path of one of NIST's tools; skips the test where there is none."""
    found = shutil.which(name) or shutil.which(name, path="/usr/lib/sctk/bin")
    if found is None:
        pytest.skip(f"{name} is not installed (Debian package sctk)")
    return found


def sclite(folder: Path, reference: Path, hypothesis: Path, *options: str) -> dict[str, tuple]:
    """Counts of sclite: utterance -> correct, substitutions, deletions, insertions."""
    formats = [path.suffix[1:] for path in (reference, hypothesis)]
    done = subprocess.run(
        [tool("sclite"), "-r", reference, formats[0], "-h", hypothesis, formats[1], *options,
         "-f", "0", "-o", "pralign", "-O", folder, "-n", "out"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = _ID.findall((folder / "out.pra").read_text(encoding="utf-8"))
    return {name: tuple(map(int, counts)) for name, *counts in found}


def random_pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """Random references and hypotheses, of few words and so with many ties, a letter each."""
    draw = random.Random(seed)
    pairs = []
    for _ in range(count):
        letters = "ABCDEFGH"[: draw.randint(1, 8)]
        pairs.append(tuple("".join(draw.choices(letters, k=draw.randint(0, 10))) for _ in range(2)))
    return pairs


def write_pairs(folder: Path, pairs: list[tuple[str, str]]) -> tuple[Path, Path]:
    """Writes pairs as trn files by hand."""
    paths = folder / "r.trn", folder / "h.trn"
    for side, path in enumerate(paths):
        lines = (f"{' '.join(p[side])} (s{i % 7}-{i:04d})\n" for i, p in enumerate(pairs))
        path.write_text("".join(lines))
    return paths


def record(folder: Path) -> None:
    """Writes the counts of sclite for 1,000 pairs into the file that tests compare with."""
    pairs = random_pairs(1000, seed=5)
    counts = sclite(folder, *write_pairs(folder, pairs), "-i", "rm", "-s")
    lines = (
        "\t".join([*pair, *map(str, counts[f"s{i % 7}-{i:04d}"])]) for i, pair in enumerate(pairs)
    )
    RECORDED.write_text("\n".join(lines) + "\n")
