"""Gates as they are recorded: they are those of the cells' equations, and their statistics."""

from __future__ import annotations

import csv
import json

import pytest
import torch

from gatedrnn import nnet
from gatedrnn.cells.registry import CELLS
from gatedrnn.nnet.recording import recording
from gatedrnn.tasks.language_modeling.model import TextModel
from gatedrnn.tasks.music.gates import (
    GateSettings,
    correlation,
    layer_statistics,
    measure_gates,
    write_gates,
)


def stack(network: str, **options):
    torch.manual_seed(0)
    net = nnet.build(network, input_size=3, hidden_size=4, num_layers=2, **options).double()
    with torch.no_grad():
        for weight in net.parameters():
            weight.uniform_(-0.9, 0.9)
    return net


def weights(net, layer: int = 0) -> dict[str, torch.Tensor]:
    return net.layer(layer).equation_weights()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.key)
def test_recording_changes_nothing(cell, training):
    options = {"bidirectional": True} if cell.key != "slim" else {}
    net, x = stack(cell.key, **options).train(training), torch.rand(2, 6, 3).double()
    lengths = torch.tensor([1.0, 0.5])
    torch.manual_seed(5)
    expected, hidden = net(x, lengths=lengths)
    torch.manual_seed(5)
    with recording(net) as traces:
        found, state = net(x, lengths=lengths)
    assert torch.equal(found, expected)
    for one, other in zip(state, hidden, strict=True):
        assert torch.equal(one, other)
    assert len(traces) == 2 * net.num_directions
    assert all(len(values) == 6 for trace in traces for values in trace.values.values())
    again, _ = net.eval()(x)
    assert again.shape == found.shape


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("network", "options"),
    [
        ("lstmp", {}),
        ("lstmp", {"peephole": False}),
        ("g2", {}),
        ("coupled", {}),
        ("beta", {"variant": "beta"}),
        ("beta", {"variant": "3g"}),
        ("beta", {"variant": "5g"}),
    ],
)
def test_recorded_gates_make_the_state_update_exactly(network, options, training):
    net, x = stack(network, **options).train(training), torch.rand(2, 7, 3).double()
    with recording(net) as traces:
        net(x)
    for place, trace in enumerate(traces):
        b_c = weights(net, place)["b_c"]
        seen = trace.values
        before = torch.zeros(2, 4).double()
        for i, f, z_c, c_prev, c in zip(
            *(seen[n] for n in ("i", "f", "z_c", "c_prev", "c")), strict=True
        ):
            assert torch.equal(c_prev, before)
            assert torch.equal(c, f * c_prev + i * torch.tanh(z_c + b_c))
            assert bool(((i > 0) & (i < 1) & (f > 0) & (f < 1)).all())
            before = c
        assert torch.equal(seen["c"][0], seen["i"][0] * torch.tanh(seen["z_c"][0] + b_c))


def test_slopes_are_those_of_the_equations():
    net = stack("lstmp", peephole=False)
    with recording(net) as traces:
        net(torch.rand(2, 5, 3).double())
    i, slopes = torch.stack(traces[0].values["i"]), traces[0].slopes("i")
    assert list(slopes) == ["z_i"]
    assert torch.allclose(torch.stack(slopes["z_i"]), i * (1 - i))
    net = stack("beta", variant="3g").eval()
    with recording(net) as traces:
        net(torch.rand(2, 5, 3).double())
    seen, slopes = traces[0].values, traces[0].slopes("i")
    assert list(slopes) == ["z_2", "z_3"]
    a2, a3 = (torch.stack(seen[f"a_{k}"]) for k in (2, 3))
    own = torch.sigmoid(torch.stack(seen["z_2"]) + weights(net)["b_a2"])
    assert torch.allclose(torch.stack(slopes["z_2"]), own * a3 / (a2 + a3).square())


def test_gradients_of_the_loss_are_those_of_the_bias():
    """A bias adds to all frames' pre-activations: its gradient is the sum of theirs."""
    net = stack("lstmp", peephole=False)
    with recording(net) as traces:
        loss = net(torch.rand(2, 5, 3).double())[0].square().sum()
    places = traces[1].values["z_f"]
    bias, *found = torch.autograd.grad(loss, [net.layer(1).bias, *places])
    start = list(weights(net, 1)).index("b_f") - list(weights(net, 1)).index("b_i")
    assert torch.allclose(bias[4 * start : 4 * start + 4], torch.stack(found).sum(dim=(0, 1)))


