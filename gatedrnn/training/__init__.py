"""Training, for all tasks: one Brain, one fit, checkpoints, batches, optimizers, launch."""

from gatedrnn import renamed
from gatedrnn.training.batching import EpochBatchSampler, EvaluationBatchSampler
from gatedrnn.training.brain import Brain, NonFiniteLossError, Objective
from gatedrnn.training.checkpoints import RandomStates, SafeCheckpointer
from gatedrnn.training.log import TrainingLog
from gatedrnn.training.optimizers import (
    EpochDecay,
    PlateauDecay,
    WarmupDecay,
    WorseDecay,
    make_decay,
    make_optimiser,
)

__all__ = [
    "Brain",
    "EpochBatchSampler",
    "EpochDecay",
    "EvaluationBatchSampler",
    "NonFiniteLossError",
    "Objective",
    "PlateauDecay",
    "RandomStates",
    "SafeCheckpointer",
    "TrainingLog",
    "WarmupDecay",
    "WorseDecay",
    "make_decay",
    "make_optimiser",
]

# Names of earlier releases.
__getattr__ = renamed.attributes_of(__name__)
