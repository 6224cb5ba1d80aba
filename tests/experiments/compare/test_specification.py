"""The file of a table: what it says, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatedrnn.experiments.compare.specification import read_table
from tests.experiments.compare.tables import TABLE, TUNING, write_table

ROOT = Path(__file__).parents[3]


def test_what_it_says(tmp_path):
    table = read_table(write_table(tmp_path, **TUNING, data={"A": None, "B": {"base": 2.0}}))
    assert table.recipe == tmp_path / "stand_in.py"
    assert table.seeds == (1, 2, 3)
    assert [n.name for n in table.networks] == ["LSTM", "RAN tanh"]
    assert table.networks[1].arguments["options"] == {"output": "tanh"}
    assert table.networks[1].folder == "RAN-tanh"
    assert [(d.name, dict(d.arguments)) for d in table.data] == [("A", {}), ("B", {"base": 2.0})]
    assert table.measure.sign == 1
    assert table.tuned(table.data[0], table.networks[0]).settings() == [
        {"lr": 0.5}, {"lr": 1.0}, {"lr": 2.0}
    ]  # fmt: skip


def test_data_without_a_name_has_that_of_its_hparams(tmp_path):
    table = read_table(write_table(tmp_path))
    assert [d.name for d in table.data] == ["h"]


def test_parts_of_their_own(tmp_path):
    """A data set's figures and YAML file, a network's grid around another centre."""
    own = {"tuning": {"grid": {"lr": [1.0, 2.0, 4.0]}}}
    changes = {
        **TUNING,
        "networks": {"LSTM": {}, "RAN": own},
        "data": {"A": {"hparams": "h.yaml", "measure": {"key": "accuracy", "better": "higher"}}},
    }
    table = read_table(write_table(tmp_path, **changes))
    data = table.data[0]
    assert (table.measured(data).key, table.measured(data).sign) == (("accuracy",), -1)
    assert data.hparams == tmp_path / "h.yaml"
    grids = [table.tuned(data, network).grid["lr"] for network in table.networks]
    assert grids == [[0.5, 1.0, 2.0], [1.0, 2.0, 4.0]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": None}, r"table\.yaml: there is no key 'recipe'"),
        ({"recipe": "none.py"}, r"table\.yaml: recipe: there is no file .*none\.py"),
        ({"seeds": "many"}, "seeds must be a list of whole numbers .*, not 'many'"),
        ({"seeds": [1, 1]}, "seeds: must be different whole numbers"),
        ({"seed": [1]}, "unknown key 'seed'; did you mean 'seeds'"),
        ({"baseline": "GRU"}, "baseline: 'GRU' is not among networks: LSTM, RAN tanh"),
        ({"networks": {}, "baseline": "a"}, "networks: must name at least one network"),
        ({"networks": {"A B": {}, "A/B": {}}}, "networks: A/B: and 'A B' would have the same"),
        ({"networks": {"LSTM": {"seed": 3}}}, "networks: LSTM: seed: is an argument that every"),
        ({"networks": {"LSTM": ["ran"]}}, "networks: LSTM: must be an object with named"),
        ({"networks": {"..": {}}}, r"networks: \.\.: is no name"),
        ({"arguments": {"a b": 1}}, "arguments: a b: is no name of an argument"),
        ({"measure": {"key": []} | {"better": "more"}}, "better must be lower or higher"),
        ({"measure": {"key": ["a"], "file": "../a.json"}}, "measure: file must be the name of"),
        ({"measure": {"key": [1]}}, "measure: key must be text, or a list of texts"),
        ({**TUNING, "select": None}, "select: is needed for tuning"),
        ({**TUNING, "select": TABLE["measure"]}, "select: is the measure itself"),
        ({**TUNING, "tuning": {"grid": {}}}, "tuning: grid must hold arguments with lists"),
        ({**TUNING, "tuning": {"grid": {"lr": 1}}}, "tuning: grid: lr must be a list of values"),
        (
            {**TUNING, "networks": {"LSTM": {}, "RAN": {"tuning": {"grid": {"lr": [1, 2]}}}}},
            "RAN: tuning: unequal tuning effort: 2 settings, where the others have 3",
        ),
        (
            {"networks": {"LSTM": {}, "RAN": {"tuning": {"grid": {"lr": [1, 2]}}}}},
            "RAN: tuning: unequal tuning effort: the others are not tuned",
        ),
        (
            {**TUNING, "networks": {"LSTM": {"tuning": {"grid": {"lr": [1]}, "seed": 2}}}},
            "networks: LSTM: tuning: unknown key 'seed'",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_clear_error(tmp_path, changes, message):
    path = write_table(tmp_path, **changes)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        read_table(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_no_table(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_table(tmp_path / "none.yaml")
    path = tmp_path / "a.yaml"
    for text, message in (
        ("a: [1", "is not YAML without tags"),
        ("a: !new:os.system {}", "is not YAML without tags"),
        ("- 1", "must be an object with named values"),
        ("1: 2", "the key 1 must be text"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_table(path)


@pytest.mark.parametrize("path", sorted(ROOT.glob("recipes/*/tables/*.yaml")), ids=lambda p: p.stem)
def test_tables_of_the_recipes(path):
    table = read_table(path)
    assert table.tuning is None or table.select is not None
    # As training logs name their figures.
    assert table.curve is None or table.curve.startswith(("valid ", "train "))
