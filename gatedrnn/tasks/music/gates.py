"""Statistics of a model's gates over its training (values, correlation, gradients), and plots.

The Bivariate Beta-LSTM's paper claims of its gates that their values can have several modes and be
skewed, that input and forget gate are correlated, and that their gradients are larger than those of
sigmoid gates. These statistics test that for any recurrence with gates.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import speechbrain as sb
import torch
from torch import nn

from gatedrnn.data.files import write_atomically
from gatedrnn.data.plots import write_figure
from gatedrnn.data.report import Report
from gatedrnn.nnet import RecurrentLayer
from gatedrnn.nnet.recording import Trace, recording
from gatedrnn.tasks.music.train import MusicTraining, Read
from gatedrnn.training.recipe_yaml import read_recipe

#: Modes of a model whose gates have noise in training: their means, and samples.
MEANS, SAMPLES = "evaluation", "training"
#: A gate below the first counts as closed, above the second as open.
CLOSED, OPEN = 0.1, 0.9
#: Below this variance a gate is constant, without correlation.
_CONSTANT = 1e-12
#: Statistics of a training: see :func:`~gatedrnn.tasks.music.gates.measure_training`.
Training = Sequence[Mapping[str, Any]]
COLUMNS = (
    "run", "epoch", "layer", "mode", "gate", "values", "mean", "deviation", "closed", "open",
    "bimodality", "slope mean", "slope 99 %", "slope max", "gradient mean", "gradient median",
    "gradient 99 %", "correlation",
)  # fmt: skip
#: SpeechBrain's name of a training's YAML file, with all overrides.
_HPARAMS = "hyperparams.yaml"
#: Colours of the first gates, and line styles of the modes.
_COLOURS = ("tab:blue", "tab:red", "tab:green", "tab:purple")
_STYLES = {MEANS: "-", SAMPLES: "--"}
#: Maximum number of epochs in the histograms.
_SHOWN = 6


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
    """Measures the gates of a model's recurrent layers: statistics of each layer, in each mode.

    There is no dropout. Gates with noise are measured twice: their means, as in evaluation, and
    samples, as in training. ``loss_of`` runs the model over a batch: the sum of the losses, whose
    gradients are measured.
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
    """Measures the gates of a training, at its start and at all epochs with a checkpoint."""
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


def write_gates(runs: Mapping[str, Training], output: Path) -> list[str]:
    """Writes ``gates.json``, ``gates.csv`` and plots (with matplotlib); returns the names."""
    output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(runs, indent=1)
    write_atomically(output / "gates.json", text + "\n")
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(runs))
    write_atomically(output / "gates.csv", table.getvalue())
    files = ["gates.json", "gates.csv"]
    if importlib.util.find_spec("matplotlib") is None:
        return files
    for name, draw in (
        ("gate_histograms.png", _histograms),
        ("gate_correlations.png", _correlations),
        ("gate_gradients.png", _gradients),
    ):
        _draw(output / name, draw, runs)
        files.append(name)
    return files


def rows(runs: Mapping[str, Training]) -> Iterator[dict[str, Any]]:
    """One row for each gate of each layer, in each mode, at each epoch."""
    for run, training in runs.items():
        for point in training:
            for layer in point["layers"]:
                for gate, statistics in layer["gates"].items():
                    row = {"run": run, "epoch": point["epoch"], "gate": gate}
                    row |= {k: layer.get(k) for k in ("layer", "mode", "values", "correlation")}
                    row |= {k: statistics[k] for k in COLUMNS if k in statistics}
                    for kind in ("slope", "gradient"):
                        row |= {f"{kind} {k}": v for k, v in statistics.get(kind, {}).items()}
                    yield {k: v for k, v in row.items() if k in COLUMNS}


def _draw(path: Path, draw: Any, runs: Mapping[str, Training]) -> None:
    # The object interface needs no display and leaves the plots of a caller alone.
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    draw(figure, runs)
    write_figure(path, figure)


