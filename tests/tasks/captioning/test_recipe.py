"""The recipe as a user runs it: on simulated items, and on a table and NLVR of a few images."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from gatedrnn.seq2seq.decoder import Decoder
from gatedrnn.tasks.captioning.model import ENCODERS
from gatedrnn.tasks.captioning.train import train_captioner
from gatedrnn.training.recipe_yaml import read_recipe
from tests.tasks.captioning.test_readers import image

RECIPE = Path(__file__).parents[3] / "recipes" / "Captioning"
HPARAMS = RECIPE / "hparams"
SMALL = [
    "--device=cpu", "--noprogressbar", "--hidden_size=12", "--attention_size=8", "--beam_size=2",
    "--embedding_size=8", "--number_of_epochs=1", "--batch_size=3", "--num_layers=2",
]  # fmt: skip
CORPORA = sorted(path.stem for path in HPARAMS.glob("*.yaml") if path.stem != "captions")
SETUPS = sorted(path.stem for path in (HPARAMS / "setups").glob("*.yaml"))


def recipe(name: str, *arguments: str) -> dict:
    """Runs the recipe's script in this process: starting others takes most of the time."""
    namespace = runpy.run_path(str(RECIPE / "train.py"))
    options = {a.split("=")[0]: a for a in (*SMALL, *arguments)}
    return train_captioner([str(HPARAMS / f"{name}.yaml"), *options.values()], namespace["read"])


def test_scenes_need_no_data_and_a_seen_set_is_tested(tmp_path):
    arguments = [
        "--data_folder", "--output_folder", "--corpus_options={train: 6, dev: 2, test: 2, seen: 2}",
        "--setup=self_critical", "--self_critical_from=2", "--number_of_epochs=2",
        "--sampling_most=0.25", "--encoder_options={channels: [4, 4, 4, 4], width: 8}",
    ]  # fmt: skip
    arguments[:2] = [f"--data_folder={tmp_path / 'd'}", f"--output_folder={tmp_path / 'o'}"]
    figures = recipe("scenes", *arguments)
    assert set(figures) == {"dev", "test", "seen"}
    assert figures["seen"]["items"] == 2 and 0 <= figures["seen"]["true"] <= 1
    result = json.loads((tmp_path / "o" / "captions_seen.json").read_text())
    assert [row["image_id"] for row in result] == ["train-000006", "train-000007"]
    assert "train reward" in (tmp_path / "o" / "train_log.txt").read_text()
    assert recipe("scenes", *arguments, "--test_only") == figures


def test_bad_items_of_a_table_are_reported_and_left_out(tmp_path):
    rows = ["image,caption,split"]
    for i in range(6):
        image(tmp_path / f"{i}.png", i)
        split = "train" if i < 4 else "dev"
        rows += [f"{i}.png,a dog number {i},{split}", f"{i}.png,the dog,{split}"]
    cut = (tmp_path / "0.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(cut[: len(cut) // 2])
    image(tmp_path / "mute.png", 3)
    rows += ["none.png,a cat,train", "cut.png,a cat,train", "mute.png,,train", "1.png,.,train"]
    (tmp_path / "mine.csv").write_text("\n".join(rows) + "\n")
    arguments = [
        f"--data_folder={tmp_path / 'mine.csv'}", f"--prepared_folder={tmp_path / 'p'}",
        f"--output_folder={tmp_path / 'o'}", "--more_than=0", "--media={height: 16, width: 16}",
        "--encoder_options={channels: [4], width: 8}", "--setup=late",
    ]  # fmt: skip
    figures = recipe("manifest", *arguments)
    assert set(figures) == {"dev"} and figures["dev"]["items"] == 2
    report = json.loads((tmp_path / "p" / "report.json").read_text())
    faults = {kind: sorted(result["items"]) for kind, result in report["issues"].items()}
    assert faults == {
        "image-missing": ["none.png"],
        "image-truncated": ["cut.png"],
        "references-missing": ["mute.png"],
        "caption-empty": ["1.png", "mute.png"],
    }
    with pytest.raises(ValueError, match="with max_length 16, but it is 9 now"):
        recipe("manifest", *arguments, "--max_length=9")


def test_nlvr_and_features(tmp_path):
    lines = []
    for i in range(12):
        image(tmp_path / "nlvr" / f"dev-{i}-0-0.png", i)
        row = {"identifier": f"{i}-0", "sentence": f"There are {i} boxes.", "label": "true"}
        lines.append(json.dumps(row))
        np.save(tmp_path / f"dev-{i}-0.npy", np.ones((3, 5)))
    (tmp_path / "nlvr" / "dev.jsonl").write_text("\n".join(lines))
    arguments = [
        f"--data_folder={tmp_path / 'nlvr'}", f"--prepared_folder={tmp_path / 'p'}",
        f"--output_folder={tmp_path / 'o'}", f"--features={tmp_path}", "--setup=features",
        "--more_than=0", "--encoder_options={width: 8}", "--network=ran",
    ]  # fmt: skip
    figures = recipe("nlvr", *arguments)
    assert figures["dev"]["items"] >= 1
    (tmp_path / "dev-3-0.npy").unlink()
    recipe("nlvr", *arguments, f"--output_folder={tmp_path / 'q'}")
    report = json.loads((tmp_path / "p" / "report.json").read_text())
    assert list(report["issues"]["features-missing"]["items"]) == ["dev-3-0"]


def load(corpus: str, overrides: str) -> dict:
    """The values of a YAML file, with what is laid on top."""
    return read_recipe(HPARAMS / f"{corpus}.yaml", f"data_folder: nowhere\n{overrides}").load()


@pytest.mark.parametrize("corpus", CORPORA)
def test_every_corpus_has_an_encoder(corpus):
    result = load(corpus, "")
    assert result["encoder"] in ENCODERS and result["epoch_counter"].direction == "max"
    expected = {"audio": ("sounds", "clotho", "audiocaps")}.get(
        ENCODERS[result["encoder"]].media, CORPORA
    )
    assert corpus in expected


@pytest.mark.parametrize("setup", SETUPS)
def test_every_setup_builds(setup):
    result = load("manifest", f"setup: {setup}\nhidden_size: 8\nembedding_size: 8\n")
    if result["encoder"] == "features":
        result["encoder_options"]["input_size"] = 4
    # Nothing is computed.
    with torch.device("meta"):
        encoder = ENCODERS[result["encoder"]](**result["encoder_options"])
        decoder = Decoder(9, encoder.output_size, **result["decoder"])
    deep = setup in ("deep", "highway", "residual")
    assert decoder.core.stack.num_layers == (10 if deep else 2)


def test_yaml_of_the_recipe_repeats_nothing():
    """A corpus and a set-up say what differs from the file that they are laid on."""
    base = yaml.compose((HPARAMS / "captions.yaml").read_text())
    known = {key.value for key, _ in base.value} | {"base"}
    for path in [*HPARAMS.glob("*.yaml"), *(HPARAMS / "setups").glob("*.yaml")]:
        assert {key.value for key, _ in yaml.compose(path.read_text()).value} <= known, path
