"""Training: what every recipe shares, so that its own script stays thin."""

from gatedrnn.training.asr import CTCBrain
from gatedrnn.training.brain import GuardedBrain, NonFiniteLossError, Objective
from gatedrnn.training.checkpoints import RandomStates, SafeCheckpointer
from gatedrnn.training.log import TrainingLog
from gatedrnn.training.model import ConvSubsampling, CTCModel, FrameStacking
from gatedrnn.training.run import fit_and_test, train_ctc
from gatedrnn.training.schedule import WarmupDecay

__all__ = [
    "CTCBrain",
    "CTCModel",
    "ConvSubsampling",
    "FrameStacking",
    "GuardedBrain",
    "NonFiniteLossError",
    "Objective",
    "RandomStates",
    "SafeCheckpointer",
    "TrainingLog",
    "WarmupDecay",
    "fit_and_test",
    "train_ctc",
]