def _modes(training: Training) -> list[str]:
    modes = {layer["mode"] for layer in training[0]["layers"]}
    return [mode for mode in (MEANS, SAMPLES) if mode in modes]


def _pooled(layers: Sequence[Mapping[str, Any]], mode: str, gate: str) -> list[Mapping[str, Any]]:
    return [e["gates"][gate] for e in layers if e["mode"] == mode and gate in e["gates"]]


def _gates(training: Training) -> list[str]:
    return list(dict.fromkeys(g for layer in training[0]["layers"] for g in layer["gates"]))


def _histograms(figure: Any, runs: Mapping[str, Training]) -> None:
    """A row for each run and mode, a column for each epoch: histograms over all layers."""
    across = [(run, mode) for run, training in runs.items() for mode in _modes(training)]
    shown = {run: _some(training) for run, training in runs.items()}
    width = max(map(len, shown.values()))
    figure.set_size_inches(2.6 * width + 0.6, 2.1 * len(across) + 0.6)
    panels = figure.subplots(len(across), width, squeeze=False, sharex=True)
    for line, (run, mode) in zip(panels, across, strict=True):
        for axes in line[len(shown[run]) :]:
            axes.set_axis_off()
        for axes, point in zip(line, shown[run], strict=False):
            for colour, gate in zip(_COLOURS, _gates(runs[run]), strict=False):
                counts = np.sum(
                    [e["histogram"] for e in _pooled(point["layers"], mode, gate)], axis=0
                )
                edges = np.linspace(0.0, 1.0, len(counts) + 1)
                density = counts / max(1, counts.sum()) * len(counts)
                axes.stairs(density, edges, color=colour, label=gate, fill=True, alpha=0.35)
                axes.stairs(density, edges, color=colour)
            axes.set_title(f"epoch {point['epoch']}", fontsize=9)
            axes.tick_params(labelsize=7)
        label = "sampled in training" if mode == SAMPLES else "in evaluation"
        line[0].set_ylabel(f"{run}\n{label}", fontsize=8)
    panels[0][0].legend(fontsize=8, title="gate", title_fontsize=8)
    figure.supxlabel("value of the gate", fontsize=9)
    figure.supylabel("density", fontsize=9)


def _some(training: Training) -> list[Mapping[str, Any]]:
    """First and last epoch, and some in between."""
    places = np.unique(np.linspace(0, len(training) - 1, min(_SHOWN, len(training))).round())
    return [training[int(place)] for place in places]


def _correlations(figure: Any, runs: Mapping[str, Training]) -> None:
    """The correlation over training, and that of each unit at its end."""
    figure.set_size_inches(11, 4)
    over, units = figure.subplots(1, 2)
    for colour, (run, training) in zip(_cycle(), runs.items(), strict=False):
        for mode in _modes(training):
            label = run if mode == MEANS else f"{run}, sampled"
            style = {"color": colour, "linestyle": _STYLES[mode]}
            values = [
                [e.get("correlation") for e in point["layers"] if e["mode"] == mode]
                for point in training
            ]
            _plot_means(over, training, values, marker="o", label=label, **style)
            last = [
                value
                for e in training[-1]["layers"]
                if e["mode"] == mode
                for value in e.get("unit correlations", ())
                if value is not None
            ]
            counts, edges = np.histogram(last, bins=40, range=(-1.0, 1.0))
            units.stairs(counts / max(1, len(last)), edges, label=label, **style)
    over.set(xlabel="epoch", ylabel="correlation of input and forget gate", ylim=(-1.05, 1.05))
    _over_epochs(over)
    units.set(xlabel="correlation in a unit, last epoch", ylabel="fraction of units")
    for axes in (over, units):
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8)


