"""The YAML files of the speech corpora: values of the first release, and overriding them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from gatedrnn.training.recipe_yaml import read_recipe

ROOT = Path(__file__).parents[2]
#: File -> its resolved keys in the first release, one key a line.
RELEASED = json.loads((Path(__file__).parent / "asr_released.json").read_text(encoding="utf-8"))
PLACEHOLDERS = {
    "AN4/ASR/hparams/ctc.yaml": "data_folder",
    "AMI/ASR/hparams/ctc.yaml": "prepared_folder",
    "AMI/ASR/hparams/demo.yaml": "prepared_folder",
    "Manifest/ASR/hparams/ctc.yaml": "train_manifest",
}


def resolved(path: Path, overrides: str) -> dict:
    """Keys of a YAML file, references resolved, nothing constructed."""
    return YAML().load(read_recipe(path, overrides).resolved())


def differences(released, now, where=""):
    """Paths of the released keys whose value is another one."""
    if isinstance(released, dict):
        if "list" in released:  # a tuple
            return differences(released["list"], now, where)
        keys = [key for key in released if key != "!"]
        if not isinstance(now, dict):
            return [where]
        return [d for k in keys for d in differences(released[k], now.get(k), f"{where}/{k}")]
    if isinstance(released, list):
        if len(released) != len(now):
            return [where]
        pairs = enumerate(zip(released, now, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{where}/{i}")]
    return [] if released == now else [f"{where}: {released!r} -> {now!r}"]


@pytest.mark.parametrize("file", RELEASED)
def test_values_are_those_of_the_first_release(file):
    key = PLACEHOLDERS.get(file)
    keys = resolved(ROOT / "recipes" / file, f"{key}: DATA\n" if key else "")
    assert differences(RELEASED[file], keys) == []


def test_the_comparison_finds_a_difference():
    assert differences({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}) == ["/a/b/1: 2 -> 3"]
    assert differences({"a": 1}, {}) == ["/a: 1 -> None"]


def test_options_of_the_command_line_are_added_to_those_of_the_corpus():
    path = ROOT / "recipes" / "AN4" / "ASR" / "hparams" / "ctc.yaml"
    keys = resolved(path, "data_folder: DATA\nnetwork_options: {variant: 5g}\n")
    assert keys["network_options"] == {"init_range": 0.12, "variant": "5g"}
    assert keys["model"]["network_options"] == keys["network_options"]


def test_a_missing_data_folder_is_named():
    with pytest.raises(ValueError, match="'data_folder' is a !PLACEHOLDER"):
        resolved(ROOT / "recipes" / "AN4" / "ASR" / "hparams" / "ctc.yaml", "")
