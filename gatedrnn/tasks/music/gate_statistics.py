"""What a model's gates do, over its training: their values, their correlation, their gradients.

The Bivariate Beta-LSTM's paper claims of its gates that their values can have several modes and be
skewed, that input and forget gate are correlated, and that their gradients are larger than those of
sigmoid gates. These are the figures to hold that against, for any recurrence with gates.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import speechbrain as sb
import torch
from torch import nn

from gatedrnn.nnet import RecurrentLayer
from gatedrnn.nnet.recording import Trace, recording

#: The modes of a model whose gates draw noise in training: their means, and what is drawn.
MEANS, SAMPLES = "evaluation", "training"
#: A gate below the first counts as closed, above the second as open.
CLOSED, OPEN = 0.1, 0.9
#: Below this variance a gate is constant, and correlated with nothing.
_CONSTANT = 1e-12


@dataclass(frozen=True)
class GateSettings:
    """What is measured.

    Arguments
    ---------
    gates : tuple of str
        Names of the gates in the cells' equations; the correlation is that of the first two.
    bins : int
        Of the histograms, from 0 to 1.
    batches : int
        Most batches that are read.
    seed : int
        Of the noise.
    """

    gates: tuple[str, ...] = ("i", "f")
    bins: int = 40
    batches: int = 1
    seed: int = 0


def measure_gates(
    model: nn.Module,
    loss_of: Callable[[Any], torch.Tensor],
    batches: Iterable[Any],
    settings: GateSettings = GateSettings(),
) -> list[dict[str, Any]]:
    """Measures the gates of a model's recurrent layers.

    Nothing is dropped. Gates that draw noise are measured twice: as they are in evaluation, and as
    they are drawn in training.

    Arguments
    ---------
    model : torch.nn.Module
        Any with recurrent layers of this package; it is left in evaluation mode.
    loss_of : callable
        Runs the model over a batch: the sum of the losses, whose gradients are measured.
    batches : iterable
        What is read.
    settings : GateSettings
        What is measured.

    Returns
    -------
    list of dict
        Figures of each layer, in each mode: see :func:`figures_of`.

    Raises
    ------
    ValueError
        If the model has no recurrent layer, or none of its layers has such gates.

    Example
    -------
    >>> from gatedrnn.nnet import BetaLSTM
    >>> net = BetaLSTM(4, input_size=3)
    >>> found = measure_gates(net, lambda x: net(x)[0].square().sum(), [torch.rand(2, 9, 3)])
    >>> [(layer["layer"], layer["mode"], layer["values"]) for layer in found]
    [('layers.0.0', 'evaluation', 72), ('layers.0.0', 'training', 72)]
    """
    batches = list(itertools.islice(batches, settings.batches))
    layers = [m for m in model.modules() if isinstance(m, RecurrentLayer)]
    draws = any(layer.cell.noise(True) or layer.cell.samples(True) for layer in layers)
    found = []
    with torch.random.fork_rng(), torch.enable_grad():
        for mode in (MEANS, SAMPLES) if draws else (MEANS,):
            torch.manual_seed(settings.seed)
            model.eval()
            for layer in layers:
                layer.train(mode == SAMPLES)
            gathered: dict[str, dict[str, list[torch.Tensor]]] = {}
            for batch in batches:
                with recording(model) as traces:
                    loss = loss_of(batch)
                _gather(traces, loss, settings, gathered)
            model.eval()
            found += [
                {"layer": name, "mode": mode, **figures_of(parts, settings)}
                for name, parts in gathered.items()
            ]
    if not found:
        raise ValueError(f"no layer has a gate called {' or '.join(settings.gates)}")
    return found


def measure_training(
    brain: Any, loader: Iterable[Any], settings: GateSettings = GateSettings()
) -> list[dict[str, Any]]:
    """Measures the gates of a training, from its start over all epochs whose checkpoint is there.

    Arguments
    ---------
    brain : GuardedBrain
        As its training began: with a ``model``, and the checkpointer of the training.
    loader : iterable
        Validation batches.
    settings : GateSettings
        What is measured.

    Returns
    -------
    list of dict
        ``"epoch"`` (0: before training) and ``"layers"``: see :func:`measure_gates`.

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint of an epoch.
    """
    batches = list(itertools.islice(loader, settings.batches))
    model = brain.network("model", sb.Stage.VALID)
    brain.on_stage_start(sb.Stage.VALID)

    def loss_of(batch: Any) -> torch.Tensor:
        outputs = brain.compute_forward(batch, sb.Stage.VALID)
        return brain.compute_objectives(outputs, batch, sb.Stage.VALID).total

    whole = [c for c in brain.checkpointer.list_checkpoints() if c.meta.get("end-of-epoch")]
    kept = {c.meta["epoch"]: c for c in whole if "epoch" in c.meta}
    if not kept:
        raise FileNotFoundError(
            f"there is no checkpoint of an epoch in {brain.checkpointer.checkpoints_dir}: train "
            "first, with keep_epochs for more than the best and the last"
        )
    found = [{"epoch": 0, "layers": measure_gates(model, loss_of, batches, settings)}]
    for epoch in sorted(kept):
        path = kept[epoch].paramfiles["model"]
        model.load_state_dict(torch.load(path, map_location=brain.device, weights_only=True))
        layers = measure_gates(model, loss_of, batches, settings)
        found.append({"epoch": int(epoch), "layers": layers})
    return found


def _gather(
    traces: Sequence[Trace],
    loss: torch.Tensor,
    settings: GateSettings,
    gathered: dict[str, dict[str, list[torch.Tensor]]],
) -> None:
    """Adds what a batch has to say: (frames, units) of each layer, by name."""
    sources = {}
    for place, trace in enumerate(traces):
        for gate in settings.gates:
            if gate not in trace.values:
                continue
            parts = gathered.setdefault(trace.layer, {})
            parts.setdefault(gate, []).append(trace.valid(trace.values[gate]))
            slopes = trace.slopes(gate)
            sources[place, gate] = tuple(slopes)
            if slopes:
                norm = _norm([trace.valid(values) for values in slopes.values()])
                parts.setdefault(f"slope {gate}", []).append(norm)
    # Last of all, since it takes the graph apart.
    wanted = {(p, s): traces[p].values[s] for (p, g), names in sources.items() for s in names}
    flat = [value for values in wanted.values() for value in values]
    if not flat:
        return
    gradients = iter(torch.autograd.grad(loss, flat, materialize_grads=True))
    by_sum = {key: list(itertools.islice(gradients, len(values))) for key, values in wanted.items()}
    for (place, gate), names in sources.items():
        if names:
            trace = traces[place]
            norm = _norm([trace.valid(by_sum[place, s]) for s in names])
            gathered[trace.layer].setdefault(f"gradient {gate}", []).append(norm)


def _norm(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(parts)).double().square().sum(dim=0).sqrt()


def figures_of(
    parts: Mapping[str, Sequence[torch.Tensor]], settings: GateSettings
) -> dict[str, Any]:
    """The figures of a layer.

    Arguments
    ---------
    parts : Mapping
        Gate -> its values, and ``"slope GATE"``, ``"gradient GATE"`` where there are any, each as
        tensors (frames, units).
    settings : GateSettings
        What is measured.

    Returns
    -------
    dict
        ``"units"``, ``"values"``: how many values of each gate there are. ``"gates"``: of each gate
        its ``histogram``, ``mean``, ``deviation``, what share is ``closed`` and ``open``, and the
        ``bimodality`` coefficient (Sarle's: 5/9 for a uniform distribution, 1 for two points);
        ``slope``, its derivative by what the sigmoid, or what makes the Gamma shapes, is applied
        to, as the norm over these; ``gradient``, that of the loss by them. ``"correlation"`` of the
        first two gates over all units, and ``"unit correlations"`` of each unit, ``None`` where a
        gate is constant.
    """
    values = {
        gate: torch.cat(list(parts[gate])).double() for gate in settings.gates if gate in parts
    }
    frames, units = next(iter(values.values())).shape
    figures: dict[str, Any] = {"units": units, "values": frames * units, "gates": {}}
    for gate, found in values.items():
        one = figures["gates"][gate] = _distribution(found.flatten(), settings.bins)
        for name in ("slope", "gradient"):
            if f"{name} {gate}" in parts:
                one[name] = _magnitude(torch.cat(list(parts[f"{name} {gate}"])).flatten())
    pair = [values[gate] for gate in settings.gates[:2] if gate in values]
    if len(pair) == 2:
        figures["correlation"] = correlation(*(p.flatten().unsqueeze(1) for p in pair))[0]
        figures["unit correlations"] = correlation(*pair)
    return figures


def correlation(one: torch.Tensor, other: torch.Tensor) -> list[float | None]:
    """Pearson's correlation, column by column.

    Arguments
    ---------
    one : torch.Tensor
        (rows, columns).
    other : torch.Tensor
        Of the same shape.

    Returns
    -------
    list of float or None
        ``None`` where a column is constant.

    Example
    -------
    >>> correlation(torch.tensor([[0.0, 1.0], [1.0, 1.0]]), torch.tensor([[3.0, 1.0], [1.0, 2.0]]))
    [-1.0, None]
    """
    one, other = (v.double() - v.double().mean(dim=0) for v in (one, other))
    spread = one.square().mean(dim=0), other.square().mean(dim=0)
    moves = (spread[0] > _CONSTANT) & (spread[1] > _CONSTANT)
    found = (one * other).mean(dim=0) / (spread[0] * spread[1]).sqrt()
    return [round(v, 6) if m else None for v, m in zip(found.tolist(), moves.tolist(), strict=True)]


def _distribution(values: torch.Tensor, bins: int) -> dict[str, Any]:
    counts = torch.histc(values, bins, 0.0, 1.0)
    mean = values.mean()
    second, third, fourth = ((values - mean).pow(n).mean() for n in (2, 3, 4))
    moves = float(second) > _CONSTANT
    skew, kurtosis = third / second.pow(1.5), fourth / second.square()
    return {
        "histogram": [int(n) for n in counts],
        "mean": float(mean),
        "deviation": float(second.sqrt()),
        "closed": float((values < CLOSED).double().mean()),
        "open": float((values > OPEN).double().mean()),
        "bimodality": float((skew.square() + 1.0) / kurtosis) if moves else None,
    }


def _magnitude(values: torch.Tensor) -> dict[str, float]:
    ordered = values.sort().values
    last = len(ordered) - 1
    return {
        "mean": float(ordered.mean()),
        "median": float(ordered[last // 2]),
        "99 %": float(ordered[int(0.99 * last)]),
        "max": float(ordered[last]),
    }
