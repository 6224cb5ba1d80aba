"""The command line of simulated meetings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gatedrnn.simulation.corpus import CorpusOptions, simulate_corpus
from gatedrnn.simulation.meeting import Acoustics


def main(arguments: Sequence[str] | None = None, description: str | None = None) -> int:
    """Simulates a corpus as the command line says.

    Arguments
    ---------
    arguments : sequence of str or None
        The command line; None for that of this process.
    description : str or None
        What `--help` begins with.

    Returns
    -------
    int
        0, or 2 if it cannot be done.

    Example
    -------
    >>> main(["--out", "no_such_folder", "--train-minutes", "-1"])
    2
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, usual, sound = parser.add_argument, CorpusOptions(), Acoustics()
    add("--out", required=True, type=Path, help="folder of the corpus")
    for split in ("train", "dev", "eval"):
        add(
            f"--{split}-minutes",
            type=float,
            default=usual.minutes(split),
            help=f"length of all {split} meetings together (%(default)g)",
        )
    add(
        "--meeting-minutes",
        type=float,
        default=usual.meeting_minutes,
        help="about how long a meeting is: short ones give many speakers (%(default)g)",
    )
    add("--seed", type=int, default=usual.seed, help="the same seed, the same bytes (%(default)s)")
    add("--jobs", type=int, default=1, help="processes (%(default)s)")
    add(
        "--microphones",
        nargs="+",
        default=list(sound.microphones),
        metavar="NAME",
        help="of Array1-01 to Array1-08, Headset (one per speaker), Mix-Headset (%(default)s)",
    )
    pair = {"nargs": 2, "type": float, "metavar": ("LOW", "HIGH")}
    add("--rt60", **pair, default=sound.rt60, help="reverberation time, seconds (%(default)s)")
    add("--snr", **pair, default=sound.snr, help="speech to noise at the array, dB (%(default)s)")
    add(
        "--overlap",
        type=float,
        default=sound.overlap,
        help="share of turns that overlap the one before (%(default)g)",
    )
    add("--quiet", action="store_true", help="no progress bar")
    args = parser.parse_args(arguments)
    try:
        options = CorpusOptions(
            args.train_minutes,
            args.dev_minutes,
            args.eval_minutes,
            args.meeting_minutes,
            args.seed,
            Acoustics(tuple(args.microphones), tuple(args.rt60), tuple(args.snr), args.overlap),
        )
        made = simulate_corpus(args.out, options, jobs=args.jobs, progress=not args.quiet)
    except (ImportError, ValueError) as error:
        print(f"simulate_meetings: {error}", file=sys.stderr)
        return 2
    print(f"{args.out}: {made} meetings made" if made else f"{args.out}: up to date")
    return 0
