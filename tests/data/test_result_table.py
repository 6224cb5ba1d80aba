"""The table behind all reports."""

from __future__ import annotations

import csv
import io
import json

import pytest

from gatedrnn.data.result_table import ResultTable, list_names, render


@pytest.fixture
def table():
    table = ResultTable(["name", "kind", "n", "rate", "x"], text_columns=2, digits={"x": 1})
    table.add("a|b", "long kind", 7, 1 / 3, 0.25)
    table.add("c", "k", 1000, None, "1 to 2")
    return table


def test_text_aligns_text_left_and_numbers_right(table):
    assert table.text().splitlines() == [
        "name  kind          n  rate       x",
        "a|b   long kind     7  0.33     0.2",
        "c     k          1000     -  1 to 2",
    ]


def test_markdown_escapes_bars(table):
    lines = table.markdown().splitlines()
    assert lines[1:] == [
        "|---|---|---:|---:|---:|",
        "| a\\|b | long kind | 7 | 0.33 | 0.2 |",
        "| c | k | 1000 | - | 1 to 2 |",
    ]


def test_csv_and_json_have_all_digits(table):
    rows = list(csv.DictReader(io.StringIO(table.csv())))
    assert float(rows[0]["rate"]) == 1 / 3 and rows[1]["rate"] == ""
    assert json.loads(json.dumps(table.records())) == table.records()
    assert table.records()[1] == {"name": "c", "kind": "k", "n": 1000, "rate": None, "x": "1 to 2"}


def test_a_row_must_fit():
    with pytest.raises(ValueError, match="a row needs 2 cells, not 1"):
        ResultTable(["a", "b"]).add(1)


def test_sections_and_names():
    sections = [("", ["one"]), ("Two", ["two"])]
    assert render(sections, markdown=False) == "one\n\nTwo\n\ntwo"
    assert render(sections, markdown=True, level=3) == "one\n\n### Two\n\ntwo"
    assert list_names(["a", "b", "c"], limit=2) == "3 (a, b and 1 more)"
