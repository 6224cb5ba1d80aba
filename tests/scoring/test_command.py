"""``gatedrnn score``."""

from __future__ import annotations

import json

import pytest

from gatedrnn.cli.main import main
from gatedrnn.data.tables import Utterance, write_csv
from tests.scoring.nist import DATA

NEAR, FAR, SPEAKERS = (str(DATA / name) for name in ("an4_near.jsonl", "an4_far.jsonl", "utt2spk"))


def run(capsys, *arguments: object) -> str:
    assert main(["score", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_text(capsys):
    out = run(capsys, NEAR, NEAR, "--speakers", SPEAKERS)
    assert f"reference   {NEAR} (jsonl)" in out
    (wer,) = [line.split() for line in out.splitlines() if line.startswith("WER  ")]
    assert wer[1:8] == ["574", "503", "58", "13", "5", "76", "13.24"]
    assert "47 of 100" in out
    for heading in ("WER by speaker", "most frequent substitutions", "WER without fillers"):
        assert heading in out
    assert "MISSING" not in out and "Comparison" not in out


def test_json_of_two_systems(capsys, tmp_path):
    out = run(capsys, NEAR, NEAR, FAR, "--speakers", SPEAKERS, "--format", "json",
              "--output", tmp_path / "score.json")  # fmt: skip
    assert (tmp_path / "score.json").read_text() == out
    data = json.loads(out)
    near, far = data["systems"]
    assert near["measures"]["WER"]["errors"] == 76
    assert far["measures"]["CER"]["rate"] == pytest.approx(100 * 602 / 1377)
    assert sum(c["errors"] for c in far["by_speaker"].values()) == 262
    interval = near["measures"]["WER"]["interval_by_speaker"]
    assert interval["units"] == 8 and interval["low"] < 13.24 < interval["high"]
    assert near["confusions"]["substitutions"][0] == {
        "reference": "M", "hypothesis": "N", "times": 6
    }  # fmt: skip
    assert data["comparison"]["matched_pairs"]["segments"] == 107
    again = json.loads(run(capsys, NEAR, NEAR, FAR, "--speakers", SPEAKERS, "--format", "json"))
    assert again == data  # the seed is fixed


def test_markdown_of_two_systems(capsys):
    out = run(capsys, NEAR, NEAR, FAR, "--format", "markdown", "--resamples", "100")
    assert f"## {FAR}" in out and "## Comparison" in out
    assert "| WER | 574 | 337 | 200 | 37 | 25 | 262 | 45.64 |" in out
    assert "- matched pairs (NIST's MAPSSWE): 107 segments, z = -11.69, p < 0.0001" in out
    assert "by speaker" not in out.split("Comparison")[1]


def test_missing_and_extra(capsys, tmp_path):
    lines = (DATA / "an4_far.jsonl").read_text().splitlines()
    (tmp_path / "h.jsonl").write_text("\n".join(lines[:90]) + "\n")
    assert "MISSING: 10 (" in run(capsys, FAR, tmp_path / "h.jsonl")
    (tmp_path / "h.jsonl").write_text("\n".join([*lines, '{"id": "x", "text": "A"}']) + "\n")
    assert main(["score", FAR, str(tmp_path / "h.jsonl")]) == 2
    assert "has 1 that" in capsys.readouterr().err
    assert "EXTRA: 1 (x)" in run(capsys, FAR, tmp_path / "h.jsonl", "--extra", "ignore")


def test_prepared_corpus_as_reference(capsys, tmp_path):
    records = [json.loads(line) for line in (DATA / "an4_near.jsonl").read_text().splitlines()]
    rows = [
        Utterance(r["id"], 9.0, f"/a/m{i // 50}.wav", 160000 * i, 160000 * i + 144000, 0,
                  r["id"].split("-")[1], r["ref"])
        for i, r in enumerate(records)
    ]  # fmt: skip
    write_csv(tmp_path / "dev.csv", rows)
    out = run(capsys, tmp_path / "dev.csv", NEAR, "--write", tmp_path / "nist")
    assert "WER by speaker" in out and "WER by recording" in out
    names = {path.name for path in (tmp_path / "nist").iterdir()}
    assert names == {"ref.trn", "hyp.trn", "ref.stm", "hyp.ctm"}
    # The same counts from what was written, by name and by time.
    line = next(line for line in out.splitlines() if line.startswith("WER  "))
    for pair in (("ref.trn", "hyp.trn"), ("ref.stm", "hyp.ctm")):
        again = run(capsys, *(tmp_path / "nist" / name for name in pair))
        assert line in again


def test_case(capsys, tmp_path):
    (tmp_path / "r.trn").write_text("GO ON (a-1)\n")
    (tmp_path / "h.trn").write_text("Go ON (a-1)\n")
    paths = [tmp_path / name for name in ("r.trn", "h.trn")]
    out = run(capsys, *paths)
    assert "NOTE: 1 word errors are of case only (--ignore-case takes them away)" in out
    assert "GO -> Go" in out
    out = run(capsys, *paths, "--ignore-case")
    assert "NOTE" not in out and "0.00" in out


def test_speakers_by_prefix(capsys, tmp_path):
    (tmp_path / "text").write_text("ann-1 GO\nann-2 ON\nbob_1 NO\n")
    out = run(capsys, tmp_path / "text", tmp_path / "text", "--speakers", "prefix")
    assert "WER by speaker" in out and "\nbob " in out
    (tmp_path / "text").write_text("1 GO\n")
    assert main(["score", *[str(tmp_path / "text")] * 2, "--speakers", "prefix"]) == 2
    assert "1 has no speaker before a - or _" in capsys.readouterr().err


def test_meetings(capsys, tmp_path):
    (tmp_path / "r.stm").write_text("m1 1 ann 0 1 GO ON\nm1 1 bob 0 1 NO\nm2 1 ann 0 1 YES\n")
    (tmp_path / "h.stm").write_text("m1 1 s1 0 1 NO\nm1 1 s2 0.2 1.4 GO IN\nm2 1 s1 0 1 YES\n")
    paths = [tmp_path / name for name in ("r.stm", "h.stm")]
    out = run(capsys, *paths, "--cpwer")
    assert [line.split()[1:8] for line in out.splitlines() if line.startswith("cpWER  ")] == [
        ["4", "3", "1", "0", "0", "1", "25.00"]
    ]
    data = json.loads(run(capsys, *paths, paths[0], "--cpwer", "--format", "json"))
    first, second = data["systems"]
    assert first["by_recording"]["m1"]["assignment"] == [["ann", "s2"], ["bob", "s1"]]
    assert second["measures"]["cpWER"]["errors"] == 0


def test_nothing_said(capsys, tmp_path):
    (tmp_path / "r.trn").write_text("(a-1)\n(a-2)\n")
    (tmp_path / "h.trn").write_text("GO (a-1)\n(a-2)\n")
    paths = [str(tmp_path / name) for name in ("r.trn", "h.trn")]
    line = next(line for line in run(capsys, *paths).splitlines() if line.startswith("WER  "))
    assert line.split()[1:8] == ["0", "0", "0", "0", "1", "1", "-"]
    data = json.loads(run(capsys, *paths, paths[0], "--format", "json"))
    assert data["systems"][0]["measures"]["WER"]["rate"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.trn", NEAR], "none.trn: no such file"),
        ([NEAR, NEAR, NEAR, NEAR], "one HYP or two can be scored, not 3"),
        ([NEAR, NEAR, "--resamples", "0"], "resamples must be at least 1, not 0"),
        ([NEAR, NEAR, "--speakers", "none"], "none: no such file"),
        ([NEAR, NEAR, "--cpwer"], "for cpWER recordings and speakers must be known"),
        ([NEAR, NEAR, "--ref-format", "trn"], "line 1: a trn line must end"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, message, capsys):
    assert main(["score", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1
    assert captured.out == ""
