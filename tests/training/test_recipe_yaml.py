"""Recipes' YAML: files that build on each other, set-ups, and keys by their earlier names."""

from __future__ import annotations

import pytest

from gatedrnn.training import launch, recipe_yaml
from gatedrnn.training.recipe_yaml import read_recipe


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def recipes(tmp_path):
    """Two folders of recipes: the second builds on the first, which includes a block."""
    write(tmp_path / "blocks" / "sum.yaml", "a: 0\nb: 0\ntotal: !ref <a> + <b>\n")
    block = "block: !include:../blocks/sum.yaml\n    a: !ref <a>\n    b: !ref <b>\n"
    write(tmp_path / "all" / "all.yaml", f"a: 1\nb: 2\nsetup: none\ncorpus: none\n{block}")
    write(tmp_path / "all" / "setups" / "large.yaml", "a: 100\n")
    write(tmp_path / "own" / "some.yaml", "base: ../all/all.yaml\ncorpus: some\na: 10\n")
    write(tmp_path / "own" / "one.yaml", "base: some.yaml\ncorpus: one\nadds: {rows: [1]}\n")
    write(tmp_path / "own" / "setups" / "mine.yaml", "base: deep.yaml\nb: 70\n")
    write(tmp_path / "own" / "setups" / "deep.yaml", "a: 60\nb: 60\n")
    return tmp_path


def total(recipe):
    hparams = recipe.load()
    return hparams["corpus"], hparams["block"]["total"]


def test_files_build_on_each_other_across_folders(recipes):
    assert total(read_recipe(recipes / "own" / "some.yaml")) == ("some", 12)
    one = read_recipe(recipes / "own" / "one.yaml", "b: 5")
    assert total(one) == ("one", 15)
    assert one.load()["rows"] == [1] and "rows:" in one.resolved()


@pytest.mark.parametrize(("setup", "expected"), [("large", 102), ("mine", 130), ("deep", 120)])
def test_a_setup_lies_beside_any_of_the_files(recipes, setup, expected):
    for file in ("some", "one"):
        recipe = read_recipe(recipes / "own" / f"{file}.yaml", f"setup: {setup}")
        assert total(recipe) == (file, expected)


def test_a_setup_may_stand_in_the_file_and_the_command_line_comes_last(recipes):
    path = write(recipes / "own" / "large.yaml", "base: one.yaml\nsetup: large\nb: 3\n")
    assert total(read_recipe(path)) == ("one", 103)
    assert total(read_recipe(path, "b: 4\na: 1")) == ("one", 5)
    assert total(read_recipe(path, "setup: none")) == ("one", 13)


def test_wrong_files_are_named(recipes):
    own = recipes / "own"
    write(own / "first.yaml", "base: second.yaml\n")
    write(own / "second.yaml", "base: first.yaml\n")
    with pytest.raises(ValueError, match=r"first\.yaml: base: the file builds on itself"):
        read_recipe(own / "first.yaml")
    write(own / "setups" / "again.yaml", "base: again.yaml\n")
    with pytest.raises(ValueError, match=r"again\.yaml: base: the file builds on itself"):
        read_recipe(own / "one.yaml", "setup: again")
    with pytest.raises(FileNotFoundError, match="no such set-up; there are: again, deep, large"):
        read_recipe(own / "one.yaml", "setup: small")
    write(own / "wrong.yaml", "base: one.yaml\ncorpora: two\n")
    with pytest.raises(ValueError, match=r"all\.yaml has no key 'corpora'; is it corpus"):
        read_recipe(own / "wrong.yaml")
    with pytest.raises(ValueError, match="has no key 'row'; is it rows"):
        read_recipe(own / "one.yaml", "row: 1")
    write(own / "gone.yaml", "base: ../none/all.yaml\n")
    with pytest.raises(FileNotFoundError, match=r"none/all\.yaml: no such file"):
        read_recipe(own / "gone.yaml")


# ---- keys by their earlier names ------------------------------------------------------------


@pytest.fixture
def renamed(monkeypatch):
    """Two keys with new names; the warnings."""
    warnings = []
    monkeypatch.setattr(recipe_yaml, "RENAMED_KEYS", {"stack": "factor", "budget": "parameters"})
    monkeypatch.setattr(recipe_yaml.logger, "warning", warnings.append)
    return warnings


