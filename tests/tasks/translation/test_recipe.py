"""The recipe as a user runs it, and its YAML."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml

from gatedrnn.experiments.compare.specification import read_table
from gatedrnn.tasks.translation.model import make_translator
from gatedrnn.training.recipe_yaml import read_recipe
from tests.tasks.asr.tiny import run_script

RECIPE = Path(__file__).parents[3] / "recipes" / "MT"
HPARAMS = RECIPE / "hparams"
SETUPS = sorted(path.stem for path in (HPARAMS / "setups").glob("*.yaml"))
CORPORA = sorted(path.stem for path in HPARAMS.glob("*.yaml") if path.stem != "translation")


def test_two_processes(tmp_path):
    pytest.importorskip("sacrebleu")
    script = [
        RECIPE / "train.py", HPARAMS / "demo.yaml", "--device=cpu", "--noprogressbar",
        f"--data_folder={tmp_path / 'data'}", f"--output_folder={tmp_path / 'out'}",
        "--simulated={train: 24, valid: 4, test: 4}", "--number_of_epochs=1", "--hidden_size=8",
        "--network=gru", "--batch_size=4",
    ]  # fmt: skip
    for code, said in run_script(tmp_path, *map(str, script)):
        assert code == 0, said
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["sets"]["test"]["sentences"] == 4 and results["steps"] == 3


def load(corpus: str, overrides: str) -> dict:
    """The values of a YAML file, with what is laid on top."""
    return read_recipe(HPARAMS / f"{corpus}.yaml", f"data_folder: nowhere\n{overrides}").load()


@pytest.mark.parametrize("setup", SETUPS)
def test_every_setup_builds(setup):
    result = load("tatoeba", f"setup: {setup}\nhidden_size: 8\nembedding_size: 8\n")
    assert result["epoch_counter"].direction == "max" and result["source"] == "zh"
    with torch.device("meta"):
        translator = make_translator(9, 9, result["encoder"], result["decoder"])
    deep = setup in ("deep", "highway", "residual")
    layers = 10 if deep else 3 if setup == "depth_gated" else 2
    assert translator.decoder.core.stack.num_layers == layers
    assert translator.encoder.stack.num_layers == layers


def test_yaml_of_the_recipe_repeats_nothing():
    """A corpus and a set-up say what differs from the file that they are laid on."""
    base = yaml.compose((HPARAMS / "translation.yaml").read_text())
    known = {key.value for key, _ in base.value} | {"base"}
    for path in [*HPARAMS.glob("*.yaml"), *(HPARAMS / "setups").glob("*.yaml")]:
        assert {key.value for key, _ in yaml.compose(path.read_text()).value} <= known, path
    assert CORPORA == ["demo", "multi30k", "tatoeba"]


def test_the_table_names_what_there_is():
    table = read_table(RECIPE / "tables" / "tatoeba.yaml")
    assert len(table.seeds) == 2 and table.baseline == "LSTM 3"
    known = load("tatoeba", "")
    for network in table.networks:
        assert known.keys() >= {*table.arguments, *network.arguments}, network.name
    depths = {n.arguments["num_layers"] for n in table.networks if "Depth" in n.name}
    assert depths == {3, 5, 10}
