"""Parameter counts, row by row, as the papers' sizes give them."""

from __future__ import annotations

import pytest

from gatedrnn import nnet

M, N = 11, 7  # odd sizes, so that no term can stand in for another


def count(net) -> int:
    return sum(p.numel() for p in net.parameters())


LSTM = 4 * (M * N + N * N + N)
GATE = N * N + N
ONE = M * N + N * N + N
ROWS = [
    ("LSTMP", {}, LSTM + 3 * N),
    ("LSTMP", {"peephole": False}, LSTM),
    ("LSTMP", {"proj_size": 5}, 4 * N * (M + 5) + 4 * N + 3 * N + 5 * N),
    ("DepthGatedLSTM", {}, LSTM + 3 * N),
    ("DepthGatedLSTM", {"peephole": "none"}, LSTM),
    ("DepthGatedLSTM", {"peephole": "full"}, LSTM + 3 * N * N),
    ("DepthGatedLSTM", {"preset": "cnn"}, 3 * ONE + 2 * N * N + 2 * M * N + 2 * N),
    ("SlimLSTM", {"variant": "base"}, LSTM),
    ("SlimLSTM", {"variant": "1"}, ONE + 3 * GATE),
    ("SlimLSTM", {"variant": "2"}, ONE + 3 * N * N),
    ("SlimLSTM", {"variant": "3"}, ONE + 3 * N),
    ("SlimLSTM", {"variant": "4"}, ONE + 3 * N),
    ("SlimLSTM", {"variant": "4a"}, ONE + N),
    ("SlimLSTM", {"variant": "5"}, ONE + 6 * N),
    ("SlimLSTM", {"variant": "5a"}, ONE + 2 * N),
    ("SlimLSTM", {"variant": "6"}, ONE),
    ("SlimLSTM", {"variant": "10"}, M * N + N + 4 * N),
    ("SlimLSTM", {"variant": "11"}, M * N + 8 * N),
    ("SlimLSTM", {"variant": "C6"}, M * N + 2 * N),
    ("BetaLSTM", {"variant": "beta"}, 6 * ONE),
    ("BetaLSTM", {"variant": "3g"}, 5 * ONE),
    ("BetaLSTM", {"variant": "5g"}, 7 * ONE),
    ("G2LSTM", {}, LSTM),
    ("CoupledLSTM", {}, 3 * ONE),
    ("RAN", {}, M * N + 2 * (N * (M + N) + N)),
    ("RAN", {"proj_size": 5}, M * N + 2 * (N * (M + 5) + N) + 5 * N + 5),
]


@pytest.mark.parametrize(("name", "options", "expected"), ROWS)
def test_one_layer(name, options, expected):
    assert count(nnet.CLASSES[name](N, input_size=M, **options)) == expected


def test_depth_gate_costs_what_the_papers_say():
    """Highway Km + 3K, depth-gated mn + 3n, for every layer above the first."""
    plain = nnet.LSTMP(N, input_size=M, num_layers=3, proj_size=5)
    highway = nnet.HighwayLSTM(N, input_size=M, num_layers=3, proj_size=5)
    assert count(highway) - count(plain) == 2 * (N * 5 + 3 * N)
    shallow = nnet.DepthGatedLSTM(N, input_size=N, num_layers=1)
    deep = nnet.DepthGatedLSTM(N, input_size=N, num_layers=2)
    assert count(deep) - 2 * count(shallow) == N * N + 3 * N


@pytest.mark.parametrize(
    ("variant", "total"),
    [
        ("base", 52610), ("1", 44210), ("2", 43910), ("3", 14210), ("4", 14210), ("5", 14510),
        ("4a", 14010), ("5a", 14110), ("6", 13910), ("10", 4310), ("11", 4610), ("C6", 4010),
    ],
)  # fmt: skip
def test_slim_row_wise_mnist(variant, total):
    """28 -> 100 -> 10, the classifier included."""
    net = nnet.SlimLSTM(100, input_size=28, variant=variant)
    assert count(net) + 100 * 10 + 10 == total


@pytest.mark.parametrize(
    ("name", "layers", "millions"),
    [
        ("LSTMP", 3, 12.41), ("LSTMP", 5, 21.86), ("LSTMP", 10, 45.49),
        ("HighwayLSTM", 3, 13.46), ("HighwayLSTM", 5, 23.97), ("HighwayLSTM", 10, 50.23),
        ("ResidualLSTM", 3, 12.67), ("ResidualLSTM", 5, 22.11), ("ResidualLSTM", 10, 45.73),
    ],
)  # fmt: skip
def test_distant_speech_stacks(name, layers, millions):
    """80 inputs, K = 1024, N = 512."""
    net = nnet.CLASSES[name](1024, input_size=80, num_layers=layers, proj_size=512, re_init=False)
    assert round(count(net) / 1e6, 2) == millions


def test_residual_is_smaller_than_highway():
    """The abstract's "more than 10 %" smaller layer, at K = 1024, N = 512."""
    sizes = {"input_size": 512, "hidden_size": 1024, "proj_size": 512, "layer_index": 1}
    residual = nnet.ResidualLSTM.cell_class(**sizes).num_parameters()
    highway = nnet.HighwayLSTM.cell_class(**sizes).num_parameters()
    assert round(100 * (1 - residual / highway), 2) == 10.07
