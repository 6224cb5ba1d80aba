"""Tables: CSV, TSV and JSON lines, compressed or not; errors name file and line."""

from __future__ import annotations

import gzip

import pytest

from gatedrnn.data.report import Report
from gatedrnn.data.tables import read_rows


def rows(path, **options):
    return [row for _, row in read_rows(path, **options)]


def test_quotes_of_tsv_files_are_text(tmp_path):
    (tmp_path / "a.tsv").write_text('id\ttext\n1\t"so\n2\t5" wide\n')
    assert rows(tmp_path / "a.tsv") == [{"id": "1", "text": '"so'}, {"id": "2", "text": '5" wide'}]
    (tmp_path / "a.csv").write_text('id,text\n1,"a, ""b""\nc"\n')
    assert rows(tmp_path / "a.csv") == [{"id": "1", "text": 'a, "b"\nc'}]


@pytest.mark.parametrize(("name", "mark"), [("a.csv", ","), ("A.TSV", "\t"), ("a.CSV.gz", ",")])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_endings_and_line_ends(tmp_path, name, mark, end):
    raw = end.join([f"id{mark}text", f"1{mark}caf\u00e9", "", f"2{mark}b", ""]).encode("utf-8-sig")
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    assert rows(tmp_path / name) == [{"id": "1", "text": "caf\u00e9"}, {"id": "2", "text": "b"}]


@pytest.mark.parametrize(("name", "mark"), [("a.csv", ","), ("a.tsv", "\t")])
def test_too_many_cells(tmp_path, name, mark):
    lines = ["id,text", "1,a", "2,b,c", "3,d"]
    (tmp_path / name).write_text("\n".join(lines).replace(",", mark))
    with pytest.raises(ValueError, match=rf"{name}, line 3: 3 cells; must be 2, one for each col"):
        rows(tmp_path / name)
    (tmp_path / name).write_text(f"id{mark}text\n1\n")
    assert rows(tmp_path / name) == [{"id": "1", "text": None}]


def test_a_missing_column_and_other_files(tmp_path):
    (tmp_path / "a.csv").write_text("id,text\n")
    with pytest.raises(ValueError, match=r"a.csv: no column audio and no column x; the first line"):
        rows(tmp_path / "a.csv", required=("audio", "id", "x"))
    (tmp_path / "a.xls").write_text("id,text\n")
    with pytest.raises(ValueError, match=r"a.xls: not a table; must be a .csv or .tsv"):
        rows(tmp_path / "a.xls")
    with pytest.raises(FileNotFoundError, match=r"b.csv: no such file"):
        rows(tmp_path / "b.csv")


def test_json_lines_that_are_none(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1}\n\n[2]\n{"id": "\u2028"}\n{half\n')
    report = Report("mine")
    assert rows(path, report=report) == [{"id": 1}, {"id": "\u2028"}]
    assert list(report.items("value-unreadable")) == [f"{path}, line 3", f"{path}, line 5"]
    with pytest.raises(ValueError, match=r"a.jsonl, line 3: .*; must be a JSON object"):
        rows(path)
