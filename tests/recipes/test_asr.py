"""The YAML files of the speech corpora: values of the first release, and overriding them."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from gatedrnn.tasks.asr.corpora import CORPORA
from gatedrnn.training.recipe_yaml import RENAMED_KEYS, read_recipe
from tests.data.corpora import real_data

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
        pairs = [(k, released[k], now.get(RENAMED_KEYS.get(k, k))) for k in keys]
        return [d for k, old, new in pairs for d in differences(old, new, f"{where}/{k}")]
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


def test_every_file_names_a_known_corpus():
    files = [p for p in ROOT.glob("recipes/*/ASR/hparams/*.yaml") if p.parts[-4] != "ASR"]
    assert {YAML().load(path)["corpus"] for path in files} == set(CORPORA)


def test_a_part_of_librispeech_is_trained_on(tmp_path):
    """The YAML file and the reader are all that the recipe of this corpus has."""
    pack = real_data("librispeech_mini")
    with open(pack / "manifest.tsv", encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file, delimiter="\t"), key=lambda row: float(row["seconds"]))
    few = [row for row in rows if row["split"] == "train"][:6]
    few += [row for row in rows if row["split"] == "dev"][:2]
    (tmp_path / "pack").mkdir()
    with open(tmp_path / "pack" / "manifest.tsv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(few)
    for row in few:
        (audio,) = pack.rglob(f"{row['utt']}.ogg")
        (tmp_path / "pack" / audio.name).symlink_to(audio)
    recipe = ROOT / "recipes" / "LibriSpeech" / "ASR"
    run = subprocess.run(
        [sys.executable, recipe / "train.py", recipe / "hparams" / "mini.yaml", "--device=cpu",
         f"--data_folder={tmp_path / 'pack'}", f"--results_folder={tmp_path}", "--noprogressbar",
         "--num_layers=1", "--hidden_size=8", "--proj_size=4", "--number_of_epochs=1",
         "--pieces=40", "--beam_size=1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    results = json.loads((tmp_path / "residual-1" / "1" / "results.json").read_text())
    assert results["sets"]["dev"]["utterances"] == 2
