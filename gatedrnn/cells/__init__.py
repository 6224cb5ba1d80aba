"""The recurrences: one file each, nothing but the mathematics."""

from gatedrnn.cells.beta import BetaLSTM
from gatedrnn.cells.coupled import CoupledLSTM
from gatedrnn.cells.declaration import Cell, Stage, Term, parse_products
from gatedrnn.cells.depth_gated import DepthGatedLSTM
from gatedrnn.cells.g2 import G2LSTM
from gatedrnn.cells.gru import ChoGRU
from gatedrnn.cells.highway import HighwayLSTM
from gatedrnn.cells.lstmp import LSTMP
from gatedrnn.cells.ran import RAN
from gatedrnn.cells.registry import CELLS, REGISTRY, find
from gatedrnn.cells.residual import ResidualLSTM
from gatedrnn.cells.slim import SlimLSTM

__all__ = [
    "CELLS",
    "REGISTRY",
    "LSTMP",
    "RAN",
    "BetaLSTM",
    "Cell",
    "ChoGRU",
    "CoupledLSTM",
    "DepthGatedLSTM",
    "G2LSTM",
    "HighwayLSTM",
    "ResidualLSTM",
    "SlimLSTM",
    "Stage",
    "Term",
    "find",
    "parse_products",
]
