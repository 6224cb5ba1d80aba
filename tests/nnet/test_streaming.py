"""A compiled stream gives what the stack gives, frame by frame."""

from __future__ import annotations

import pytest
import torch

from gatedrnn import nnet
from gatedrnn.engine.cpu import build
from gatedrnn.engine.cpu.step import quantize_rows
from gatedrnn.nnet import StreamingStack
from tests import cases

pytestmark = pytest.mark.skipif(
    build.obstacle() is not None, reason=f"nothing can be compiled here: {build.obstacle()}"
)


def frames_of(stream, x):
    return torch.stack([stream(x[:, t]) for t in range(x.shape[1])], 1)


@pytest.mark.parametrize("case", cases.CASES, ids=cases.IDS)
def test_equals_the_stack(case):
    """Outputs and states, for every variant, begun anew and from a state."""
    name, options = case
    net = cases.build(name, options)
    stream = StreamingStack(net, batch_size=2)
    x = torch.rand(2, 7, 4, dtype=torch.float64) - 0.5
    expected, final = net(x)
    torch.testing.assert_close(frames_of(stream, x), expected, rtol=0, atol=1e-10)
    for ours, theirs in zip(stream.hidden, final, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    hx = cases.random_state(net, 2)
    stream.reset(hx)
    torch.testing.assert_close(frames_of(stream, x), net(x, hx)[0], rtol=0, atol=1e-10)
    stream.reset()
    torch.testing.assert_close(frames_of(stream, x), expected, rtol=0, atol=1e-10)


def test_state_goes_both_ways():
    """A stream goes on where the stack stopped, and the stack where the stream did."""
    net = cases.build("ResidualLSTM", {"proj_size": 3})
    x = torch.rand(1, 9, 4, dtype=torch.float64)
    expected, _ = net(x)
    _, state = net(x[:, :4])
    stream = StreamingStack(net)
    stream.reset(state)
    middle = frames_of(stream, x[:, 4:7])
    torch.testing.assert_close(middle, expected[:, 4:7], rtol=0, atol=1e-10)
    last, _ = net(x[:, 7:], stream.hidden)
    torch.testing.assert_close(last, expected[:, 7:], rtol=0, atol=1e-10)


@pytest.mark.parametrize("hidden", [1, 3, 17, 33, 100])
@pytest.mark.parametrize("threads", [1, 2])
def test_odd_sizes_and_threads(hidden, threads, monkeypatch):
    """Large enough for several threads: the work is shared without a seam."""
    from gatedrnn.engine.cpu import step

    monkeypatch.setattr(step, "SMALL", 0)
    torch.manual_seed(0)
    net = nnet.HighwayLSTM(hidden, input_size=5, num_layers=3, proj_size=7, init_range=0.5).eval()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        stream = StreamingStack(net, batch_size=3)
        x = torch.randn(3, 6, 5)
        got = frames_of(stream, x)
        stream.reset()
        assert torch.equal(frames_of(stream, x), got), "the same to the bit, run after run"
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(got, net(x)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options"),
    [("LSTMP", {"proj_size": 64}), ("ResidualLSTM", {"proj_size": 64}), ("RAN", {}),
     ("SlimLSTM", {"variant": "5"}), ("BetaLSTM", {})],
)  # fmt: skip
def test_int8_is_near(name, options):
    """Within a few per cent of the output's size after fifty frames through ten layers."""
    torch.manual_seed(0)
    net = nnet.CLASSES[name](96, input_size=64, num_layers=10, init_range=0.15, **options).eval()
    x = torch.randn(1, 50, 64)
    expected, _ = net(x)
    got = frames_of(StreamingStack(net, quantize="int8"), x)
    exact = frames_of(StreamingStack(net), x)
    assert not torch.equal(got, exact), "8 bits are not silently 32"
    error = (got - expected).pow(2).mean().sqrt() / expected.pow(2).mean().sqrt()
    assert error < 0.05


def test_int8_product_is_the_rounded_one():
    """The first frame of a stack linear in its input, against integer arithmetic."""
    net = nnet.RAN(40, input_size=33, output="identity").eval()
    with torch.no_grad():
        net.layer(0).bias.fill_(50.0)  # open gates: h = W_cx x
    x = torch.randn(1, 33)
    weight = net.layer(0).equation_weights()["W_cx"]
    values, scales, sums = quantize_rows(weight)
    assert torch.equal(sums, values.int().sum(1).int())
    assert ((values * scales[:, None] - weight).abs() <= scales[:, None] * 0.5001).all()
    step = x.abs().max() / 127
    rounded = torch.floor(x / step + 0.5)
    expected = (rounded.double() @ values.double().T) * scales.double() * step.double()
    got = StreamingStack(net, quantize="int8")(x)
    torch.testing.assert_close(got.double(), expected, rtol=0, atol=1e-5)


def test_a_snapshot_of_the_weights():
    net = cases.build("RAN", {}, layers=2)
    stream = StreamingStack(net)
    x = torch.rand(1, 1, 4, dtype=torch.float64)
    expected, _ = net(x)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    torch.testing.assert_close(stream(x[:, 0]), expected[:, 0], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ({"bidirectional": True}, {}, "a bidirectional stack needs the end of a sequence"),
        ({}, {"quantize": "int4"}, "quantize must be None or 'int8', not 'int4'"),
        ({}, {"batch_size": 0}, "batch_size must be at least 1, not 0"),
    ],
)
def test_what_cannot_stream_says_why(change, arguments, message):
    net = nnet.RAN(5, input_size=4, **change)
    with pytest.raises(ValueError, match=message):
        StreamingStack(net, **arguments)


def test_dtypes_devices_and_shapes_are_checked():
    net = nnet.RAN(5, input_size=4)
    with pytest.raises(ValueError, match="float32 and float64 weights, not torch.bfloat16"):
        StreamingStack(nnet.RAN(5, input_size=4).bfloat16())
    with pytest.raises(ValueError, match="8-bit weights are made of float32 ones"):
        StreamingStack(nnet.RAN(5, input_size=4).double(), quantize="int8")
    with pytest.raises(ValueError, match="it runs on the CPU, but the stack is on meta"):
        StreamingStack(nnet.RAN(5, input_size=4).to("meta"))
    stream = StreamingStack(net)
    with pytest.raises(ValueError, match=r"a frame must be \(1, 4\)"):
        stream(torch.rand(2, 4))
    with pytest.raises(ValueError, match=r"the state must be \[\(1, 1, 5\), \(1, 1, 5\)\]"):
        stream.reset((torch.rand(1, 1, 5), torch.rand(1, 2, 5)))


def test_no_compiler_is_a_clear_error(monkeypatch):
    from gatedrnn.engine.cpu import step

    monkeypatch.setattr(step.build, "obstacle", lambda: "no C++ compiler (c++, ...) is on the path")
    with pytest.raises(ValueError, match="StreamingStack\\(RAN\\): no C\\+\\+ compiler"):
        StreamingStack(nnet.RAN(5, input_size=4))
