"""SpeechBrain's Sequential and LengthsCapableSequential, and HyperPyYAML."""

from __future__ import annotations

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.nnet.containers import LengthsCapableSequential, Sequential
from speechbrain.nnet.linear import Linear

from gatedrnn import nnet
from gatedrnn.lobes.recurrence import build
from tests.lobes.networks import CASES, IDS, lively, padded, same, swappable


@pytest.mark.parametrize("case", CASES, ids=IDS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_sequential_infers_the_width_behind_us(case, bidirectional):
    model = Sequential(input_shape=[1, 4, 6])
    model.append(
        swappable(case), hidden_size=4, num_layers=2, bidirectional=bidirectional, layer_name="rnn"
    )
    model.append(Linear, n_neurons=7, layer_name="linear")
    lively(model)
    assert model.rnn.input_size == 6
    width = (2 if bidirectional else 1) * case[1].get("proj_size", 4)
    assert model.linear.w.in_features == model.rnn.output_size == width
    x = torch.randn(2, 5, 6).double()
    same(model(x), model.linear(model.rnn(x)[0]))


def test_the_dummy_forward_of_shape_inference_leaves_no_trace():
    torch.manual_seed(3)
    alone = nnet.LSTMP(4, input_size=6, num_layers=2)
    torch.manual_seed(3)
    model = Sequential(input_shape=[None, None, 6])
    model.append(nnet.LSTMP, hidden_size=4, num_layers=2, layer_name="rnn")
    state = torch.get_rng_state()
    assert model.get_output_shape() == (1, 256, 4)
    assert torch.equal(torch.get_rng_state(), state)
    for name, weight in alone.state_dict().items():
        assert torch.equal(model.rnn.state_dict()[name], weight)


def test_four_dimensional_input_is_flattened():
    model = Sequential(input_shape=[None, None, 3, 2])
    model.append(nnet.RAN, hidden_size=4, layer_name="rnn")
    lively(model)
    x = torch.randn(2, 5, 3, 2).double()
    same(model(x), model.rnn(x.reshape(2, 5, 6))[0])


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_lengths_reach_us(case):
    model = LengthsCapableSequential(input_shape=[1, 4, 6])
    model.append(Linear, n_neurons=5)
    model.append(swappable(case), hidden_size=4, num_layers=2, bidirectional=True)
    model.append(Linear, n_neurons=3)
    lively(model)
    utterances = [torch.randn(n, 6).double() for n in (9, 4, 1)]
    batch, lengths = padded(utterances, frames=12)
    together, without = model(batch, lengths), model(batch)
    for i, utterance in enumerate(utterances):
        alone = model(utterance.unsqueeze(0))[0]
        same(together[i, : len(utterance)], alone)
        assert (without[i, : len(utterance)] - alone).abs().max() > 1e-4


YAML = """
partial: !name:gatedrnn.nnet.HighwayLSTM
    proj_size: 3
    drop: 0.1
bare: !name:gatedrnn.nnet.RAN
made: !new:gatedrnn.nnet.ResidualLSTM
    hidden_size: 4
    input_shape: [null, null, 6]
    num_layers: 3
    proj_size: 2
encoder: !new:speechbrain.nnet.containers.LengthsCapableSequential
    input_shape: [null, null, 6]
    rnn: !name:gatedrnn.nnet.BetaLSTM
        hidden_size: 4
        bidirectional: True
        variant: 3g
    linear: !name:speechbrain.nnet.linear.Linear
        n_neurons: 5
"""


def test_yaml_makes_them_by_dotted_path_with_options():
    hparams = load_hyperpyyaml(YAML)
    assert hparams["bare"] is nnet.RAN
    highway = hparams["partial"](8, input_size=6, num_layers=2)
    assert isinstance(highway, nnet.HighwayLSTM)
    assert highway.output_size == 3 and highway.layer(1).cell.drop == 0.1
    assert isinstance(hparams["made"], nnet.ResidualLSTM)
    assert hparams["made"](torch.zeros(1, 2, 6))[1][0].shape == (3, 1, 2)
    encoder = hparams["encoder"]
    assert encoder.rnn.layer(0, reverse=True).cell.variant == "3g"
    assert encoder.takes_lengths == [True, False]
    assert encoder(torch.zeros(2, 4, 6), torch.ones(2)).shape == (2, 4, 5)


def test_yaml_with_a_wrong_option_names_it():
    with pytest.raises(TypeError, match=r"(?s)gatedrnn\.nnet\.RAN.*no option variant"):
        load_hyperpyyaml("x: !new:gatedrnn.nnet.RAN {hidden_size: 2, input_size: 2, variant: 3g}")


def test_options_of_a_recurrence_are_passed_on():
    assert build("Lobe", nnet.LSTMP, 3, {"proj_size": 2}, hidden_size=4).output_size == 2
