"""The list of recurrences. A row here is all that a new one needs, beside its own file."""

from __future__ import annotations

from gatedrnn.cells.beta import BetaLSTM
from gatedrnn.cells.coupled import CoupledLSTM
from gatedrnn.cells.declaration import Cell
from gatedrnn.cells.depth_gated import DepthGatedLSTM
from gatedrnn.cells.g2 import G2LSTM
from gatedrnn.cells.gru import ChoGRU
from gatedrnn.cells.highway import HighwayLSTM
from gatedrnn.cells.lstmp import LSTMP
from gatedrnn.cells.ran import RAN
from gatedrnn.cells.residual import ResidualLSTM
from gatedrnn.cells.slim import SlimLSTM

#: Every recurrence of the package.
CELLS: tuple[type[Cell], ...] = (
    LSTMP,
    HighwayLSTM,
    DepthGatedLSTM,
    ResidualLSTM,
    SlimLSTM,
    BetaLSTM,
    G2LSTM,
    CoupledLSTM,
    RAN,
    ChoGRU,
)

REGISTRY: dict[str, type[Cell]] = {cell.key: cell for cell in CELLS}


def find(name: str) -> type[Cell]:
    """Finds a recurrence by its key or its class name.

    Arguments
    ---------
    name : str
        For example ``"residual"`` or ``"ResidualLSTM"``.

    Returns
    -------
    type
        The cell class.

    Raises
    ------
    ValueError
        If there is no such recurrence; the message lists those there are.

    Example
    -------
    >>> find("ran").__name__
    'RAN'
    """
    for cell in CELLS:
        if name in (cell.key, cell.__name__):
            return cell
    known = ", ".join(REGISTRY)
    raise ValueError(f"there is no recurrence {name!r}; there are: {known}")
