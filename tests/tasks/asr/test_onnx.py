"""ONNX files against the models that they were made of."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch

from gatedrnn import __version__, nnet
from gatedrnn.cells import CELLS
from gatedrnn.nnet import RecurrentStack
from gatedrnn.tasks.asr import onnx_graph
from gatedrnn.tasks.asr.heads.attention import AttentionModel
from gatedrnn.tasks.asr.model import CTCModel
from gatedrnn.tasks.asr.onnx_export import export_encoder, export_step
from tests import cases
from tests.engine.own_cells import Everything, MinimalGatedUnit, Unknown

onnx = pytest.importorskip("onnx", reason='needs pip install "gatedrnn[onnx]"')
onnxruntime = pytest.importorskip("onnxruntime", reason='needs pip install "gatedrnn[onnx]"')

TOKENS, FEATURES = 6, 2


def acoustic(encoder=None, **options):
    """A small model with weights large enough to saturate some gates."""
    torch.manual_seed(1)
    sizes = {"num_layers": 2, "hidden_size": 5, "proj_size": 3, "factor": 2, "channels": 2}
    model = CTCModel(TOKENS, FEATURES, encoder=encoder, **(sizes | options))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1.0, 1.0)
    return model.eval()


def session_of(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options)


def run(session, x, counts):
    given = {"features": x.numpy(), "lengths": np.asarray(counts, dtype=np.int64)}
    return session.run(["log_probs", "counts"], given)


def step_through(session, frames):
    """The log-probabilities of (batch, frames, width), and the last states."""
    inputs = {i.name: i.shape for i in session.get_inputs() if i.name != "frame"}
    states = {
        name: np.zeros((layers, len(frames), width), dtype=np.float32)
        for name, (layers, _, width) in inputs.items()
    }
    outputs = []
    for t in range(frames.shape[1]):
        log_probs, *new = session.run(None, {"frame": frames[:, t].numpy(), **states})
        states = dict(zip(states, new, strict=True))
        outputs.append(log_probs)
    return np.stack(outputs, 1), states


def close(found, wanted, tolerance=2e-5):
    wanted = wanted.detach().numpy()
    assert found.shape == wanted.shape
    error = np.abs(found - wanted) / (1.0 + np.abs(wanted))
    assert error.max() <= tolerance, f"off by {error.max()}"


def agrees(model, path, counts=(9, 5, 1), width=FEATURES):
    """A file gives what the model gives, whatever is in the padding, and utterance by utterance."""
    session = session_of(path)
    x = torch.randn(len(counts), max(counts), width)
    with torch.no_grad():
        log_probs, frames, _ = model(x, torch.tensor(counts) / max(counts))
    for row, count in enumerate(counts):
        x[row, count:] = torch.nan
    found, found_counts = run(session, x, counts)
    close(found, log_probs)
    assert found_counts.tolist() == frames.tolist()
    for row, count in enumerate(counts):
        (alone,), _ = run(session, x[row : row + 1, :count], [count])
        np.testing.assert_allclose(alone, found[row, : len(alone)], rtol=0, atol=2e-5)
    return session


#: Every row of ``gatedrnn list``, as narrow as can be where there is a projection.
CASES = [
    (cell.__name__, options | ({"proj_size": 3} if cell.has_projection else {}))
    for cell in CELLS
    for options in cell.variants
]
CASES += [(cell.__name__, {}) for cell in CELLS if cell.has_projection]


@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("case", CASES, ids=map(cases.case_id, CASES))
def test_every_recurrence(case, bidirectional, tmp_path):
    """A ragged batch; and step by step the same, where that can be."""
    name, options = case
    encoder = nnet.CLASSES[name](
        5, input_size=4, num_layers=2, bidirectional=bidirectional, **options
    )
    model = acoustic(encoder)
    export_encoder(model, tmp_path / "encoder.onnx")
    session = agrees(model, tmp_path / "encoder.onnx")
    if bidirectional:
        return
    export_step(model, tmp_path / "step.onnx")
    x = torch.randn(2, 12, FEATURES)
    whole, _ = run(session, x, [12, 12])
    frames = x.unflatten(1, (-1, 2)).flatten(2)
    stepped, states = step_through(session_of(tmp_path / "step.onnx"), frames)
    np.testing.assert_allclose(stepped, whole, rtol=0, atol=2e-5)
    with torch.no_grad():
        _, final = encoder(frames)
    final = (final,) if isinstance(final, torch.Tensor) else final
    for name, wanted in zip(states, final, strict=True):
        close(states[name], wanted)


@pytest.mark.parametrize("subsampling", ["stack", "conv"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_every_length(subsampling, bidirectional, tmp_path):
    model = acoustic(subsampling=subsampling, bidirectional=bidirectional, factor=3)
    export_encoder(model, tmp_path / "encoder.onnx", FEATURES)
    for counts in [(1,), (1, 1), (2,), (3, 2), (4,), (8, 7, 6, 5), (17, 1)]:
        agrees(model, tmp_path / "encoder.onnx", counts)


def test_ten_layers(tmp_path):
    model = CTCModel(30, 80, "highway", num_layers=10, hidden_size=64, proj_size=32).eval()
    export_encoder(model, tmp_path / "encoder.onnx")
    session = agrees(model, tmp_path / "encoder.onnx", (61, 30), 80)
    export_step(model, tmp_path / "step.onnx")
    x = torch.randn(1, 60, 80)
    whole, _ = run(session, x, [60])
    frames = x.unflatten(1, (-1, 3)).flatten(2)
    stepped, _ = step_through(session_of(tmp_path / "step.onnx"), frames)
    np.testing.assert_allclose(stepped, whole, rtol=0, atol=2e-5)


class OwnStack(RecurrentStack):
    """Of a cell with a single state."""

    cell_class = MinimalGatedUnit


class EveryOperation(RecurrentStack):
    """Of a cell with everything that the printers know."""

    cell_class = Everything


@pytest.mark.parametrize("kind", [OwnStack, EveryOperation])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_cells_of_ones_own(kind, bidirectional, tmp_path):
    encoder = kind(5, input_size=4, num_layers=2, bidirectional=bidirectional)
    model = acoustic(encoder)
    export_encoder(model, tmp_path / "encoder.onnx")
    agrees(model, tmp_path / "encoder.onnx")
    if not bidirectional:
        export_step(model, tmp_path / "step.onnx")
        states = [i.name for i in session_of(tmp_path / "step.onnx").get_inputs()][1:]
        assert states == ["h"]


def test_the_graph_is_a_loop_with_the_inputs_products_outside(tmp_path):
    model = acoustic(bidirectional=True)
    export_encoder(model, tmp_path / "encoder.onnx")
    proto = onnx.load(tmp_path / "encoder.onnx")
    assert [(o.domain, o.version) for o in proto.opset_import] == [("", 18)]
    scans = [node for node in proto.graph.node if node.op_type == "Scan"]
    assert len(scans) == 2 * 2, "layers * directions, however many frames"
    for scan in scans:
        (body,) = [a.g for a in scan.attribute if a.name == "body"]
        products = [node for node in body.node if node.op_type == "MatMul"]
        assert len(products) == 4, "h' for the cell and for the gate, c, tanh(c)"
    weights = sum(p.numel() for p in model.parameters()) * 4
    assert (tmp_path / "encoder.onnx").stat().st_size > weights


def test_metadata_says_what_the_file_is(tmp_path):
    model = acoustic()
    export_encoder(model, tmp_path / "encoder.onnx")
    export_step(model, tmp_path / "step.onnx")
    common = {
        "factor": "2",
        "subsampling": "FrameStacking",
        "recurrence": "residual",
        "bidirectional": "false",
        "tokens": "6",
        "gatedrnn_version": __version__,
    }
    found = session_of(tmp_path / "encoder.onnx").get_modelmeta().custom_metadata_map
    assert found == common | {"features": "2"}
    found = session_of(tmp_path / "step.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(found.pop("states")) == {"h": [2, "batch", 3], "c": [2, "batch", 5]}
    assert found == common


def test_the_model_stays_as_it_is(tmp_path):
    """Stochastic gates in training mode, float64: the file is of the evaluation, in float32."""
    model = acoustic(network="g2", network_options={"p": 1.0}).double().train()
    export_encoder(model, tmp_path / "encoder.onnx")
    assert model.training and model.encoder.training
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    assert [path.name for path in tmp_path.iterdir()] == ["encoder.onnx"]
    agrees(model.eval().float(), tmp_path / "encoder.onnx")


def test_a_bidirectional_model_has_no_step(tmp_path):
    with pytest.raises(
        ValueError, match="ResidualLSTM: a bidirectional stack needs the whole utterance"
    ):
        export_step(acoustic(bidirectional=True), tmp_path / "step.onnx")
    assert not any(tmp_path.iterdir())


def test_what_cannot_be_exported_says_why(tmp_path):
    path = tmp_path / "encoder.onnx"
    with pytest.raises(ValueError, match="not StockLSTM"):
        export_encoder(acoustic(network="stock_lstm"), path)
    with pytest.raises(ValueError, match="of a model with a head: its acoustic"):
        export_encoder(AttentionModel(acoustic(), TOKENS), path)
    with pytest.raises(ValueError, match="features must be 2, as the model's weights say, not 3"):
        export_encoder(acoustic(), path, 3)
    with pytest.raises(ValueError, match="features must be 1 to 4, .* not 5"):
        export_encoder(acoustic(subsampling="conv"), path, 5)

    class Stack(RecurrentStack):
        cell_class = Unknown

    with pytest.raises(ValueError, match="Unknown cannot be written as ONNX: .*erf"):
        export_encoder(acoustic(Stack(5, input_size=4)), path)
    model = acoustic()
    with torch.no_grad():
        model.output.bias[0] = torch.nan
    with pytest.raises(ValueError, match="the model's own log_probs are not finite"):
        export_encoder(model, path)
    assert not any(tmp_path.iterdir())


def test_a_file_that_computes_something_else_is_not_written(tmp_path, monkeypatch):
    path = tmp_path / "encoder.onnx"
    path.write_text("an older file")
    monkeypatch.setitem(onnx_graph.OPERATORS, "tanh", "Sigmoid")
    for export in (export_encoder, export_step):
        with pytest.raises(RuntimeError, match="encoder.onnx: onnxruntime and the model differ"):
            export(acoustic(), path)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["an older file"]


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named(package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf'need {package}: pip install "gatedrnn\[onnx\]"'):
        export_encoder(acoustic(), tmp_path / "encoder.onnx")
    assert not any(tmp_path.iterdir())
