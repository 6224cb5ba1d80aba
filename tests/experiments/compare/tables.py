"""A table whose recipe trains nothing, as files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml

RECIPE = Path(__file__).with_name("stand_in.py")
HPARAMS = {"network": "lstm", "base": 1.0, "lr": 1.0, "best_lr": 1.0, "epochs": 2, "size": 1000}
TABLE = {
    "recipe": "stand_in.py",
    "hparams": "h.yaml",
    "seeds": [1, 2, 3],
    "baseline": "LSTM",
    "measure": {"key": ["test", "error"], "name": "test error"},
    "networks": {
        "LSTM": {"network": "lstm"},
        "RAN tanh": {"network": "ran", "options": {"output": "tanh"}, "best_lr": 2.0},
    },
}
TUNING = {
    "select": {"key": ["dev", "error"], "name": "dev error"},
    "tuning": {"grid": {"lr": [0.5, 1.0, 2.0]}, "arguments": {"epochs": 1}, "seed": 9},
}


def write_table(folder: Path, **changes: Any) -> Path:
    """Writes the table with its recipe; a key that is ``None`` is left out."""
    shutil.copy(RECIPE, folder)
    (folder / "h.yaml").write_text(yaml.safe_dump(HPARAMS))
    table = {k: v for k, v in {**TABLE, **changes}.items() if v is not None}
    path = folder / "table.yaml"
    path.write_text(yaml.safe_dump(table, sort_keys=False))
    return path


def calls(folder: Path) -> list[dict[str, Any]]:
    """How often, and with which arguments, the recipe was run in a folder."""
    path = folder / "calls.txt"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
