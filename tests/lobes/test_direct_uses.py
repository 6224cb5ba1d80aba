"""Where SpeechBrain calls a recurrent network itself, or handles it as a module."""

from __future__ import annotations

import importlib

import pytest
import torch
from speechbrain.core import Brain, Stage
from speechbrain.inference.VAD import VAD
from speechbrain.lobes.models.MetricGAN import EnhancementGenerator
from speechbrain.nnet.containers import Sequential
from speechbrain.nnet.linear import Linear
from speechbrain.nnet.RNN import rnn_init
from speechbrain.utils.checkpoints import Checkpointer
from torch import nn
from torch.utils.data import DataLoader

from gatedrnn import nnet
from tests.lobes.networks import CASES, IDS, UNPROJECTED, UNPROJECTED_IDS, lively, same, swappable

NAMESPACE = importlib.import_module("speechbrain.nnet.RNN")


class FirstOf(nn.Module):
    """The features, whatever the lengths."""

    def forward(self, x, lengths):
        return x


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_voice_activity_detection(case):
    """``outputs, h = rnn(x)`` behind a network with channels, as in SpeechBrain's VAD."""
    rnn = swappable(case)(4, input_size=6, bidirectional=True, num_layers=2)
    modules = {
        "compute_features": nn.Unflatten(1, (5, 6)),
        "mean_var_norm": FirstOf(),
        "cnn": nn.Unflatten(2, (3, 2)),
        "rnn": rnn,
        "dnn": Linear(input_size=rnn.output_size, n_neurons=1),
    }
    hparams = {"sample_rate": 16000, "time_resolution": 0.01, "device": "cpu"}
    detector = VAD(modules=modules, hparams=hparams, run_opts={"device": "cpu"})
    waves = torch.randn(2, 30)
    result = detector.get_speech_prob_chunk(waves)
    output, _ = rnn(waves.reshape(2, 5, 6))
    assert torch.equal(result, torch.sigmoid(modules["dnn"](output)))


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_enhancement_mask_network(case):
    """The BLSTM mask estimator of the enhancement recipes: recurrence, linear, ReLU."""
    model = Sequential(input_shape=[1, 4, 6])
    model.append(
        swappable(case), hidden_size=4, num_layers=2, bidirectional=True, layer_name="lstm"
    )
    model.append(Linear, n_neurons=6, layer_name="linear")
    model.append(nn.ReLU(), layer_name="mask")
    lively(model)
    x = torch.randn(2, 5, 6).double()
    same(model(x), torch.relu(model.linear(model.lstm(x)[0])))


@pytest.mark.parametrize("case", UNPROJECTED, ids=UNPROJECTED_IDS)
def test_metricgans_initialisation_finds_our_parameters(case, monkeypatch):
    """SpeechBrain's generator names no class to swap, but initialises by parameter names."""
    monkeypatch.setattr(NAMESPACE, "LSTM", swappable(case))
    generator = EnhancementGenerator(input_size=257, hidden_size=200, num_layers=1)
    net = generator.blstm
    assert isinstance(net, nnet.CLASSES[case[0]])
    seen = set()
    for name, parameter in net.named_parameters():
        if "bias" in name:
            assert not parameter.any()
            seen.add("bias")
        elif "weight_ih" in name:
            rows, columns = parameter.shape
            assert parameter.abs().max() <= (6.0 / (rows + columns)) ** 0.5
            seen.add("input")
        elif "weight_hh" in name:
            identity = torch.eye(parameter.shape[1])
            torch.testing.assert_close(parameter.T @ parameter, identity, rtol=0, atol=1e-4)
            seen.add("recurrent")
    elementwise = case[1].get("variant") == "10"
    assert seen == {"bias", "input"} | (set() if elementwise else {"recurrent"})
    x = torch.rand(1, 3, 257)
    assert generator(x, lengths=torch.ones(1)).shape == (1, 3, 257)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_rnn_init_makes_our_recurrent_matrices_orthogonal(case):
    net = swappable(case)(4, input_size=6, num_layers=2, bidirectional=True, re_init=False)
    before = {name: p.clone() for name, p in net.named_parameters()}
    rnn_init(net)
    for name, parameter in net.named_parameters():
        if "weight_hh" in name:
            gram = parameter.T @ parameter
            torch.testing.assert_close(gram, torch.eye(len(gram)), rtol=0, atol=1e-5)
        else:
            assert torch.equal(parameter, before[name])


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_checkpointer_saves_and_restores(case, tmp_path):
    net = swappable(case)(4, input_size=6, num_layers=3, bidirectional=True)
    saved = {name: value.clone() for name, value in net.state_dict().items()}
    checkpointer = Checkpointer(tmp_path, recoverables={"net": net})
    checkpointer.save_checkpoint(meta={"loss": 1.0})
    x = torch.randn(2, 5, 6)
    net.eval()
    expected, expected_state = net(x)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1.0)
    assert not torch.equal(net(x)[0], expected)
    other = swappable(case)(4, input_size=6, num_layers=3, bidirectional=True).eval()
    for recovered in (net, other):
        fresh = Checkpointer(tmp_path, recoverables={"net": recovered})
        assert fresh.recover_if_possible() is not None
        assert recovered.state_dict().keys() == saved.keys()
        for name, value in saved.items():
            assert torch.equal(recovered.state_dict()[name], value)
        output, state = recovered(x)
        assert torch.equal(output, expected)
        assert torch.equal(state[1], expected_state[1])
    assert saved.keys() == dict(net.named_parameters()).keys()  # weights, and nothing else


class Regression(Brain):
    """A Brain of one network."""

    def compute_forward(self, batch, stage):
        x, lengths, _ = batch
        return self.modules.head(self.modules.net(x, lengths=lengths)[0])

    def compute_objectives(self, predictions, batch, stage):
        return (predictions - batch[2]).square().mean()


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_brain_trains_it(case):
    torch.manual_seed(0)
    net = swappable(case)(8, input_size=6, num_layers=2)
    modules = {"net": net, "head": Linear(input_size=net.output_size, n_neurons=1)}
    brain = Regression(
        modules,
        opt_class=lambda parameters: torch.optim.Adam(parameters, lr=0.03, weight_decay=1e-4),
        run_opts={"device": "cpu", "remove_vector_weight_decay": True, "noprogressbar": True},
    )
    x = torch.randn(4, 5, 6)
    batch = (x, torch.tensor([1.0, 0.8, 0.6, 1.0]), x[:, :, :1].sin())
    before = brain.evaluate_batch(batch, Stage.VALID)
    brain.fit(range(1), train_set=DataLoader([batch] * 15, batch_size=None))
    vectors = brain.optimizer.param_groups[0]
    assert vectors["weight_decay"] == 0.0
    held = {id(p) for p in vectors["params"]}
    for name, parameter in net.named_parameters():
        assert (id(parameter) in held) == name.endswith((".bias", ".diagonal"))
    assert brain.evaluate_batch(batch, Stage.VALID) < 0.7 * before
