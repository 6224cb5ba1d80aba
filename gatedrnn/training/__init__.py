"""Training: what every recipe shares, so that its own script stays thin."""

from gatedrnn.lobes import (
    AttentionModel,
    ConvSubsampling,
    CTCModel,
    FrameStacking,
    TransducerModel,
)
from gatedrnn.training.asr import RecogniserBrain
from gatedrnn.training.brain import GuardedBrain, NonFiniteLossError, Objective
from gatedrnn.training.checkpoints import SafeCheckpointer
from gatedrnn.training.ctc import CTCBrain
from gatedrnn.training.heads import HeadBrain
from gatedrnn.training.log import TrainingLog
from gatedrnn.training.random_states import RandomStates
from gatedrnn.training.run import fit_and_test, train_asr
from gatedrnn.training.schedule import WarmupDecay

__all__ = [
    "AttentionModel",
    "CTCBrain",
    "CTCModel",
    "ConvSubsampling",
    "FrameStacking",
    "GuardedBrain",
    "HeadBrain",
    "NonFiniteLossError",
    "Objective",
    "RandomStates",
    "RecogniserBrain",
    "SafeCheckpointer",
    "TrainingLog",
    "TransducerModel",
    "WarmupDecay",
    "fit_and_test",
    "train_asr",
]
