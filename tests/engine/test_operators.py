"""The operators inside PyTorch's own machinery."""

import copy
import warnings

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from gatedrnn import engine
from gatedrnn.cells import LSTMP, RAN, BetaLSTM
from gatedrnn.engine import naming, select
from gatedrnn.engine.cpu import build
from gatedrnn.nnet import ResidualLSTM
from tests.engine.alone import finish, start

needs_compiler = pytest.mark.skipif(build.obstacle() is not None, reason="no C++ compiler")


def gradients(net, x, run=None):
    net.zero_grad()
    output = (run or net)(x)
    output = output[0] if isinstance(output, tuple) else output
    output.square().sum().backward()
    return [output.detach(), *(p.grad.clone() for p in net.parameters())]


@needs_compiler
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoint(reentrant):
    net = ResidualLSTM(12, input_size=5, num_layers=2)
    x = torch.rand(2, 9, 5, requires_grad=True)
    wanted = gradients(net, x)
    found = gradients(net, x, lambda v: checkpoint(net, v, use_reentrant=reentrant))
    for a, b in zip(wanted, found, strict=True):
        torch.testing.assert_close(a, b)


@needs_compiler
def test_export_and_copies():
    net = ResidualLSTM(12, input_size=5, num_layers=2).eval()
    x = torch.rand(2, 9, 5)
    program = torch.export.export(net, (x,))
    torch.testing.assert_close(program.module()(x)[0], net(x)[0])
    torch.testing.assert_close(copy.deepcopy(net)(x)[0], net(x)[0])


@needs_compiler
def test_autocast():
    net = ResidualLSTM(12, input_size=5, num_layers=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, _ = net(torch.rand(2, 9, 5))
    assert output.dtype == torch.bfloat16
    output.float().sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in net.parameters())


@needs_compiler
def test_opcheck():
    cell = LSTMP(input_size=3, hidden_size=5, proj_size=4)
    params = [torch.rand(s, requires_grad=True) for s in engine.plan(cell).parameters.values()]
    x = torch.rand(4, 2, 3, requires_grad=True)
    state = [torch.rand(2, w) for w in cell.states().values()]
    text = naming.cell_to_text(cell)
    arguments = ("cpu", text, False, "c", x, torch.tensor([4, 2]), params, state, [], [], False)
    torch.library.opcheck(torch.ops.gatedrnn.infer.default, (*arguments, None))
    torch.library.opcheck(torch.ops.gatedrnn.train.default, (*arguments, None))


@needs_compiler
def test_second_derivative_is_refused():
    net = ResidualLSTM(4, input_size=3)
    x = torch.rand(1, 5, 3, requires_grad=True)
    (first,) = torch.autograd.grad(net(x)[0].square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="runner='reference'"):
        first.sum().backward()


def test_text_of_a_cell():
    cell = BetaLSTM(input_size=3, hidden_size=4, prior_shape=(1.0, 2.0, 0.5, 0.25, 4.0))
    text = naming.cell_to_text(cell)
    naming._CELLS.pop(text)
    assert naming.cell_from_text(text) == cell
    with pytest.raises(ValueError, match="cannot be imported"):
        naming.cell_from_text('["gatedrnn.cells:NoSuchCell", {}]')


def test_operators_that_cannot_be_printed():
    from tests.engine.own_cells import Sorted, Unknown

    for kind, operator in ((Sorted, "_softmax"), (Unknown, "erf")):
        cell = kind(input_size=3, hidden_size=4)
        params = {n: torch.rand(s) for n, s in engine.plan(cell).parameters.items()}
        with pytest.raises(engine.UnsupportedOperation, match=f"{operator}.*runner='reference'"):
            engine.trace.trace(cell)
        with pytest.raises(ValueError, match="forced by argument"):
            engine.run(cell, params, torch.rand(2, 1, 3), runner="loop")
        select._WARNED.clear()
        with pytest.warns(UserWarning, match=f"slow runner 'reference'.*{operator}"):
            engine.run(cell, params, torch.rand(2, 1, 3))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            engine.run(cell, params, torch.rand(2, 1, 3))


def test_choice(monkeypatch):
    cell = RAN(input_size=3, hidden_size=4)
    name, reason = engine.explain(cell)
    assert reason
    if build.obstacle() is None:
        assert name == "cpu"
    monkeypatch.setenv("GATEDRNN_RUNNER", "loop")
    assert engine.explain(cell) == ("loop", "forced by GATEDRNN_RUNNER")
    assert engine.explain(cell, runner="reference")[0] == "reference"
    with pytest.raises(ValueError, match="there is no runner 'gpu'"):
        engine.explain(cell, runner="gpu")


@needs_compiler
def test_processes_share_a_cache(tmp_path):
    assert {finish(p) for p in [start(tmp_path) for _ in range(2)]} == {"cpu []"}
    files = sorted(tmp_path.iterdir())
    assert files and all(f.suffix == ".so" for f in files)
    for file in files:
        # What a full disk leaves. A new file: one that is mapped must not be written to.
        file.unlink()
        file.write_bytes(b"\x7fELF broken")
    assert finish(start(tmp_path)) == "cpu []"
    assert all(f.stat().st_size > 1000 for f in files)


@needs_compiler
def test_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    out = finish(start(tmp_path / "file"))
    assert out.startswith("cpu ['the cache folder") and out.count("cannot be written") == 1
    assert "GATEDRNN_CACHE" in out


def test_no_compiler(tmp_path):
    out = finish(start(tmp_path, PATH=str(tmp_path), CXX=""))
    assert out.startswith("loop [") and out.count("slow runner 'loop'") == 1
    assert "install a C++ compiler" in out
