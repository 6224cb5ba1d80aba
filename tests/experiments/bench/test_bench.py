"""The benchmark measures what it says, fairly; no times are asserted here."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from gatedrnn.cells import CELLS
from gatedrnn.cli import bench as command
from gatedrnn.cli.main import main
from gatedrnn.experiments.bench import implementations as measuring
from gatedrnn.experiments.bench.implementations import (
    SCALING_BASE,
    SUITES,
    Benchmark,
    Implementation,
    Shape,
    Timing,
    ligru,
    ours,
    peak_memory,
    products,
    torch_gru,
    torch_lstm,
)
from gatedrnn.experiments.bench.report import as_growth, conditions

SMALL = Shape(2, 3, 8, layers=2)


def test_ratios_are_taken_round_by_round(monkeypatch):
    """A machine that slows down from round to round slows everybody: the ratio stays."""
    now = {"time": 0.0, "speed": 1.0}
    order = []
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: now["time"])

    class Fake(nn.Module):
        def __init__(self, cost):
            super().__init__()
            self.cost = cost

        def forward(self, x):
            order.append(self.cost)
            now["time"] += self.cost * now["speed"]
            now["speed"] *= 1.1
            return x

    timed = [Implementation(f"cost {cost}", lambda s, c=cost: Fake(c)) for cost in (1.0, 0.5)]
    slow, fast = measuring.measure(timed, SMALL, "forward", rounds=5)
    assert order[4:] == [1.0, 0.5] * 5, "in turn, after two warm-up calls each"
    assert slow.ratio == 1.0
    assert fast.ratio == pytest.approx(0.5 * 1.1)
    assert len(fast.seconds) == 5


def test_time_is_bounded(monkeypatch):
    now = iter(range(10_000))
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: float(next(now)))
    baseline = Implementation("baseline", lambda s: nn.Identity())
    assert len(measuring.measure([baseline], SMALL, "forward", rounds=5)[0].seconds) == 5
    few = measuring.measure([baseline], SMALL, "forward", rounds=5, max_seconds=10.0)
    assert 1 < len(few[0].seconds) < 5
    one = measuring.measure([baseline], SMALL, "forward", rounds=5, max_seconds=0.0)
    assert len(one[0].seconds) == 1, "a table is never empty"


def test_growth_is_told_for_each_unit():
    def timed(shape, seconds):
        pair = (Implementation("a", None), Implementation("b", None))
        timings = [Timing(c.name, (s,), (1.0,)) for c, s in zip(pair, seconds, strict=True)]
        return Benchmark(pair, shape, "train"), timings

    base = SCALING_BASE
    table = as_growth(
        [
            timed(replace(base, frames=400), (0.4, 0.4)),
            timed(replace(base, frames=800), (0.8, 1.6)),
            timed(Shape(3, 3, 3), (1.0, 1.0)),
        ]
    )
    assert table.splitlines()[2:] == [
        "| frames | 400 | a | 400.0 | 1.00 |",
        "| frames | 400 | b | 400.0 | 0.50 |",
        "| frames | 800 | a | 800.0 | 1.00 |",
        "| frames | 800 | b | 1600.0 | 1.00 |",
    ]


def test_training_work_reaches_every_weight_and_the_input(monkeypatch):
    net = nn.LSTM(8, 8, 2, batch_first=True)
    seen = {}
    monkeypatch.setattr(
        net, "zero_grad",
        lambda set_to_none: seen.update({n: p.grad.abs().sum() for n, p in net.named_parameters()}),
    )  # fmt: skip
    measuring.make_step(net, SMALL, "train", torch.device("cpu"), torch.float32)()
    assert len(seen) == 8
    assert all(value > 0 for value in seen.values())
    with pytest.raises(ValueError, match="work must be one of forward, train, stream, not 'x'"):
        measuring.make_step(net, SMALL, "x", torch.device("cpu"), torch.float32)


def test_streaming_carries_the_state():
    states = []

    class Recorder(nn.Module):
        def forward(self, x, state=None):
            states.append(state)
            return x, (state or 0) + 1

    step = measuring.make_step(Recorder(), SMALL, "stream", torch.device("cpu"), torch.float32)
    for _ in range(3):
        step()
    assert states == [None, 1, 2]


def test_implementations_have_the_sizes_asked_for():
    shape = Shape(2, 3, 12, layers=3, proj=5, inputs=7)
    x = torch.rand(2, 3, 7)
    for cell in CELLS:
        width = 5 if cell.has_projection else 12
        output, _ = ours(cell.key).build(shape)(x)
        assert output.shape == (2, 3, width)
    for baseline in (torch_lstm(), torch_gru(), ligru(False), ligru(True)):
        assert baseline.build(shape)(x)[0].shape == (2, 3, 12)
    floor = products("ran").build(shape)
    stack = ours("ran").build(shape)
    matrices = sum(p.numel() for p in stack.parameters() if p.dim() == 2)
    assert sum(p.numel() for p in floor.parameters()) == matrices


def test_the_command_line_has_the_suites_and_kinds_of_work():
    assert tuple(SUITES) == command.SUITES
    assert measuring.WORKS == command.WORKS


def test_suites_name_recurrences_and_options_that_exist():
    for name, suite in SUITES.items():
        benchmarks = list(suite())
        assert benchmarks, name
        for benchmark in benchmarks:
            assert len(benchmark.implementations) >= 2
            assert len({c.name for c in benchmark.implementations}) == len(
                benchmark.implementations
            )


def test_command_writes_reports(tmp_path, capsys):
    files = [tmp_path / f"report.{ending}" for ending in ("md", "json", "png")]
    outputs = [argument for file in files for argument in ("--output", str(file))]
    assert main(["bench", "ran", "slim:variant=10", "--shape", "2,3,8,2,0", "--rounds", "2",
                 *outputs]) == 0  # fmt: skip
    printed = capsys.readouterr().out
    assert "### forward, B2 T3 K8 L2" in printed
    assert "### train, B2 T3 K8 L2" in printed
    assert "| slim variant=10 |" in printed
    assert files[0].read_text().strip() == printed.strip()
    data = json.loads(files[1].read_text())
    assert data["conditions"]["threads"] == torch.get_num_threads()
    assert [t["name"] for t in data["races"][0]["timings"]] == [
        "nn.LSTM", "ran", "slim variant=10", "products of ran",
    ]  # fmt: skip
    assert data["races"][0]["timings"][0]["ratio"] == 1.0
    assert files[2].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rann"], "there is no recurrence 'rann'"),
        (["slim:size=3"], "slim:size=3: 'size=3' is no option of slim; write OPTION=VALUE with"),
        (["slim:variant"], "slim:variant: 'variant' is no option of slim"),
        (["ran", "--shape", "1,2"], "must be five whole numbers B,T,K,L,N"),
        (["ran", "--rounds", "0"], "--rounds must be at least 1"),
        (["ran", "--shape", "1,1,2,1,0", "--rounds", "1", "--output", "x.txt"], "ends in .md"),
    ],
)
def test_bad_input(arguments, message, capsys):
    assert main(["bench", *arguments]) == 2
    assert message in capsys.readouterr().err


def big():
    return Implementation(
        "big", lambda s: nn.LSTM(s.input_size, s.hidden, s.layers, batch_first=True)
    )


def test_peak_memory_grows_with_the_work():
    small = peak_memory([big], Shape(4, 50, 64))["big"]
    large = peak_memory([big], Shape(4, 2000, 64))["big"]
    assert large > 3 * max(small, 1_000_000)


def test_conditions_name_the_type_of_numbers():
    assert conditions("cpu", torch.float32)["dtype"] == "float32"
