"""A table of real trainings: the recipe for language models, at its smallest."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import yaml

from gatedrnn.cli.main import main
from tests.tasks.language_modeling.tiny import lines

RECIPE = Path(__file__).parents[3] / "recipes" / "LM"


def test_language_models_at_equal_parameters(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for seed, part in enumerate(("train", "valid", "test"), 1):
        (data / f"ptb.{part}.txt").write_text("".join(f"{s}\n" for s in lines(60 // seed, seed)))
    table = {
        "recipe": str(RECIPE / "train.py"),
        "hparams": str(RECIPE / "hparams" / "ptb.yaml"),
        "arguments": {  # parameters: the earlier name of parameter_budget, which is still read
            "parameters": 4000, "num_layers": 1, "number_of_epochs": 2, "batch_size": 3, "bptt": 9,
            "valid_streams": 2, "cutoffs": None,
        },
        "command_line": ["--device=cpu", "--noprogressbar"],
        "seeds": [3],
        "baseline": "LSTM",
        "measure": {"key": ["test", "perplexity"], "name": "test perplexity"},
        "networks": {
            "LSTM": {"network": "lstmp", "network_options": {"peephole": False}},
            "RAN": {"network": "ran", "network_options": {"output": "identity"}},
        },
    }  # fmt: skip
    path, out = tmp_path / "table.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(table, sort_keys=False))
    assert main(["compare", str(path), "--output", str(out), "--", f"--data_folder={data}"]) == 0
    with open(out / "table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["network"] for row in rows] == ["LSTM", "RAN"]
    for row in rows:
        folder = out / "ptb" / row["network"] / "seed-3"
        results = json.loads((folder / "results.json").read_text())
        assert float(row["value"]) == results["sets"]["test"]["perplexity"]
        assert 3500 < int(row["parameters"]) <= 4000
        assert int(row["steps"]) == results["steps"] > 0
        assert float(row["train cpu seconds"]) > 0
    assert (out / "curves.png").exists()
    model = json.loads((out / "ptb/RAN/seed-3/model.json").read_text())["model"]["model"]
    assert model["network_options"] == {"output": "identity"}
