"""Statistics of a model's gates over its training: values, correlation and gradients.

The Bivariate Beta-LSTM's paper claims of its gates that their values can have several modes and be
skewed, that input and forget gate are correlated, and that their gradients are larger than those of
sigmoid gates. These statistics test that for any recurrence with gates.
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

#: Modes of a model whose gates have noise in training: their means, and samples.
MEANS, SAMPLES = "evaluation", "training"
#: A gate below the first counts as closed, above the second as open.
CLOSED, OPEN = 0.1, 0.9
#: Below this variance a gate is constant, without correlation.
_CONSTANT = 1e-12


@dataclass(frozen=True)
class GateSettings:
    """Options of the statistics."""

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

    There is no dropout. Gates with noise are measured twice: their means, as in evaluation, and
    samples, as in training.

    Arguments
    ---------
    model : torch.nn.Module
        Any with recurrent layers of this package; it is left in evaluation mode.
    loss_of : callable
        Runs the model over a batch: the sum of the losses, whose gradients are measured.
    batches : iterable
        Batches of the model.
    settings : GateSettings
        Options.

    Returns
    -------
    list of dict
        Statistics of each layer, in each mode: see :func:`layer_statistics`.

    Raises
    ------
    ValueError
        If the model has no recurrent layer, or none of its layers has such gates.

    Example
    -------
    >>> from gatedrnn.nnet import BetaLSTM
    >>> net = BetaLSTM(4, input_size=3)
    >>> layers = measure_gates(net, lambda x: net(x)[0].square().sum(), [torch.rand(2, 9, 3)])
    >>> [(layer["layer"], layer["mode"], layer["values"]) for layer in layers]
    [('layers.0.0', 'evaluation', 72), ('layers.0.0', 'training', 72)]
    """
    batches = list(itertools.islice(batches, settings.batches))
    layers = [m for m in model.modules() if isinstance(m, RecurrentLayer)]
    has_noise = any(layer.cell.noise(True) or layer.cell.samples(True) for layer in layers)
    statistics = []
    with torch.random.fork_rng(), torch.enable_grad():
        for mode in (MEANS, SAMPLES) if has_noise else (MEANS,):
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
            statistics += [
                {"layer": name, "mode": mode, **layer_statistics(parts, settings)}
                for name, parts in gathered.items()
            ]
    if not statistics:
        raise ValueError(f"no layer has a gate called {' or '.join(settings.gates)}")
    return statistics


def measure_training(
    brain: Any, loader: Iterable[Any], settings: GateSettings = GateSettings()
) -> list[dict[str, Any]]:
    """Measures the gates of a training, at its start and at all epochs with a checkpoint.

    Arguments
    ---------
    brain : Brain
        The untrained Brain: with a ``model``, and the checkpointer of the training.
    loader : iterable
        Validation batches.
    settings : GateSettings
        Options.

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
    points = [{"epoch": 0, "layers": measure_gates(model, loss_of, batches, settings)}]
    for epoch in sorted(kept):
        path = kept[epoch].paramfiles["model"]
        model.load_state_dict(torch.load(path, map_location=brain.device, weights_only=True))
        layers = measure_gates(model, loss_of, batches, settings)
        points.append({"epoch": int(epoch), "layers": layers})
    return points


def _gather(
    traces: Sequence[Trace],
    loss: torch.Tensor,
    settings: GateSettings,
    gathered: dict[str, dict[str, list[torch.Tensor]]],
) -> None:
    """Adds the values of a batch, (frames, units), to those of each layer, by name."""
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
    sums = {(p, s): traces[p].values[s] for (p, g), names in sources.items() for s in names}
    flat = [value for values in sums.values() for value in values]
    if not flat:
        return
    gradients = iter(torch.autograd.grad(loss, flat, materialize_grads=True))
    by_sum = {key: list(itertools.islice(gradients, len(values))) for key, values in sums.items()}
    for (place, gate), names in sources.items():
        if names:
            trace = traces[place]
            norm = _norm([trace.valid(by_sum[place, s]) for s in names])
            gathered[trace.layer].setdefault(f"gradient {gate}", []).append(norm)


def _norm(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(parts)).double().square().sum(dim=0).sqrt()


def layer_statistics(
    parts: Mapping[str, Sequence[torch.Tensor]], settings: GateSettings
) -> dict[str, Any]:
    """Statistics of a layer.

    parts: Gate -> its values, and where there are any ``"slope GATE"`` and ``"gradient GATE"``,
        each as tensors (frames, units).
    """
    values = {
        gate: torch.cat(list(parts[gate])).double() for gate in settings.gates if gate in parts
    }
    frames, units = next(iter(values.values())).shape
    statistics: dict[str, Any] = {"units": units, "values": frames * units, "gates": {}}
    for gate, gate_values in values.items():
        gate_statistics = _distribution(gate_values.flatten(), settings.bins)
        statistics["gates"][gate] = gate_statistics
        for name in ("slope", "gradient"):
            if f"{name} {gate}" in parts:
                pieces = torch.cat(list(parts[f"{name} {gate}"]))
                gate_statistics[name] = _magnitude(pieces.flatten())
    pair = [values[gate] for gate in settings.gates[:2] if gate in values]
    if len(pair) == 2:
        statistics["correlation"] = correlation(*(p.flatten().unsqueeze(1) for p in pair))[0]
        statistics["unit correlations"] = correlation(*pair)
    return statistics


def correlation(first: torch.Tensor, second: torch.Tensor) -> list[float | None]:
    """Pearson's correlation of the columns of (rows, columns), None where a column is constant."""
    first, second = (v.double() - v.double().mean(dim=0) for v in (first, second))
    spread = first.square().mean(dim=0), second.square().mean(dim=0)
    moves = (spread[0] > _CONSTANT) & (spread[1] > _CONSTANT)
    values = (first * second).mean(dim=0) / (spread[0] * spread[1]).sqrt()
    return [
        round(v, 6) if m else None for v, m in zip(values.tolist(), moves.tolist(), strict=True)
    ]


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
