"""Recurrent stacks in SpeechBrain's shape: one class, and one ``*Cell`` twin, per recurrence.

The classes are made from the registry of recurrences, so a new row there appears here by itself.
"""

from __future__ import annotations

from gatedrnn.cells.registry import CELLS
from gatedrnn.nnet.classes import make_classes
from gatedrnn.nnet.layer import RecurrentLayer
from gatedrnn.nnet.lengths import frame_counts
from gatedrnn.nnet.stack import RecurrentStack, RecurrentStackCell

#: Name -> class, of every stack and every ``*Cell`` twin.
CLASSES = make_classes(CELLS, module=__name__)
globals().update(CLASSES)

__all__ = [
    "CLASSES",
    "RecurrentLayer",
    "RecurrentStack",
    "RecurrentStackCell",
    "frame_counts",
    *CLASSES,
]