@pytest.fixture
def old(tmp_path):
    """A user's recipe with old names everywhere; the included block has the new ones."""
    write(tmp_path / "block.yaml", "factor: 3\nother: 1\nproduct: !ref <factor> * <other>\n")
    block = "block: !include:block.yaml\n    stack: !ref <stack>\n    other: 2\n"
    more = "limits: {b: 4}\nfirst: !ref <limits[b]>\n"
    return write(
        tmp_path / "old.yaml", f"stack: 6\nbudget: null\ncopy: !ref <stack>\n{block}{more}"
    )


def test_old_keys_of_a_file_are_read(renamed, old):
    hparams = read_recipe(old).load()
    assert (hparams["factor"], hparams["copy"], hparams["block"]["product"]) == (6, 6, 12)
    assert "stack" not in hparams and hparams["parameters"] is None and hparams["first"] == 4
    assert renamed == [f"{old}: keys have new names: stack -> factor, budget -> parameters"]


@pytest.mark.parametrize("name", ["stack", "factor"])
def test_old_keys_of_the_command_line_are_read(renamed, old, name):
    assert read_recipe(old, f"{name}: 5").load()["block"]["product"] == 10
    new = write(old.with_name("new.yaml"), "factor: 1\n")
    renamed.clear()
    assert read_recipe(new, f"{name}: 5").load() == {"factor": 5}
    expected = ["the command line: keys have new names: stack -> factor"]
    assert renamed == (expected if name == "stack" else [])


def test_old_keys_of_files_and_setups_on_top_are_read(renamed, old):
    write(old.with_name("new.yaml"), "factor: 1\ncopy: 0\nsetup: none\n")
    top = write(old.with_name("top.yaml"), "base: new.yaml\nstack: 2\ncopy: !ref <stack>\n")
    write(old.parent / "setups" / "old.yaml", "stack: 9\n")
    assert read_recipe(top).load()["copy"] == 2
    assert read_recipe(top, "setup: old").load()["copy"] == 9


def test_a_key_that_goes_by_both_names_is_left_alone(renamed, tmp_path):
    path = write(tmp_path / "both.yaml", "stack: 6\nfactor: 2\ncopy: !ref <stack>\n")
    assert read_recipe(path).load() == {"stack": 6, "factor": 2, "copy": 6}
    assert renamed == []


def test_a_training_under_old_keys_is_resumed(renamed, monkeypatch, tmp_path):
    monkeypatch.setattr(launch, "IDENTITY", ("parameters",))
    (tmp_path / "save" / "CKPT+1").mkdir(parents=True)
    write(tmp_path / "hyperparams.yaml", "budget: 10\n")
    launch.refuse_another_training(tmp_path, {"parameters": 10})
    with pytest.raises(ValueError, match="was trained with parameters 10, not 20"):
        launch.refuse_another_training(tmp_path, {"parameters": 20})
    assert renamed == []


def test_released_keys_have_new_names(tmp_path):
    """The table of renamed keys, where users have them: a file, a block, the command line."""
    assert recipe_yaml.RENAMED_KEYS == {
        "stack": "subsampling_factor",
        "parameters": "parameter_budget",
        "start": "init",
    }
    path = write(
        tmp_path / "old.yaml",
        "stack: 6\nparameters: null\nstart: {b_f: 1.0}\n"
        "model: !name:gatedrnn.tasks.asr.model.CTCModel\n"
        "    network: lstmp\n    factor: !ref <stack>\n    start: !ref <start>\n"
        "encoder_options: {network: gru, start: {b_z: 2.0}}\n"
        "times: {start: 3}\n",
    )
    hparams = read_recipe(path, "stack: 4\nparameters: 9000\n").load()
    assert (hparams["subsampling_factor"], hparams["parameter_budget"]) == (4, 9000)
    assert hparams["model"].keywords == {"network": "lstmp", "factor": 4, "init": {"b_f": 1.0}}
    assert hparams["encoder_options"] == {"network": "gru", "init": {"b_z": 2.0}}
    assert hparams["times"] == {"start": 3}
    changes = read_recipe(path, "encoder_options: {network: gru, start: {b_z: 1.0}}").changes
    assert changes["encoder_options"] == {"network": "gru", "init": {"b_z": 1.0}}