def test_figures():
    settings = GateSettings(bins=4)
    i = torch.tensor([[0.0, 0.5], [1.0, 0.5], [0.0, 0.5], [1.0, 0.5]])
    f = 1.0 - i
    found = layer_statistics({"i": [i], "f": [f[:1], f[1:]], "slope i": [i]}, settings)
    gate = found["gates"]["i"]
    assert (found["units"], found["values"]) == (2, 8)
    assert gate["histogram"] == [2, 0, 4, 2]
    assert (gate["closed"], gate["open"], gate["mean"]) == (0.25, 0.25, 0.5)
    assert gate["slope"]["max"] == 1.0
    assert found["unit correlations"] == [-1.0, None]
    assert found["correlation"] == -1.0
    points = layer_statistics({"i": [i[:, :1]]}, settings)["gates"]["i"]
    assert points["bimodality"] == pytest.approx(1.0)
    flat = layer_statistics({"i": [torch.linspace(0, 1, 4001).unsqueeze(1)]}, settings)["gates"][
        "i"
    ]
    assert flat["bimodality"] == pytest.approx(5 / 9, abs=1e-3)
    torch.manual_seed(3)
    one, other = torch.rand(2, 50, 3).double()
    expected = [
        float(torch.corrcoef(torch.stack(p))[0, 1]) for p in zip(one.T, other.T, strict=True)
    ]
    assert correlation(one, other) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("variant", "signs"), [("beta", 0), ("3g", 1)])
def test_sampled_gates_are_correlated_as_the_equations_say(variant, signs):
    """With weights of nothing all shapes are alike, and what correlation there is is the gates'."""
    net = nnet.build("beta", input_size=1, hidden_size=30, variant=variant)
    with torch.no_grad():
        for weight in net.parameters():
            weight.zero_()
    found = measure_gates(net, lambda x: net(x)[0].sum(), [torch.zeros(20, 30, 1)])
    assert [layer["mode"] for layer in found] == ["evaluation", "training"]
    assert found[0]["correlation"] is None
    assert found[0]["gates"]["i"]["mean"] == pytest.approx(0.5)
    assert found[1]["correlation"] == pytest.approx(0.5 * signs, abs=0.06)


def test_any_model_and_all_files(tmp_path):
    torch.manual_seed(0)
    model = TextModel(9, "beta", num_layers=2, hidden_size=5, dropout=0.5)
    tokens = torch.randint(9, (3, 8))

    def loss_of(batch):
        return model(batch[:, :-1], None, batch[:, 1:]).losses.sum()

    before = torch.random.get_rng_state()
    layers = measure_gates(model, loss_of, [tokens])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert layers == measure_gates(model, loss_of, [tokens])
    assert [(e["layer"], e["mode"]) for e in layers] == [
        (f"rnn.layers.{n}.0", mode) for mode in ("evaluation", "training") for n in (0, 1)
    ]
    assert all("forward" not in vars(module) for module in model.modules())
    runs = {"beta": [{"epoch": 0, "layers": layers}, {"epoch": 2, "layers": layers}]}
    files = write_gates(runs, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "gates.json").read_text()) == runs
    with open(tmp_path / "out" / "gates.csv", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 2 * 4 * 2
    assert float(table[0]["mean"]) == layers[0]["gates"]["i"]["mean"]
    assert len(files) == 5
    assert all((tmp_path / "out" / name).stat().st_size > 0 for name in files)
    with pytest.raises(ValueError, match="Linear has no recurrent layer"):
        measure_gates(torch.nn.Linear(1, 1), loss_of, [tokens])
    slim = nnet.build("slim", input_size=3, hidden_size=4, variant="6")
    with pytest.raises(ValueError, match="no layer has a gate called i or f"):
        measure_gates(slim, lambda x: slim(x)[0].sum(), [torch.rand(1, 4, 3)])


def test_a_unit_that_never_changes_has_no_correlation():
    first, second = torch.tensor([[0.0, 1.0], [1.0, 1.0]]), torch.tensor([[3.0, 1.0], [1.0, 2.0]])
    assert correlation(first, second) == [-1.0, None]
