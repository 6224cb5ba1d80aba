"""Training: what the Brains of all tasks share. Knows no task."""

from gatedrnn import renamed
from gatedrnn.training.brain import GuardedBrain, NonFiniteLossError, Objective
from gatedrnn.training.checkpoints import SafeCheckpointer
from gatedrnn.training.log import TrainingLog
from gatedrnn.training.random_states import RandomStates
from gatedrnn.training.schedule import WarmupDecay

__all__ = [
    "GuardedBrain",
    "NonFiniteLossError",
    "Objective",
    "RandomStates",
    "SafeCheckpointer",
    "TrainingLog",
    "WarmupDecay",
]

# Names of earlier releases.
__getattr__ = renamed.attributes_of(__name__)
