"""The encoder blocks of ``hparams/encoder``, loaded by HyperPyYAML."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml

from gatedrnn import nnet
from gatedrnn.cells import REGISTRY

FOLDER = Path(__file__).parents[2] / "hparams" / "encoder"
SMALL = {"input_size": 6, "num_layers": 2, "hidden_size": 4, "bidirectional": True}


def load(key, overrides=None):
    with open(FOLDER / f"{key}.yaml") as file:
        return load_hyperpyyaml(file, overrides, overrides_must_match=True)


def test_there_is_a_block_for_every_recurrence_and_no_other():
    assert {path.stem for path in FOLDER.iterdir()} == set(REGISTRY)


@pytest.mark.parametrize("key", REGISTRY)
def test_overrides_of_depth_and_size(key):
    cell = REGISTRY[key]
    overrides = SMALL | ({"proj_size": 3} if cell.has_projection else {})
    block = load(key, overrides)
    encoder = block["encoder"]
    assert type(encoder) is nnet.CLASSES[cell.__name__]
    assert (encoder.num_layers, encoder.bidirectional) == (2, True)
    width = 3 if cell.has_projection else 4
    assert block["output_size"] == encoder.output_size == 2 * width
    output, state = encoder(torch.randn(2, 5, 6), lengths=torch.tensor([1.0, 0.4]))
    assert output.shape == (2, 5, 2 * width)
    states = (state,) if key == "gru" else state
    assert [part.shape for part in states] == [(4, 2, width), (4, 2, 4)][: len(states)]
    assert output[1, 2:].abs().max() == 0 and output[1, :2].abs().min() > 0


@pytest.mark.parametrize("key", REGISTRY)
def test_the_block_states_every_option_at_its_default(key):
    """The values of the block are the defaults of the class."""
    cell = REGISTRY[key]
    sizes = SMALL | ({"proj_size": 3} if cell.has_projection else {})
    block = load(key, sizes)
    options = cell.options()
    # A preset is a combination of other options.
    options.pop("preset", None)
    stated = {name: block[name] for name in options}
    chosen = {"slim": {"variant": "3"}}.get(key, {})
    assert stated == options | chosen
    plain = nnet.CLASSES[cell.__name__](4, input_size=6, **sizes_of(sizes), **chosen)
    for mine, theirs in zip(block["encoder"].layers, plain.layers, strict=True):
        assert mine[0].cell == theirs[0].cell


def sizes_of(sizes):
    return {k: v for k, v in sizes.items() if k not in ("hidden_size", "input_size")}


@pytest.mark.parametrize(
    ("key", "layers", "millions"),
    [
        ("lstmp", 3, 12.41),
        ("lstmp", 10, 45.49),
        ("highway", 10, 50.23),
        ("residual", 3, 12.67),
        ("residual", 10, 45.73),
    ],
)
def test_defaults_are_the_distant_speech_networks(key, layers, millions):
    with torch.device("meta"):
        block = load(key, {} if layers == 10 else {"num_layers": layers})
    count = sum(p.numel() for p in block["encoder"].parameters())
    assert round(count / 1e6, 2) == millions
    assert block["output_size"] == 512


@pytest.mark.parametrize("key", REGISTRY)
def test_defaults_of_all(key):
    with torch.device("meta"):
        block = load(key)
    projected = REGISTRY[key].has_projection
    assert len(block["encoder"].layers) == 10 and block["encoder"].input_size == 80
    assert block["encoder"].hidden_size == 1024 and not block["encoder"].bidirectional
    assert block["output_size"] == (512 if projected else 1024)


def test_a_recipe_includes_two_blocks_and_swaps_one_by_a_line(tmp_path):
    recipe = f"""
depth: 3
plain: !include:{FOLDER}/lstmp.yaml
    num_layers: !ref <depth>
    hidden_size: 8
    proj_size: null
    input_size: 6
rnn: !include:{FOLDER}/residual.yaml
    num_layers: !ref <depth>
    hidden_size: 8
    proj_size: 5
    input_size: !ref <plain[output_size]>
head: !new:speechbrain.nnet.linear.Linear
    input_size: !ref <rnn[output_size]>
    n_neurons: 7
modules:
    below: !ref <plain[encoder]>
    above: !ref <rnn[encoder]>
    head: !ref <head>
"""
    hparams = load_hyperpyyaml(recipe, {"depth": 2})
    modules = hparams["modules"]
    assert modules["below"] is hparams["plain"]["encoder"]
    assert isinstance(modules["below"], nnet.LSTMP)
    assert isinstance(modules["above"], nnet.ResidualLSTM)
    assert (modules["below"].num_layers, modules["above"].num_layers) == (2, 2)
    x = modules["below"](torch.randn(1, 4, 6))[0]
    assert x.shape == (1, 4, 8)
    assert modules["head"](modules["above"](x)[0]).shape == (1, 4, 7)


def test_a_misspelt_override_is_named():
    with pytest.raises(KeyError, match="num_layer"):
        load("ran", {"num_layer": 3})
