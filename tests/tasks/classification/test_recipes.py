"""The recipes as a user runs them, on digits and sentences that are made here."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest
import torch
import yaml

from gatedrnn.experiments.compare.specification import read_table
from gatedrnn.tasks.classification.train import train_classifier
from gatedrnn.training.recipe_yaml import read_recipe
from tests.tasks.asr.tiny import run_script
from tests.tasks.classification.test_model import SLIM

RECIPES = Path(__file__).parents[3] / "recipes"
IMAGES, SENTENCES = RECIPES / "SequentialImages", RECIPES / "SentenceClassification"
BASES = {IMAGES: "images.yaml", SENTENCES: "sentences.yaml"}
SMALL = ["--device=cpu", "--noprogressbar", "--hidden_size=6", "--number_of_epochs=1"]
DIGITS = ["--simulate={train: 30, test: 10}", "--valid_count=10", "--batch_size=10"]
WORDS = ["--simulate={train: 40, test: 10}", "--embedding_size=5", "--batch_size=20"]


def run(recipe: Path, name: str, folder: Path, *arguments: str) -> dict:
    """Runs a recipe's script in this process: starting others takes most of the time."""
    read = runpy.run_path(str(recipe / "train.py"))["read"]
    own = DIGITS if recipe == IMAGES else WORDS
    places = [f"--data_folder={folder / 'data'}", f"--output_folder={folder / 'out'}"]
    options = {a.split("=")[0]: a for a in (*SMALL, *own, *places, *arguments)}
    return train_classifier([str(recipe / "hparams" / f"{name}.yaml"), *options.values()], read)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mnist", ["--setup=slim", "--network_options={variant: 3}"]),
        ("fashion_mnist", ["--setup=beta", "--permutation=1"]),
        ("cifar10", ["--setup=slim_keras"]),
    ],
)
def test_every_set_of_images_trains_and_is_tested(tmp_path, name, options):
    metrics = run(IMAGES, name, tmp_path, *options)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["sets"] == metrics
    assert set(metrics) == {"valid", "test"}
    assert (metrics["valid"]["sequences"], metrics["test"]["sequences"]) == (10, 10)
    for left in ("report.json", "train_log.txt", "confusion_test.tsv", "predictions_valid.tsv"):
        assert (tmp_path / "out" / left).stat().st_size > 0, left
    if name == "mnist":
        (tmp_path / "out" / "results.json").unlink()
        assert run(IMAGES, name, tmp_path, *options, "--test_only") == metrics


def test_pixels_are_read_one_by_one(tmp_path):
    run(IMAGES, "mnist", tmp_path, "--order=pixels", "--network=ran", "--hidden_size=2")
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    # mn + 2 (n (m + n) + n), and the output layer.
    assert results["parameters of the recurrence"] == 2 + 2 * (2 * 3 + 2)
    assert results["parameters"] == 2 + 2 * (2 * 3 + 2) + 30


def test_the_recipe_prints_the_papers_parameters(tmp_path, capsys):
    found = run(IMAGES, "mnist", tmp_path, "--count_only=True", "--hidden_size=100")
    printed = capsys.readouterr().out
    assert "28 -> 100 -> 10" in printed
    for variant, total in SLIM.items():
        counts = found[f"slim variant={variant}"]
        assert counts["parameters without embedding"] == total
        assert re.search(rf"^slim variant={variant} +{total} +{total - 1010}$", printed, re.M)
    assert not (tmp_path / "out" / "save").exists()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sst2", ["--setup=beta"]),
        ("sst5", ["--setup=g2", "--tokens=characters", "--parameter_budget=3000"]),
        ("trec", ["--setup=slim", "--bidirectional=False", "--pooling=last"]),
    ],
)
def test_every_set_of_sentences_with_parts_trains(tmp_path, name, options):
    metrics = run(SENTENCES, name, tmp_path, *options)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["sets"] == metrics
    assert results["parameters"] > results["parameters without embedding"]
    if name == "sst5":
        assert 2500 < results["parameters without embedding"] <= 3000


