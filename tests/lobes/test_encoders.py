"""CRDNN and ESPnetVGG: ours in SpeechBrain's, and the twins that pass lengths on."""

from __future__ import annotations

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.lobes.models.CRDNN import CRDNN as StockCRDNN
from speechbrain.lobes.models.ESPnetVGG import ESPnetVGG as StockESPnetVGG
from speechbrain.nnet.containers import LengthsCapableSequential
from speechbrain.nnet.RNN import GRU, LSTM, LiGRU

from gatedrnn import nnet
from gatedrnn.lobes import CRDNN, ESPnetVGG
from tests.lobes.networks import (
    CASES,
    IDS,
    UNPROJECTED,
    UNPROJECTED_IDS,
    lively,
    padded,
    same,
    swappable,
)

#: A CRDNN that is nothing but recurrence and what acts on single frames.
RECURRENT_ONLY = {
    # Few frames: the encoders infer shapes by running on an input of this shape.
    "input_shape": [1, 4, 6],
    "cnn_blocks": 0,
    "rnn_layers": 2,
    "rnn_neurons": 4,
    "dnn_blocks": 1,
    "dnn_neurons": 5,
}
SMALL_VGG = {"cnn_channels": [2, 3], "rnn_layers": 2, "rnn_neurons": 4, "projection_neurons": 5}


def leak(model, utterances, frames, **kwargs):
    """Largest change of valid frames when an utterance is put into a padded batch."""
    batch, lengths = padded(utterances, frames)
    if kwargs.get("with_lengths"):
        together = model(batch, lengths=lengths)
    else:
        together = model(batch)
    worst = 0.0
    for i, utterance in enumerate(utterances):
        alone = model(utterance.unsqueeze(0))[0]
        worst = max(worst, (together[i, : len(alone)] - alone).abs().max().item())
    return worst


def utterances(*frames, features=6):
    return [torch.randn(n, features).double() for n in frames]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_inside_the_stock_crdnn(case):
    stock = StockCRDNN(rnn_class=swappable(case), **RECURRENT_ONLY)
    lively(stock)
    x = torch.randn(2, 7, 6).double()
    assert stock.RNN.dropout == 0.15 and stock.RNN.bidirectional and stock.RNN.num_layers == 2
    same(stock(x), stock.DNN(stock.RNN(x)[0]))


@pytest.mark.parametrize("case", CASES, ids=IDS)
@pytest.mark.parametrize("use_rnnp", [False, True])
def test_padding_leaks_into_the_stock_crdnn_and_not_into_the_twin(case, use_rnnp):
    options = {"rnn_class": swappable(case), "use_rnnp": use_rnnp, **RECURRENT_ONLY}
    stock, twin = lively(StockCRDNN(**options)), lively(CRDNN(**options))
    twin.load_state_dict(stock.state_dict())
    assert sum(twin.takes_lengths) == (2 if use_rnnp else 1)
    spoken = utterances(8, 3, 1)
    assert leak(twin, spoken, 11, with_lengths=True) < 1e-12
    assert leak(stock, spoken, 11) > 1e-4
    x = torch.randn(2, 7, 6).double()
    same(twin(x), stock(x))


@pytest.mark.parametrize("rnn_class", [LSTM, GRU])
def test_the_twin_takes_stock_classes_too(rnn_class):
    twin = lively(CRDNN(rnn_class=rnn_class, **RECURRENT_ONLY))
    # The stock classes shorten the output where no utterance fills the batch.
    assert leak(twin, utterances(11, 5), 11, with_lengths=True) < 1e-12


def test_lengths_stay_relative_through_time_pooling():
    """Pooling by max sees pairs of frames: with even lengths, nothing of the padding."""
    options = {"time_pooling": True, "time_pooling_size": 2, **RECURRENT_ONLY, "cnn_blocks": 1}
    options |= {"cnn_channels": [2], "cnn_kernelsize": (1, 1), "inter_layer_pooling_size": [2]}
    spoken = utterances(8, 6, 2)
    twin = lively(CRDNN(rnn_class=nnet.ResidualLSTM, **options))
    assert twin(torch.randn(1, 12, 6).double()).shape == (1, 6, 5)
    assert leak(twin, spoken, 12, with_lengths=True) < 1e-12
    stock = lively(StockCRDNN(rnn_class=nnet.ResidualLSTM, **options))
    assert leak(stock, spoken, 12) > 1e-4


@pytest.mark.parametrize("case", UNPROJECTED, ids=UNPROJECTED_IDS)
@pytest.mark.parametrize(
    ("stock_class", "twin_class", "shape", "options"),
    [
        (
            StockCRDNN,
            CRDNN,
            [1, 8, 8],
            {"cnn_channels": [2, 2], "rnn_layers": 2, "rnn_neurons": 4, "dnn_neurons": 5},
        ),
        (StockESPnetVGG, ESPnetVGG, [1, 8, 8], SMALL_VGG),
    ],
    ids=["CRDNN", "ESPnetVGG"],
)
def test_behind_convolutions_the_recurrence_sees_valid_frames_only(
    case, stock_class, twin_class, shape, options
):
    """Convolutions look a few frames into the padding; what is behind them must not."""
    options = {"rnn_class": swappable(case), **options}
    stock = lively(stock_class(input_shape=shape, **options))
    twin = lively(twin_class(input_shape=shape, **options))
    twin.load_state_dict(stock.state_dict())
    seen = []
    twin.RNN.register_forward_hook(lambda _, inputs, result: seen.append((inputs[0], result[0])))
    batch, lengths = padded(utterances(16, 8, features=8), frames=24)
    twin(batch, lengths=lengths)
    into, out = seen[0]
    frames = into.shape[1]
    for i, share in enumerate((16 / 24, 8 / 24)):
        valid = round(frames * share)
        same(out[i, :valid], twin.RNN(into[i : i + 1, :valid])[0][0])
    same(twin(batch), stock(batch))
    assert (twin(batch, lengths=lengths) - stock(batch)).abs().max() > 1e-4


def test_inside_a_lengths_capable_sequential_from_yaml():
    model = load_hyperpyyaml("""
model: !new:speechbrain.nnet.containers.LengthsCapableSequential
    input_shape: [null, null, 6]
    crdnn: !name:gatedrnn.lobes.CRDNN
        cnn_blocks: 0
        rnn_class: !name:gatedrnn.nnet.LSTMP
            proj_size: 3
        rnn_layers: 2
        rnn_neurons: 4
        dnn_blocks: 0
    linear: !name:speechbrain.nnet.linear.Linear
        n_neurons: 5
""")["model"]
    assert isinstance(model, LengthsCapableSequential)
    assert model.linear.w.in_features == 6
    assert leak(lively(model), utterances(8, 3), 11, with_lengths=True) < 1e-12


def test_no_recurrent_layers_need_no_lengths():
    model = CRDNN(**{**RECURRENT_ONLY, "rnn_layers": 0})
    assert model(torch.zeros(2, 4, 6), lengths=torch.ones(2)).shape == (2, 4, 5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: CRDNN(rnn_class=LiGRU, **RECURRENT_ONLY),
        lambda: ESPnetVGG([None, None, 8], rnn_class=LiGRU, **SMALL_VGG),
    ],
    ids=["CRDNN", "ESPnetVGG"],
)
def test_a_class_without_lengths_is_refused(make):
    with pytest.raises(ValueError, match=r"rnn_class LiGRU takes no lengths.*gatedrnn\.nnet"):
        make()
