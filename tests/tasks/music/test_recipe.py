"""The recipe as a user runs it, on synthetic chords."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import torch
import yaml

from gatedrnn.experiments.compare.specification import read_table
from gatedrnn.modules.network_options import parameters
from gatedrnn.tasks.music.gates import plot_gates
from gatedrnn.tasks.music.train import train_music
from gatedrnn.training.recipe_yaml import read_recipe
from tests.tasks.asr.tiny import run_script
from tests.tasks.music.tiny import write_corpus

RECIPE = Path(__file__).parents[3] / "recipes" / "PolyphonicMusic"
HPARAMS = RECIPE / "hparams"
SMALL = ["--device=cpu", "--noprogressbar", "--hidden_size=6", "--number_of_epochs=2"]
SETUPS = sorted(path.stem for path in (HPARAMS / "setups").glob("*.yaml"))


def recipe(*arguments: str) -> dict:
    """Runs the recipe's script in this process: starting others takes most of the time."""
    namespace = runpy.run_path(str(RECIPE / "train.py"))
    options = {a.split("=")[0]: a for a in (*SMALL, *arguments)}
    return train_music([str(HPARAMS / "folder.yaml"), *options.values()], namespace["read"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two trainings, with their first epochs kept."""
    folder = tmp_path_factory.mktemp("music")
    data = f"--data_folder={write_corpus(folder / 'data')}"
    found = {
        setup: recipe(data, f"--setup={setup}", f"--output_folder={folder / setup}",
                      "--keep_epochs=[1]")
        for setup in ("lstm", "beta_5g_prior")
    }  # fmt: skip
    return folder, found


def test_it_trains_and_is_tested(trained):
    folder, found = trained
    for setup, metrics in found.items():
        results = json.loads((folder / setup / "results.json").read_text())
        assert results["sets"] == metrics
        assert 0 < metrics["test"]["NLL"] < 88
        assert results["epochs"] == 2
        assert results["train cpu seconds"] > 0
        for left in ("train_log.txt", "learning_curve.png", "report.json", "pieces_test.tsv"):
            assert (folder / setup / left).stat().st_size > 0, left
    assert "BetaLSTM" in results["model"]
    assert "prior_weight=0.001" in results["model"]


def test_the_demo_needs_no_data(tmp_path):
    options = [f"--data_folder={tmp_path / 'data'}", f"--output_folder={tmp_path / 'out'}"]
    options += ["--simulated={train: 4, valid: 2, test: 3}", *SMALL]
    read = runpy.run_path(str(RECIPE / "train.py"))["read"]
    metrics = train_music([str(HPARAMS / "demo.yaml"), *options], read)
    assert metrics["test"]["pieces"] == 3 and (tmp_path / "data" / "music.json").is_file()
    other = [option.replace("train: 4", "train: 5") for option in options]
    (tmp_path / "data" / ".simulated.json").unlink()
    with pytest.raises(ValueError, match="data holds files that were not simulated"):
        train_music([str(HPARAMS / "demo.yaml"), *other], read)


def contents(folder: Path) -> dict[Path, bytes]:
    """All files, but for the log that the training of this process still writes to."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "log.txt"]
    return {path: path.read_bytes() for path in files}


def test_gates_are_plotted_by_one_command(trained, tmp_path, capsys):
    folder, found = trained
    read = runpy.run_path(str(RECIPE / "train.py"))["read"]
    runs = [str(folder / setup) for setup in found]
    before = contents(folder)
    assert plot_gates([*runs, "--output", str(tmp_path / "gates")], read) == 0
    assert contents(folder) == before
    written = json.loads((tmp_path / "gates" / "gates.json").read_text())
    assert list(written) == list(found)
    for setup, training in written.items():
        assert [point["epoch"] for point in training] == [0, 1, 2]
        modes = {"evaluation"} if setup == "lstm" else {"evaluation", "training"}
        assert {layer["mode"] for point in training for layer in point["layers"]} == modes
        gate = training[-1]["layers"][0]["gates"]["f"]
        assert gate["slope"]["max"] <= 0.25 or setup != "lstm"
        assert gate["gradient"]["mean"] > 0
    # Each epoch's metrics are of its own weights.
    assert written["lstm"][0] != written["lstm"][1] != written["lstm"][2]
    names = ("histograms", "correlations", "gradients")
    assert all((tmp_path / "gates" / f"gate_{n}.png").stat().st_size > 10_000 for n in names)
    capsys.readouterr()
    for wrong, message in (
        ([str(tmp_path)], "must be the output folder of a training"),
        ([runs[0], runs[0]], "2 runs need as many different --names"),
        ([runs[0], "--batches", "0"], "--batches must be at least 1"),
    ):
        assert plot_gates([*wrong, "--output", str(tmp_path / "no")], read) == 2
        assert message in capsys.readouterr().err


def test_two_processes(tmp_path):
    data = write_corpus(tmp_path / "data")
    command = [
        str(RECIPE / "train.py"), str(HPARAMS / "folder.yaml"), f"--data_folder={data}",
        f"--output_folder={tmp_path / 'out'}", *SMALL, "--setup=g2",
    ]  # fmt: skip
    for code, output in run_script(tmp_path, *command):
        assert code == 0, output
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    # Twelve pieces, two at a time, twice.
    assert results["steps"] == 12
    assert results["sets"]["test"]["pieces"] == 4


def load(overrides: str) -> dict:
    """The values of a YAML file, with what is laid on top."""
    return read_recipe(HPARAMS / "jsb.yaml", f"data_folder: nowhere\n{overrides}").load()


@pytest.mark.parametrize("setup", SETUPS)
def test_every_setup_is_as_large_as_the_lstm(setup):
    hparams = load(f"setup: {setup}")
    assert (hparams["corpus"], hparams["setup"]) == ("jsb", setup)
    if hparams["parameter_budget"] is None:
        with torch.device("meta"):
            assert 0.99 * 569_688 < parameters(hparams["model"](88)) <= 569_688
    else:
        assert hparams["parameter_budget"] == 569_688


def test_the_training_is_that_of_the_authors():
    hparams = load("setup: beta_5g")
    names = ("lr", "optimiser", "batch_size", "number_of_epochs", "loss_per", "num_layers",
             "dropout", "dropout_locked", "first_frame", "max_grad_norm")  # fmt: skip
    found = [hparams[name] for name in names]
    assert found == [0.002, "adam", 1, 100, "piece", 2, 0.2, True, False, float("inf")]
    assert hparams["rate_decay"](11, [9.0] * 10 + [9.5]) == pytest.approx(1 / 1.2)


@pytest.mark.parametrize("name", ["jsb", "nottingham"])
def test_tables_can_be_read(name):
    table = read_table(RECIPE / "tables" / f"{name}.yaml")
    assert len(table.networks) == 9
    assert (table.seeds, table.baseline) == ((1, 2, 3), "LSTM")
    for part in table.networks:
        changes = {**table.arguments, **part.arguments}
        assert load(yaml.safe_dump(changes))["parameter_budget"] == 569_688


def test_a_mistake_is_one_clear_error(tmp_path):
    data = [f"--data_folder={tmp_path}", f"--output_folder={tmp_path / 'out'}"]
    with pytest.raises(FileNotFoundError, match="no such set-up; there are: beta, beta_3g"):
        recipe(*data, "--setup=betta")
    with pytest.raises(FileNotFoundError, match=r"there is no music.json or music.mat"):
        recipe(*data)


def test_yaml_of_the_recipe_repeats_nothing():
    """A corpus and a set-up say what differs from the file that they are laid on."""
    base = yaml.compose((HPARAMS / "music.yaml").read_text())
    known = {key.value for key, _ in base.value} | {"base"}
    for path in [*HPARAMS.glob("*.yaml"), *(HPARAMS / "setups").glob("*.yaml")]:
        assert {key.value for key, _ in yaml.compose(path.read_text()).value} <= known, path
