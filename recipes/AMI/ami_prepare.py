#!/usr/bin/env python3
"""Prepares the AMI meeting corpus (https://groups.inf.ed.ac.uk/ami/corpus/).

Recordings ``<meeting>.Array1-01.wav`` and the like may be anywhere under ``--audio``;
``--annotations`` is the folder or the zip file ``ami_public_manual_1.6.2.zip``.

    python recipes/AMI/ami_prepare.py --annotations DIR --audio DIR --out DIR
    python recipes/AMI/ami_prepare.py --annotations DIR --out DIR --text-only

Written are OUT/{train,dev,eval}.csv with the columns ID,duration,wav,start,stop,channel,spk_id,wrd
(``duration`` in seconds, ``start`` and ``stop`` in samples of the recording) and OUT/report.json,
which lists each issue and compares the counts with published ones; with ``--text-only`` also
OUT/{train,dev,eval}.txt, a transcript per line, for language models. The same command again does
nothing; other options prepare again.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from gatedrnn.tasks.asr.corpora.ami import PARTITIONS, AmiOptions, prepare_ami


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepares AMI as the command line says.

    Arguments
    ---------
    arguments : sequence of str or None
        The command line; None for that of this process.

    Returns
    -------
    int
        0, 1 if ``--strict`` and a count is outside its range, 2 after an error.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--annotations", required=True, help="folder or zip file of the manual annotations")
    add("--audio", help="folder of the recordings, nested in any way")
    add("--out", required=True, help="folder for the results")
    add("--text-only", action="store_true", help="transcripts alone; needs no recordings")
    add(
        "--mic", default="sdm", help="sdm, ihm, mix, lapel, Array1-05, Mix-Lapel, ... (%(default)s)"
    )
    add("--segmentation", default="unsplit", help="unsplit or words30 (%(default)s)")
    known = ", ".join(PARTITIONS)
    add("--partition", default=PARTITIONS[0], help=f"{known}, or a .json file (%(default)s)")
    add("--include-ib4005", action="store_true", help="train on IB4005, which has dev's speakers")
    add("--normalize", default="plain", help="plain or kaldi (%(default)s)")
    add("--strict", action="store_true", help="fail if a count is outside its range")
    args = parser.parse_args(arguments)
    if args.text_only == (args.audio is not None):
        parser.error("give --audio DIR, or --text-only, and not both")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        options = AmiOptions(
            args.mic, args.segmentation, args.partition, args.include_ib4005, args.normalize
        )
        prepared = prepare_ami(args.annotations, args.out, args.audio, options)
    except (FileNotFoundError, ValueError) as error:
        print(f"ami_prepare: {error}", file=sys.stderr)
        return 2
    findings = prepared.findings()
    for split, counts in findings["statistics"]["splits"].items():
        print(f"{split:6} " + "  ".join(f"{name} {value}" for name, value in counts.items()))
    outside = [check for check in findings["checks"] if not check["holds"]]
    for check in outside:
        print(
            f"!!! {check['name']}: {check['value']}, expected {check['low']:g} to "
            f"{check['high']:g} ({check['source']})"
        )
    print(f"report: {prepared.report}" + (" (up to date)" if prepared.reused else ""))
    return 1 if args.strict and outside else 0


if __name__ == "__main__":
    sys.exit(main())
