"""register(), and SBRNNBlock, which looks recurrences up by name."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.lobes.models import dual_path, resepformer

import gatedrnn
from gatedrnn.nnet import CLASSES
from tests.lobes.networks import lively, same

NAMESPACE = importlib.import_module("speechbrain.nnet.RNN")
STACKS = [name for name in CLASSES if not name.endswith("Cell")]


@pytest.fixture(autouse=True)
def clean_namespace():
    """SpeechBrain's module as it was, before and after."""
    before = {n: v for n, v in vars(NAMESPACE).items() if n not in CLASSES}
    vars(NAMESPACE).clear()
    vars(NAMESPACE).update(before)
    yield
    vars(NAMESPACE).clear()
    vars(NAMESPACE).update(before)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", STACKS)
def test_sbrnnblock_of_both_models_runs_every_class(name, bidirectional):
    with pytest.raises(AttributeError, match=name):
        dual_path.SBRNNBlock(6, 4, 2, rnn_type=name)
    gatedrnn.register()
    x = torch.randn(2, 5, 6).double()
    dual = lively(dual_path.SBRNNBlock(6, 4, 2, rnn_type=name, bidirectional=bidirectional))
    assert type(dual.mdl) is CLASSES[name] and dual.mdl.bidirectional is bidirectional
    same(dual(x), dual.mdl(x)[0])
    re = lively(resepformer.SBRNNBlock(6, 4, 2, 3, rnn_type=name, bidirectional=bidirectional))
    assert type(re.mdl) is CLASSES[name]
    same(re(x), re.out(re.mdl(x)[0]))


def test_it_can_be_repeated_and_changes_nothing_of_speechbrains():
    own = dict(vars(NAMESPACE))
    gatedrnn.register()
    gatedrnn.register()
    assert {n: vars(NAMESPACE)[n] for n in own} == own
    assert {n: vars(NAMESPACE)[n] for n in CLASSES} == CLASSES


def test_a_class_of_ones_own():
    class Mine(CLASSES["RAN"]):
        pass

    gatedrnn.register(Mine)
    assert type(dual_path.SBRNNBlock(6, 4, 1, rnn_type="Mine").mdl) is Mine


@pytest.mark.parametrize("taken", ["LSTM", "rnn_init", "RAN"])
def test_nothing_is_overwritten(taken):
    mine = type(taken, (CLASSES["LSTMP"],), {})
    own = dict(vars(NAMESPACE))
    with pytest.raises(ValueError, match=f"another {taken} already .*give .* another name"):
        gatedrnn.register(mine)
    assert dict(vars(NAMESPACE)) == own


def test_a_name_taken_by_another_plug_in_is_not_overwritten():
    NAMESPACE.RAN = other = object()
    with pytest.raises(ValueError, match="another RAN already"):
        gatedrnn.register()
    assert NAMESPACE.RAN is other and not hasattr(NAMESPACE, "LSTMP")


def test_from_yaml():
    hparams = load_hyperpyyaml("""
__register: !apply:gatedrnn.register
block: !new:speechbrain.lobes.models.dual_path.SBRNNBlock
    input_size: 6
    hidden_channels: 4
    num_layers: 1
    rnn_type: G2LSTM
""")
    assert type(hparams["block"].mdl) is CLASSES["G2LSTM"]


def test_importing_the_package_imports_no_speechbrain():
    code = "import gatedrnn, sys; print('speechbrain' in sys.modules, 'torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.split() == ["False", "False"], result.stderr


def test_unknown_attributes_of_the_package_are_still_errors():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = gatedrnn.nothing
