"""One recurrence in one direction, as a module with weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from gatedrnn import engine
from gatedrnn.cells.declaration import Cell
from gatedrnn.engine.plan import RECURRENT


class RecurrentLayer(nn.Module):
    """The weights of a declared cell, and the call that runs it over a sequence.

    Weights are stored packed (``weight_ih``, ``weight_hh``, ``bias``, ...), as the engine wants
    them; :meth:`equation_weights` gives them by their names in the equations.

    Arguments
    ---------
    cell : Cell
        The recurrence with its sizes and options.
    reverse : bool
        Whether it runs from the last valid frame to the first.
    re_init : bool
        Start each square or rectangular recurrent matrix from a (semi-)orthogonal one, as
        SpeechBrain's recurrent networks do, instead of the paper's distribution.
    recompute : bool
        Run the forward once more in the backward, to save memory.

    Example
    -------
    >>> from gatedrnn.cells import RAN
    >>> layer = RecurrentLayer(RAN(input_size=3, hidden_size=4))
    >>> layer(torch.rand(10, 2, 3)).output.shape
    torch.Size([10, 2, 4])
    """

    def __init__(
        self, cell: Cell, reverse: bool = False, re_init: bool = False, recompute: bool = False
    ) -> None:
        super().__init__()
        self.cell = cell
        self.reverse = reverse
        self.recompute = recompute
        self._auxiliary: torch.Tensor | None = None
        self._stochastic = bool(cell.noise(True)) or cell.samples(True)
        # torch.compile reads a cell's text, but could not write it.
        engine.cell_to_text(cell)
        for name, shape in engine.plan(cell).parameters.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape)))
        self.reset_parameters(re_init)

    @torch.no_grad()
    def reset_parameters(self, re_init: bool = False) -> None:
        """Draws new starting weights.

        Arguments
        ---------
        re_init : bool
            Orthogonal recurrent matrices; everything else as the paper starts it.
        """
        cell = self.cell
        bound = cell.default_range() if cell.init_range is None else cell.init_range
        slots = engine.plan(cell).slots
        for name, weight in self.equation_weights().items():
            if re_init and slots[name].parameter == RECURRENT:
                nn.init.orthogonal_(weight)
            else:
                cell.initialise(name, weight, bound)

    def equation_weights(self) -> dict[str, torch.Tensor]:
        """The weights by their names in the equations.

        Returns
        -------
        dict
            Name -> view into the packed storage, detached from autograd: writing into it writes
            the layer's weight.
        """
        plan = engine.plan(self.cell)
        return plan.views({n: p.detach() for n, p in self.named_parameters(recurse=False)})

    @torch.no_grad()
    def load_equation_weights(self, weights: Mapping[str, Any]) -> None:
        """Sets all weights by their names in the equations.

        Arguments
        ---------
        weights : Mapping
            Name -> tensor or array; all names of :meth:`equation_weights` and no others.

        Raises
        ------
        ValueError
            If a name is missing or unknown, or a shape is not the equation's. Nothing is then
            changed.
        """
        own = self.equation_weights()
        missing, unknown = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
        if missing or unknown:
            raise ValueError(
                f"{self.cell.label}: equation weights do not fit: missing {missing}, "
                f"unknown {unknown}"
            )
        new = {name: torch.as_tensor(value) for name, value in weights.items()}
        for name, weight in own.items():
            if new[name].shape != weight.shape:
                raise ValueError(
                    f"{self.cell.label}: {name} must have shape {tuple(weight.shape)}, "
                    f"not {tuple(new[name].shape)}"
                )
        for name, weight in own.items():
            weight.copy_(new[name])

    def forward(
        self,
        x: torch.Tensor,
        state: Mapping[str, torch.Tensor] | None = None,
        lengths: torch.Tensor | None = None,
        below: Mapping[str, torch.Tensor] | None = None,
        keep: Sequence[str] = (),
    ) -> engine.Result:
        """Runs the layer.

        Arguments
        ---------
        x : torch.Tensor
            (T, B, m): frames first.
        state : Mapping or None
            State before the first frame: name -> (B, width).
        lengths : torch.Tensor or None
            Valid frames of each sequence, int64, (B,).
        below : Mapping or None
            What the cell reads of the layer underneath: name -> (T, B, width).
        keep : sequence of str
            Values of the step to return for every frame.

        Returns
        -------
        gatedrnn.engine.Result
        """
        cell, training = self.cell, self.training
        params = dict(self.named_parameters(recurse=False))
        dtype = params[next(iter(params))].dtype
        device = x.device.type
        castable = _castable(device)
        if castable and torch.is_autocast_enabled(device):
            # One cast for the whole sequence; inside, products are in the low precision and
            # everything pointwise in float32.
            dtype = torch.get_autocast_dtype(device)
            params = {name: p.to(dtype) for name, p in params.items()}
        auxiliary = cell.auxiliary() if training else ()
        with torch.autocast(device, enabled=False) if castable else nullcontext():
            result = engine.run(
                cell,
                params,
                x.to(dtype),
                None if state is None else {n: s.to(dtype) for n, s in state.items()},
                below=None if below is None else {n: s.to(dtype) for n, s in below.items()},
                lengths=lengths,
                reverse=self.reverse,
                training=training,
                keep=tuple(dict.fromkeys((*keep, *auxiliary))),
                generator=self._noise(x.device) if training else None,
                recompute=self.recompute,
            )
            self._auxiliary = self._sum_auxiliary(result, lengths) if auxiliary else None
        return result

    def auxiliary_loss(self) -> torch.Tensor | None:
        """The loss term of the last forward in training mode (the Beta gates' KL), or ``None``."""
        return self._auxiliary

    def _sum_auxiliary(self, result: engine.Result, lengths: torch.Tensor | None) -> torch.Tensor:
        if lengths is None:
            return self.cell.auxiliary_loss(result.kept).sum()
        frames = torch.arange(result.output.shape[0], device=lengths.device).unsqueeze(1)
        # The padding holds zeros, where the loss may be infinite: select, do not multiply.
        valid = (frames < lengths).unsqueeze(2)
        values = {n: torch.where(valid, v, torch.ones_like(v)) for n, v in result.kept.items()}
        return torch.where(valid, self.cell.auxiliary_loss(values), 0.0).sum()

    def _noise(self, device: torch.device) -> torch.Generator | torch.Tensor | None:
        """A generator of its own for each forward, direction and data-parallel rank."""
        if not self._stochastic:
            return None
        # The global seed decides; SpeechBrain seeds every rank alike, so the rank goes in too.
        drawn = torch.randint(2**62, (), dtype=torch.int64)
        rank = 0
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            rank = torch.distributed.get_rank()
        if torch.compiler.is_compiling():
            # It can trace no generator; the engine takes a seed in its place.
            return drawn ^ (rank * 0x9E3779B97F4A7C15 % 2**62)
        mixed = (int(drawn) + rank * 0x9E3779B97F4A7C15) % 2**63
        return torch.Generator(device).manual_seed(mixed)

    def __getstate__(self) -> dict[str, Any]:
        # A loss hangs on its autograd graph, which can be neither copied nor pickled.
        return self.__dict__ | {"_auxiliary": None}

    def extra_repr(self) -> str:
        """Sizes, options and direction, for printing."""
        return f"{self.cell}, reverse={self.reverse}"


@torch.compiler.assume_constant_result
def _castable(device: str) -> bool:
    """Whether autocast knows a kind of device; torch.compile cannot look into the question."""
    return torch.amp.is_autocast_available(device)