def test_folds_are_trainings_of_their_own(tmp_path):
    options = ["--folds=2", "--hidden_size=4"]
    metrics = run(SENTENCES, "mr", tmp_path, *options)
    whole = json.loads((tmp_path / "out" / "results.json").read_text())
    folds = [
        json.loads((tmp_path / "out" / f"fold-{n}" / "results.json").read_text()) for n in (1, 2)
    ]
    assert [fold["seed"] for fold in folds] == [1001, 1002]
    accuracies = torch.tensor([fold["sets"]["test"]["accuracy"] for fold in folds])
    assert metrics == whole["sets"]
    assert metrics["test"]["accuracy"] == pytest.approx(float(accuracies.mean()))
    assert metrics["test"]["accuracy deviation"] == pytest.approx(float(accuracies.std()))
    assert metrics["test"]["sequences"] == 40
    assert whole["steps"] == sum(fold["steps"] for fold in folds)
    assert whole["folds"][1]["test"] == folds[1]["sets"]["test"]["accuracy"]
    # The same command finds what is there; one that was lost is trained as it was.
    kept = (tmp_path / "out" / "fold-2" / "results.json").read_text()
    for path in sorted((tmp_path / "out" / "fold-2").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert run(SENTENCES, "mr", tmp_path, *options) == metrics
    again = json.loads((tmp_path / "out" / "fold-2" / "results.json").read_text())
    assert again["sets"] == json.loads(kept)["sets"]


def test_two_processes(tmp_path):
    script = [
        SENTENCES / "train.py", SENTENCES / "hparams" / "demo.yaml", *SMALL, *WORDS,
        f"--data_folder={tmp_path / 'data'}", f"--output_folder={tmp_path / 'out'}",
    ]  # fmt: skip
    for code, output in run_script(tmp_path, *map(str, script)):
        assert code == 0, output
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["sets"]["test"]["sequences"] == 10


# ---- YAML -----------------------------------------------------------------------------------

SETUPS = {
    recipe: {path.stem: path for path in (recipe / "hparams" / "setups").glob("*.yaml")}
    for recipe in BASES
}
#: What both have is the same (tested below), and is built once.
BUILT = [
    (recipe, setup)
    for recipe in BASES
    for setup in sorted(SETUPS[recipe])
    if recipe == IMAGES or setup not in SETUPS[IMAGES] or setup == "slim"
]


@pytest.mark.parametrize(("recipe", "setup"), BUILT, ids=lambda v: getattr(v, "name", v))
def test_every_setup_builds(recipe, setup):
    name = "mnist" if recipe == IMAGES else "mr"
    given = f"data_folder: nowhere\nsetup: {setup}\n"
    hparams = read_recipe(recipe / "hparams" / f"{name}.yaml", given).load()
    with torch.device("meta"):
        model = hparams["model"](3, 28, hidden_size=8, num_layers=1)
    assert model.linear.weight.shape == (3, model.rnn.output_size)


def test_setups_of_both_recipes_are_the_same():
    common = SETUPS[IMAGES].keys() & SETUPS[SENTENCES].keys() - {"slim"}
    assert {"lstm", "beta", "g2", "ran"} <= common
    for name in common:
        assert SETUPS[IMAGES][name].read_text() == SETUPS[SENTENCES][name].read_text()


@pytest.mark.parametrize("recipe", BASES, ids=lambda r: r.name)
def test_yaml_of_the_recipe_repeats_nothing(recipe):
    """A set and a set-up say what differs from the file that they are laid on."""
    folder = recipe / "hparams"
    base = yaml.compose((folder / BASES[recipe]).read_text())
    known = {key.value for key, _ in base.value} | {"base"}
    for path in [*folder.glob("*.yaml"), *(folder / "setups").glob("*.yaml")]:
        assert {key.value for key, _ in yaml.compose(path.read_text()).value} <= known, path


def test_tables_can_be_read():
    for recipe in (IMAGES, SENTENCES):
        for path in (recipe / "tables").glob("*.yaml"):
            table = read_table(path)
            base = yaml.compose((recipe / "hparams" / BASES[recipe]).read_text())
            known = {key.value for key, _ in base.value}
            for part in (*table.networks, *table.data):
                assert {*table.arguments, *part.arguments} <= known, path


def test_a_mistake_is_one_clear_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such set-up; there are: beta, coupled"):
        run(IMAGES, "mnist", tmp_path, "--setup=lstmm")
    with pytest.raises(ValueError, match="order must be rows or pixels"):
        run(IMAGES, "mnist", tmp_path, "--order=spiral")
    with pytest.raises(ValueError, match="train: 30 of 30 cannot be held out"):
        run(IMAGES, "mnist", tmp_path, "--valid_count=30")
    with pytest.raises(ValueError, match="permutation must be a whole number, .* not True"):
        run(IMAGES, "mnist", tmp_path, "--permutation=True")
    with pytest.raises(ValueError, match=r"yaml has no key 'hiden_size'; is it hidden_size"):
        run(IMAGES, "mnist", tmp_path, "--hiden_size=4")


def test_a_training_is_not_gone_on_with_under_another_name(tmp_path):
    results = run(IMAGES, "mnist", tmp_path, "--number_of_epochs=1")
    left = {p: p.read_bytes() for p in tmp_path.rglob("*.*") if p.is_file() and p.name != "log.txt"}
    for option, was in (
        ("--permutation=1", "permutation None, not 1"),
        ("--hidden_size=99", "hidden_size"),
        ("--network=ran", "network 'slim', not 'ran'"),
        ("--seed=2", "seed 1, not 2"),
    ):
        with pytest.raises(ValueError, match=f"was trained with {was}"):
            run(IMAGES, "mnist", tmp_path, "--number_of_epochs=1", option)
    assert {p: p.read_bytes() for p in left} == left
    # What may change: how long it trains, and how fast.
    again = run(IMAGES, "mnist", tmp_path, "--number_of_epochs=1", "--lr=0.5", "--test_only")
    assert again == results
