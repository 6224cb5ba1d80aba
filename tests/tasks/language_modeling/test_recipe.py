"""The recipe as a user runs it, on a text that stands here."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import torch
import yaml

from gatedrnn.tasks.language_modeling.train import train_lm
from gatedrnn.training.recipe_yaml import read_recipe
from tests.tasks.language_modeling.tiny import lines

RECIPE = Path(__file__).parents[3] / "recipes" / "LM"
HPARAMS = RECIPE / "hparams"
SMALL = [
    "--device=cpu", "--noprogressbar", "--num_layers=2", "--hidden_size=12", "--number_of_epochs=1",
    "--batch_size=3", "--bptt=9", "--valid_streams=2",
]  # fmt: skip


def recipe(name: str, *arguments: str) -> dict:
    """Runs the recipe's script in this process: starting others takes most of the time."""
    namespace = runpy.run_path(str(RECIPE / "train.py"))
    options = {a.split("=")[0]: a for a in (*SMALL, *arguments)}
    return train_lm([str(HPARAMS / f"{name}.yaml"), *options.values()], namespace["read"])


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """The same text in every layout."""
    folder = tmp_path_factory.mktemp("corpora")
    parts = {"train": lines(60, 1), "valid": lines(12, 2), "test": lines(9, 3)}
    for name in ("ptb", "wikitext", "text8", "folder", "ami"):
        (folder / name).mkdir()
    for part, found in parts.items():
        text = "".join(f"{line}\n" for line in found)
        (folder / "ptb" / f"ptb.{part}.txt").write_text(text)
        (folder / "wikitext" / f"wiki.{part}.tokens").write_text(f" \n{text}")
        (folder / "folder" / f"{part}.txt").write_text(text)
        split = {"train": "train", "valid": "dev", "test": "eval"}[part]
        rows = [f"ES2002a.A {i}.0 {i}.5\t{line.upper()}\n" for i, line in enumerate(found)]
        (folder / "ami" / f"{split}.tsv").write_text("".join(rows))
    (folder / "text8" / "text8").write_text(" ".join(sum(parts.values(), [])))
    return folder


@pytest.mark.parametrize(
    ("name", "tests", "options"),
    [
        ("ptb", {"valid", "test"}, ["--setup=ran_medium"]),
        ("ami", {"dev", "eval"}, ["--setup=beta", "--dynamic_lr=0.1"]),
        ("wikitext", {"valid", "test"}, ["--carry_state=False", "--network=ran"]),
        ("text8", {"valid", "test"}, ["--setup=slim", "--eval_window=50"]),
        ("folder", {"valid", "test"}, ["--pieces=25", "--proj_size=8", "--warmup_steps=2"]),
    ],
)  # fmt: skip
def test_every_corpus_trains_and_is_tested(
    tmp_path, corpora, name, tests, options, learning_curves
):
    folder = tmp_path / "out"
    output = [f"--data_folder={corpora / name}", f"--output_folder={folder}"]
    figures = recipe(name, *output, *options)
    results = json.loads((folder / "results.json").read_text())
    assert results["sets"] == figures
    assert set(figures) == tests
    for part, found in figures.items():
        assert 1 < found["perplexity"] < 1e9
        assert found["words"] == found["tokens"] or name in ("text8", "folder")
        rows = (folder / f"words_{part}.tsv").read_text().splitlines()
        assert len(rows) - 1 == found["words"]
    assert ("dynamic perplexity" in figures[part]) == (name == "ami")
    for left in ("train_log.txt", "learning_curve.png", "report.json", "model.json"):
        assert (folder / left).stat().st_size > 0, left
    saved = (folder / "hyperparams.yaml").read_text()
    wanted = {"ptb": "network: ran", "ami": "corpus: ami", "text8": "bptt: 9"}.get(name, "")
    assert any(line.startswith(wanted) for line in saved.splitlines())
    if name == "ptb":
        (folder / "results.json").unlink()
        again = recipe(name, *output, *options, "--test_only")
        assert again == figures


