"""A language model that is exported with a recogniser."""

from __future__ import annotations

import pytest

from gatedrnn.cli.main import main
from gatedrnn.tasks.asr.apply import Recognizer
from gatedrnn.tasks.asr.bundle import read_bundle
from gatedrnn.tasks.language_modeling.bundle import write_language_model
from gatedrnn.tasks.language_modeling.rescoring import LM_WEIGHTS_FILE, LMWeights, write_lm_weights
from gatedrnn.tokens import Words
from tests.tasks.asr import tiny
from tests.tasks.asr.test_lm_integration import failed, language_model
from tests.tasks.language_modeling import tiny as tiny_text


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Output folders of trainings: recognisers, and a language model of what they read."""
    folders = {}
    for name, changes in {
        "ctc": {"beam_size": 4},
        "greedy": {},
        "transducer": {"head": "transducer", "beam_size": 3},
    }.items():
        folders[name] = tmp_path_factory.mktemp(name)
        tiny.train(folders[name], epochs=1, **changes)
    folders["lm"] = tmp_path_factory.mktemp("lm")
    tiny_text.train(folders["lm"], epochs=1, carry_state=False)
    return folders


@pytest.fixture
def lm(tmp_path):
    """A bundle of a language model of all that the trained recognisers may read."""
    names = tiny.Tones("test", 3, 200).texts + tiny.Tones("train", 10).texts
    found = language_model(Words.learn(names, "<eos>"))
    write_language_model(tmp_path / "lm", found.config, found.tokens, found.model)
    return tmp_path / "lm"


def test_export(trained, lm, tmp_path, capsys):
    bundle = tmp_path / "bundle"
    options = ["--lm", lm, "--lm-weight", 0.4, "--lm-insertion", 0.5]
    assert main(["export", *map(str, [trained["ctc"], bundle, *options])]) == 0
    assert "fusion, weight 0.4, insertion 0.5, a beam of 4" in capsys.readouterr().out
    found = read_bundle(bundle)
    assert found.config.search.lm_mode == "fusion"
    assert found.config.search.lm_weights == LMWeights(0.4, 0.5)
    card = (bundle / "README.md").read_text()
    assert "used in its search: weight 0.4, insertion 0.5" in card and "--no-lm" in card
    speech = tiny.Tones("test", 3, 200)
    assert Recognizer(found).recognize([speech[i]["sig"] for i in range(3)])
    write_lm_weights(tmp_path / "rescored" / LM_WEIGHTS_FILE, LMWeights(0.3, -0.5, 0.2))
    setting = ["--lm-setting", tmp_path / "rescored", "--overwrite"]
    assert main(["export", *map(str, [trained["transducer"], bundle, "--lm", lm, *setting])]) == 0
    found = read_bundle(bundle)
    assert found.config.search.lm_mode == "rescoring"
    assert found.config.search.lm_weights == LMWeights(0.3, -0.5, 0.2)
    assert "internal -0.2" in (bundle / "README.md").read_text()
    beam = ["--lm", lm, "--lm-weight", 1, "--beam-size", 7]
    assert main(["export", *map(str, [trained["greedy"], bundle, "--overwrite", *beam])]) == 0
    assert read_bundle(bundle).config.search.beam_size == 7


def test_export_refuses(trained, lm, tmp_path, capsys):
    bundle = tmp_path / "b"
    capitals = language_model(Words.learn(["\u0392 \u0393"], "<eos>"))
    write_language_model(tmp_path / "capitals", capitals.config, capitals.tokens, capitals.model)
    for results, options, wanted in (
        ("greedy", ["--lm", lm, "--lm-weight", 1], "beam_size of at least 2, not 1"),
        ("ctc", ["--lm", lm], "--lm needs --lm-weight"),
        ("ctc", ["--lm-weight", 1], "name it by --lm"),
        ("ctc", ["--beam-size", 5], "--beam-size is for --lm"),
        ("ctc", ["--lm", tmp_path / "no", "--lm-weight", 1], "no such bundle"),
        ("ctc", ["--lm", trained["transducer"], "--lm-weight", 1], "not of a language model"),
        ("ctc", ["--lm", tmp_path / "capitals", "--lm-weight", 1], "another case"),
        ("lm", ["--lm", lm, "--lm-weight", 1], "--lm is for recognisers"),
        (
            "transducer",
            ["--lm", lm, "--lm-weight", 1, "--lm-mode", "fusion"],
            "fusion is for head ctc",
        ),
    ):
        assert wanted in failed(capsys, trained[results], bundle, *options, command="export")
    assert not bundle.exists()