def _gradients(figure: Any, runs: Mapping[str, Training]) -> None:
    """Slopes of the gates, and gradients of the loss at their pre-activations, over training."""
    figure.set_size_inches(11, 7)
    panels = figure.subplots(2, 2)
    kinds = (("slope", "99 %"), ("slope", "mean"), ("gradient", "mean"), ("gradient", "99 %"))
    titles = (
        "slope of the gate: 99 % of values lie below", "slope of the gate: mean",
        "gradient of the loss at the gate's pre-activations: mean",
        "gradient of the loss there: 99 % of values lie below",
    )  # fmt: skip
    for axes, (kind, statistic), title in zip(panels.flat, kinds, titles, strict=True):
        for colour, (run, training) in zip(_cycle(), runs.items(), strict=False):
            for mode in _modes(training):
                for marker, gate in zip("o^sd", _gates(training), strict=False):
                    values = [
                        [e[kind][statistic] for e in _pooled(p["layers"], mode, gate) if kind in e]
                        for p in training
                    ]
                    label = f"{run} {gate}" + (", sampled" if mode == SAMPLES else "")
                    style = {"color": colour, "linestyle": _STYLES[mode], "marker": marker}
                    _plot_means(axes, training, values, label=label, **style)
        if kind == "slope":
            axes.axhline(0.25, color="grey", linewidth=0.8, linestyle=":")
        axes.set_yscale("log")
        _over_epochs(axes)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.25)
    panels[0][0].legend(fontsize=7)


def _plot_means(axes: Any, training: Training, values: Sequence[Any], **style: Any) -> None:
    """A curve over the epochs: the means of the values of each."""
    kept = [[value for value in point if value is not None] for point in values]
    means = [np.mean(point) if point else np.nan for point in kept]
    axes.plot([point["epoch"] for point in training], means, markersize=3, **style)


def _over_epochs(axes: Any) -> None:
    """Most happens in the first epochs: a logarithmic axis that has a zero."""
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter("{x:g}")


def _cycle() -> tuple[str, ...]:
    return tuple(f"C{number}" for number in range(10))


# ---- command --------------------------------------------------------------------------------


def plot_gates(arguments: Sequence[str], read: Read) -> int:
    """Measures the gates of trainings, and writes statistics and plots."""
    parser = argparse.ArgumentParser(prog="plot_gates.py", description=plot_gates.__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="output folder of a training")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="where all is written")
    parser.add_argument(
        "--names", nargs="+", metavar="NAME", help="of the runs; default: their folders' names"
    )
    parser.add_argument("--data_folder", help="of the corpus; default: that of the training")
    parser.add_argument(
        "--batches", type=int, default=1, metavar="N", help="of validation pieces; default 1"
    )
    options = parser.parse_args(arguments)
    try:
        names = options.names or [Path(run).resolve().name for run in options.runs]
        if len(set(names)) != len(options.runs):
            raise ValueError(
                f"{len(options.runs)} runs need as many different --names, not {', '.join(names)}"
            )
        if options.batches < 1:
            raise ValueError(f"--batches must be at least 1, not {options.batches}")
        settings = GateSettings(batches=options.batches)
        runs = {
            name: measure_run(Path(run), read, settings, options.data_folder)
            for name, run in zip(names, options.runs, strict=True)
        }
        output = Path(options.output)
        print("\n".join(str(output / file) for file in write_gates(runs, output)))
    except (ValueError, OSError) as error:
        print(f"plot_gates.py: error: {error}", file=sys.stderr)
        return 2
    return 0


def measure_run(
    folder: Path, read: Read, settings: GateSettings, data_folder: str | None = None
) -> list[dict[str, Any]]:
    """Statistics of the gates of the training in a folder, which is not changed."""
    path = folder / _HPARAMS
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; {folder} must be the output folder of a training"
        )
    changes = {"output_folder": str(folder)}
    if data_folder is not None:
        changes["data_folder"] = data_folder
    hparams = read_recipe(path, changes).load()
    corpus = read(hparams, Report(str(hparams["corpus"])))
    options = {"device": "cpu", "noprogressbar": True}
    training = MusicTraining(hparams, options, corpus)
    brain = training.make_brain()
    return measure_training(brain, training.valid_loader(brain), settings)
