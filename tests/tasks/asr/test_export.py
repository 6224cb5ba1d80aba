"""A training's folder becomes a bundle that reads what the training's own test read."""

from __future__ import annotations

import json
import shutil
import sys

import pytest
import torch

from gatedrnn.cli.main import main
from gatedrnn.tasks.asr.apply import Recognizer
from gatedrnn.tasks.asr.bundle import read_bundle
from gatedrnn.tasks.asr.decode import SearchOptions
from gatedrnn.tasks.asr.train import RecogniserTraining
from gatedrnn.training.checkpoints import UNFINISHED
from tests.tasks.asr import tiny


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Output folders of trainings: one with averaged checkpoints and statistics of the corpus."""
    folders = {}
    for name, changes in {
        "ctc": {
            "norm_type": "global",
            "beam_size": 3,
            "n_best": 2,
            "search": {"min_log_prob": -9.0},
        },
        "transducer": {"head": "transducer"},
        "attention": {"head": "attention"},
    }.items():
        folders[name] = tmp_path_factory.mktemp(name)
        tiny.train(folders[name], **changes)
    return folders


@pytest.mark.parametrize("head", ["ctc", "transducer", "attention"])
def test_reads_what_the_training_read(trained, tmp_path, head, capsys):
    assert main(["export", str(trained[head]), str(tmp_path / "bundle")]) == 0
    assert "WER" in capsys.readouterr().out
    recogniser = Recognizer.load(tmp_path / "bundle")
    assert recogniser.config.model.head == head
    speech = tiny.Tones("test", 3, 200)
    found = recogniser.recognize([speech[i]["sig"] for i in range(len(speech))])
    lines = (trained[head] / "nbest_test.jsonl").read_text().splitlines()
    records = {record["id"]: record for record in map(json.loads, lines)}
    for i, reading in enumerate(found):
        record = records[speech[i]["id"]]
        assert reading.text == record["hyps"][0]["text"]
        assert [w.word for w in reading.words] == [w["word"] for w in record["words"]]


def test_what_the_bundle_says(trained, tmp_path):
    main(["export", str(trained["ctc"]), str(tmp_path / "bundle")])
    bundle = read_bundle(tmp_path / "bundle")
    results = json.loads((trained["ctc"] / "results.json").read_text())
    assert bundle.config.training["sets"] == results["sets"]
    assert bundle.config.search == SearchOptions(beam_size=3, n_best=2, min_log_prob=-9.0)
    assert bundle.config.model.normalisation == "global"
    card = (tmp_path / "bundle" / "README.md").read_text()
    assert f"{results['sets']['test']['WER']:.2f}" in card and "gatedrnn transcribe bundle" in card
    assert (tmp_path / "bundle" / "hyperparams.yaml").is_file()
    main(["export", str(trained["attention"]), str(tmp_path / "other")])
    assert not (tmp_path / "other" / "hyperparams.yaml").exists()


def test_onnx(trained, tmp_path, capsys, monkeypatch):
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    arguments = ["export", str(trained["ctc"]), str(tmp_path / "bundle"), "--onnx"]
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert "gatedrnn[onnx]" in failed(capsys, *arguments[1:])
    assert not (tmp_path / "bundle").exists()
    monkeypatch.undo()
    assert main(arguments) == 0
    assert {"encoder.onnx", "step.onnx"} < {p.name for p in (tmp_path / "bundle").iterdir()}
    assert read_bundle(tmp_path / "bundle")


def failed(capsys, *arguments) -> str:
    assert main(["export", *map(str, arguments)]) == 2
    message = capsys.readouterr().err
    assert message.startswith("gatedrnn export: error: ") and message.count("\n") == 1
    return message


def test_a_training_that_goes_on_is_left_alone(trained, tmp_path):
    """What it is writing at this moment looks like what a killed one has left."""
    folder = tmp_path / "running"
    shutil.copytree(trained["ctc"], folder)
    draft = folder / "save" / f"{UNFINISHED}CKPT+now"
    draft.mkdir()
    (draft / "model.ckpt").write_bytes(b"half of it")
    before = sorted(folder.rglob("*"))
    assert main(["export", str(folder), str(tmp_path / "bundle")]) == 0
    assert sorted(folder.rglob("*")) == before


def test_folders_that_are_none(trained, tmp_path, capsys):
    assert "no such folder" in failed(capsys, tmp_path / "nowhere", tmp_path / "b")
    assert "no model.json" in failed(capsys, tmp_path, tmp_path / "b")
    folder = tmp_path / "copy"
    shutil.copytree(trained["ctc"], folder)
    shutil.rmtree(folder / "save")
    assert "no undamaged checkpoint" in failed(capsys, folder, tmp_path / "b")
    (folder / "model.json").write_text("{")
    assert "is no JSON" in failed(capsys, folder, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_bundle_is_replaced_only_if_asked(trained, tmp_path, capsys):
    arguments = [trained["ctc"], tmp_path / "bundle"]
    main(["export", *map(str, arguments)])
    assert "--overwrite" in failed(capsys, *arguments)
    assert main(["export", *map(str, arguments), "--overwrite"]) == 0


def test_models_that_data_cannot_describe(tmp_path, capsys):
    class Mine(torch.nn.Module):
        pass

    folder = tmp_path / "own"
    folder.mkdir()
    hparams = tiny.hparams(folder) | {"compute_features": Mine()}
    training = RecogniserTraining(hparams, {}, {})
    training.tokens = range(30)
    training.write_description()
    message = failed(capsys, folder, tmp_path / "b")
    assert (
        "cannot be exported: compute_features is a Mine; use gatedrnn.modules.features.LogMel"
        in message
    )
