"""``gatedrnn score-captions``."""

from __future__ import annotations

import json

import pytest

from gatedrnn.cli.main import main
from tests.tasks.captioning.golden import embedded


@pytest.fixture
def files(tmp_path):
    """References and captions, each in both formats."""
    items = embedded("aac_example_2")["items"]
    annotations = [
        {"image_id": i, "id": 100 * i + j, "caption": text}
        for i, item in enumerate(items)
        for j, text in enumerate(item["references"])
    ]
    results = [{"image_id": i, "caption": item["text"]} for i, item in enumerate(items)]
    images = [{"id": i} for i in range(len(items))]
    write(tmp_path / "ref.json", json.dumps({"images": images, "annotations": annotations}))
    write(tmp_path / "hyp.json", json.dumps(results))
    lines = [{"id": str(i), "references": x["references"]} for i, x in enumerate(items)]
    write(tmp_path / "ref.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    lines = [{"id": i, "text": x["text"], "score": -1.0} for i, x in enumerate(items)]
    write(tmp_path / "hyp.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def write(path, text):
    path.write_text(text, encoding="utf-8")


def run(capsys, *arguments) -> str:
    arguments = ["score-captions", *map(str, arguments), "--java", "never", "--resamples", "50"]
    assert main(arguments) == 0
    return capsys.readouterr().out


def test_formats_give_the_same_scores(capsys, files):
    expected = embedded("aac_example_2")["scores"]
    for reference in ("ref.json", "ref.jsonl"):
        for hypothesis in ("hyp.json", "hyp.jsonl"):
            out = run(capsys, files / reference, files / hypothesis, "--format", "json")
            (result,) = json.loads(out)["systems"]
            for name in ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D"):
                assert result["measures"][name]["score"] == pytest.approx(expected[name], abs=1e-9)
            assert len(result["items"]) == 24 and result["items"][3]["id"] == "3"
            assert set(result["left_out"]) == {"METEOR", "SPICE", "SPIDEr"}


def test_text_and_markdown(capsys, files):
    out = run(capsys, files / "ref.json", files / "hyp.json", "--output", files / "score.txt")
    assert (files / "score.txt").read_text() == out
    score = f"{embedded('aac_example_2')['scores']['CIDEr-D']:.4f}"
    (line,) = [line for line in out.splitlines() if line.startswith("CIDEr-D  ")]
    assert line.split()[1] == score
    assert "items       24, with 5 reference(s) each" in out
    assert "LEFT OUT:\n- METEOR: as was asked for (--java never)" in out
    pair = [files / "hyp.json", files / "hyp.jsonl"]
    out = run(capsys, files / "ref.json", *pair, "--format", "markdown")
    assert f"## {pair[0]}" in out and "## Side by side" in out and f"| CIDEr-D | {score} |" in out


def test_missing_and_extra(capsys, files):
    results = json.loads((files / "hyp.json").read_text())
    write(files / "few.json", json.dumps(results[:20]))
    write(files / "more.json", json.dumps([*results, {"image_id": "x", "caption": "a dog"}]))
    ref = files / "ref.json"
    assert main(["score-captions", str(ref), str(files / "few.json")]) == 2
    assert "lacks captions for 4 of 24 items: 20, 21, 22, 23;" in capsys.readouterr().err
    assert "MISSING: 4 (20, 21, 22, 23) have no caption (left out)" in run(
        capsys, ref, files / "few.json", "--missing", "ignore"
    )
    out = run(capsys, ref, files / "few.json", "--missing", "empty")
    assert "(scored as empty)" in out and "items       24" in out and "NOTE: 4 of the" in out
    assert main(["score-captions", str(ref), str(files / "more.json")]) == 2
    assert "has 1 that" in capsys.readouterr().err
    assert "EXTRA: 1 (x)" in run(capsys, ref, files / "more.json", "--extra", "ignore")


def test_one_item(capsys, files):
    write(files / "r.jsonl", '{"id": 1, "references": ["a dog runs", "the dog"], "text": "x"}\n')
    write(files / "h.jsonl", '{"id": 1, "text": "a dog runs"}\n')
    out = run(capsys, files / "r.jsonl", files / "h.jsonl")
    assert "NOTE: with one item CIDEr weighs every n-gram 0" in out
    out = run(capsys, files / "r.jsonl", files / "h.jsonl", "--weigh-by", files / "ref.json")
    assert "NOTE" not in out and f"references of {files / 'ref.json'}" in out


BAD = {
    "empty.jsonl": "",
    "list.json": "[]",
    "number.json": "5",
    "key.json": '[{"image": 1, "caption": "a"}]',
    "caption.json": '[{"image_id": 1, "caption": null}]',
    "twice.json": '[{"image_id": 1, "caption": "a"}, {"image_id": 1, "caption": "b"}]',
    "broken.jsonl": '{"id": 1, "text": "a"}\n{"id": 2, "te\n',
    "twice.jsonl": '{"id": 1, "text": "a"}\n{"id": 1, "text": "b"}\n',
    "none.jsonl": '{"id": 1, "references": []}\n',
    "other.jsonl": '{"id": "other", "text": "a"}\n',
}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.json", "hyp.json"], "nothing.json: no such file"),
        (["empty.jsonl", "hyp.json"], "empty.jsonl: no caption in it (read as jsonl)"),
        (["list.json", "hyp.json"], "list.json: no caption in it (read as coco)"),
        (["number.json", "hyp.json"], "number.json: neither a list of captions nor JSON lines"),
        (["ref.json", "key.json"], "key.json: entry 1 has no 'image_id'"),
        (["ref.json", "caption.json"], "entry 1: a caption must be a string, not None"),
        (["ref.json", "twice.json"], "1 items have several captions, such as 1"),
        (["ref.json", "broken.jsonl"], "broken.jsonl: line 2: "),
        (["ref.json", "twice.jsonl"], "twice.jsonl: line 2: item 1 appears twice"),
        (["none.jsonl", "hyp.json"], "line 1: 'references' must be a list of at least one"),
        (["ref.json", "none.jsonl"], "none.jsonl: line 1 has no 'text'"),
        (["ref.json", "other.jsonl"], "has no caption for any of the 24 items"),
        (["ref.json", "hyp.json", "--resamples", "0"], "resamples must be a whole number from 1"),
        (["ref.json", "hyp.json", "--weigh-by", "gone.json"], "gone.json: no such file"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, message, capsys, files):
    for name, text in BAD.items():
        write(files / name, text)
    paths = [str(files / a) if a.endswith((".json", ".jsonl")) else a for a in arguments]
    assert main(["score-captions", *paths]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1
    assert captured.out == ""