SETUPS = sorted(path.stem for path in (HPARAMS / "setups").glob("*.yaml"))
CORPORA = ("ami", "ptb", "wikitext", "text8", "folder")


def load(corpus: str, overrides: str) -> dict:
    """The values of a YAML file, with what is laid on top."""
    return read_recipe(HPARAMS / f"{corpus}.yaml", f"data_folder: nowhere\n{overrides}").load()


@pytest.mark.parametrize("setup", SETUPS)
def test_every_setup_builds(setup):
    hparams = load("ptb", f"setup: {setup}\nhidden_size: 16\nnum_layers: 2\n")
    assert (hparams["corpus"], hparams["setup"]) == ("ptb", setup)
    scores, _ = hparams["model"](12)(torch.zeros(1, 3, dtype=torch.long))
    assert scores.shape == (1, 3, 12)


@pytest.mark.parametrize("corpus", CORPORA)
def test_a_setup_can_be_laid_on_every_corpus(corpus):
    hparams = load(corpus, "setup: ran_medium_identity")
    names = ("corpus", "network", "lr", "hidden_size", "optimiser", "tied")
    found = [hparams[name] for name in names]
    assert found == [corpus, "ran", 0.8, 650, "sgd", False]


def test_the_medium_network_is_that_of_the_paper():
    hparams = load("ptb", "setup: ran_medium")
    with torch.device("meta"):
        model = hparams["model"](10_000)
    # Two layers of mn + 2 (n (m + n) + n), the embedding and the output layer.
    n = 650
    assert sum(w.numel() for w in model.rnn.parameters()) == 2 * (5 * n * n + 2 * n)
    assert sum(w.numel() for w in model.parameters()) == 2 * (5 * n * n + 2 * n) + 10_000 * (
        2 * n + 1
    )
    names = ("lr", "max_grad_norm", "bptt", "batch_size", "number_of_epochs", "loss_per", "dropout")
    assert [hparams[n] for n in names] == [1.0, 5.0, 35, 20, 39, "stream", 0.5]
    assert (model.drop.embedding, model.drop.layers, model.drop.output) == (0.5, 0.5, 0.5)
    assert hparams["rate_decay"](8, []) == pytest.approx(0.64)
    assert hparams["carry_state"]


def test_a_mistake_is_one_clear_error(tmp_path, corpora):
    data = [f"--data_folder={corpora / 'ptb'}", f"--output_folder={tmp_path}"]
    with pytest.raises(
        FileNotFoundError, match="no such set-up; there are: beta, deep, depth_gated"
    ):
        recipe("ptb", *data, "--setup=rann")
    with pytest.raises(ValueError, match="there is no recurrence 'rann'; there are: lstmp"):
        recipe("ptb", *data, "--network=rann")
    with pytest.raises(FileNotFoundError, match="there is no wiki.train.tokens"):
        recipe("wikitext", *data)
    with pytest.raises(ValueError, match="holds words of an earlier training"):
        recipe("ptb", *data, "--tokens=characters")
    (tmp_path / "own.yaml").write_text("base: nothing.yaml\n")
    with pytest.raises(FileNotFoundError, match=r"nothing\.yaml"):
        read_recipe(tmp_path / "own.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    with pytest.raises(ValueError, match=r"broken\.yaml is not YAML"):
        read_recipe(tmp_path / "broken.yaml")


def test_yaml_of_the_recipe_repeats_nothing():
    """A corpus and a set-up say what differs from the file that they are laid on."""
    base = yaml.compose((HPARAMS / "text.yaml").read_text())
    known = {key.value for key, _ in base.value} | {"base"}
    for path in [*HPARAMS.glob("*.yaml"), *(HPARAMS / "setups").glob("*.yaml")]:
        assert {key.value for key, _ in yaml.compose(path.read_text()).value} <= known, path
