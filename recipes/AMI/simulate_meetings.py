#!/usr/bin/env python3
"""Simulates meetings in the layout of the AMI corpus, for demonstrations and tests: no download.

    python recipes/AMI/simulate_meetings.py --out MEETINGS --train-minutes 60 --jobs 2
    python recipes/AMI/ami_prepare.py --annotations MEETINGS/annotations --audio MEETINGS/audio \\
        --partition MEETINGS/partition.json --out PREPARED

Synthetic voices, rooms and microphones need `pip install "gatedrnn[demo]"`. The same command again
simulates missing meetings. See SIMULATED_MEETINGS.md.
"""

from __future__ import annotations

import sys

from gatedrnn.simulation.corpus import main

if __name__ == "__main__":
    sys.exit(main(description=__doc__))
