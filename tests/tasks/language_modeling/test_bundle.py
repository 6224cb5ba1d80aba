"""Bundles of language models: what a training left is read again; what is broken is refused."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from gatedrnn.cells.registry import REGISTRY
from gatedrnn.cli.main import main
from gatedrnn.data.tables import Text
from gatedrnn.tasks.asr.bundle import read_bundle
from gatedrnn.tasks.language_modeling.bundle import (
    LanguageModelConfig,
    TextModelSpec,
    load_language_model,
    read_language_model,
    write_language_model,
)
from gatedrnn.tasks.language_modeling.evaluation import EvaluationOptions, log_probabilities, score
from gatedrnn.tokens import Characters, Pieces, Words
from tests.tasks.language_modeling import tiny

TEXTS = tiny.lines(20, 1)
TOKENS = Words.learn(TEXTS, "<eos>")


def write(folder, tokens=TOKENS, **options):
    """Writes a bundle of random weights; gives the model."""
    torch.manual_seed(0)
    spec = TextModelSpec(len(tokens), {"num_layers": 2, "hidden_size": 8, **options})
    model = spec.build().eval()
    write_language_model(folder, LanguageModelConfig(spec), tokens, model)
    return model


def scores(model, tokens):
    encoded = tokens.encode_text(Text("mine", TEXTS[:4]))
    return log_probabilities(model, encoded, EvaluationOptions())


@pytest.mark.parametrize("network", REGISTRY)
def test_every_recurrence(tmp_path, network):
    model = write(tmp_path / "lm", network=network)
    found = read_language_model(tmp_path / "lm")
    for name, weight in model.state_dict().items():
        assert torch.equal(found.model.state_dict()[name], weight), name
    # Products of the same numbers at other addresses may differ in their last digit.
    torch.testing.assert_close(
        scores(found.model, found.tokens), scores(model, TOKENS), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize(
    "options",
    [
        {"tied": True},
        {"tied": True, "embedding_size": 5},
        {"hidden_size": 64, "cutoffs": [3, 6]},
        {"proj_size": 4, "network_options": {"init_range": 0.3}},
    ],
    ids=str,
)
def test_every_output_layer(tmp_path, options):
    model = write(tmp_path / "lm", **options)
    found = read_language_model(tmp_path / "lm")
    assert torch.equal(scores(found.model, found.tokens), scores(model, TOKENS))
    names = load_file(tmp_path / "lm" / "model.safetensors").keys()
    assert ("model.softmax.weight" in names) == ("tied" not in options and "cutoffs" not in options)


@pytest.mark.parametrize(
    "tokens",
    [Characters.learn(TEXTS, "<eos>"), Pieces.learn(TEXTS, "<eos>", 30, "bpe")],
    ids=lambda tokens: tokens.kind,
)
def test_tokens(tmp_path, tokens):
    model = write(tmp_path / "lm", tokens)
    found = read_language_model(tmp_path / "lm")
    assert found.tokens.names == tokens.names
    assert torch.equal(scores(found.model, found.tokens), scores(model, tokens))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    tiny.train(folder, tied=True, epochs=1)
    return folder


def test_a_training_becomes_a_bundle(trained, tmp_path, capsys):
    bundle = tmp_path / "lm"
    assert main(["export", str(trained), str(bundle)]) == 0
    assert "perplexity" in capsys.readouterr().out
    assert sorted(path.name for path in bundle.iterdir()) == [
        "README.md", "config.json", "model.safetensors", "tokens.json",
    ]  # fmt: skip
    results = json.loads((trained / "results.json").read_text())["sets"]
    text = tiny.corpus().tests[0]
    for folder in (bundle, trained):
        found = load_language_model(folder)
        encoded = found.tokens.encode_text(text)
        figures = score(
            encoded, log_probabilities(found.model, encoded, EvaluationOptions())
        ).metrics()
        assert figures["perplexity"] == pytest.approx(results["test"]["perplexity"], rel=1e-6)
        assert found.config.model.carry_state and found.config.model.line_ends
        assert found.config.training["sets"] == results
        assert "dropout" not in found.config.model.model
    card = (bundle / "README.md").read_text()
    assert f"{results['test']['perplexity']:.2f}" in card and "gatedrnn rescore lm" in card


def test_export_refuses(trained, tmp_path, capsys):
    bundle = tmp_path / "lm"

    def refused(wanted, *options, results=trained):
        assert main(["export", str(results), str(bundle), *options]) == 2
        assert wanted in capsys.readouterr().err

    refused("--onnx is for recognisers", "--onnx")
    assert not bundle.exists()
    assert main(["export", str(trained), str(bundle)]) == 0
    capsys.readouterr()
    refused("--overwrite replaces it")
    other = tmp_path / "other"
    other.mkdir()
    for description, wanted in (
        ({"kind": "text", "problem": "model is not ours"}, "model is not ours"),
        ({"kind": "text", "vocabulary": 9, "model": {"layers": 3}}, "unknown key 'layers'"),
    ):
        (other / "model.json").write_text(json.dumps(description))
        refused(wanted, "--overwrite", results=other)
    (other / "model.json").write_text((trained / "model.json").read_text())
    (other / "tokens.json").write_text((trained / "tokens.json").read_text())
    refused("has no undamaged checkpoint", "--overwrite", results=other)
    (other / "model.json").write_text("{}")
    with pytest.raises(ValueError, match="not of a language model"):
        load_language_model(other)
    (other / "model.json").write_text("{")
    with pytest.raises(ValueError, match="is no JSON"):
        load_language_model(other)


def test_a_model_of_ones_own_is_not_described(tmp_path):
    from gatedrnn.tasks.language_modeling.train import LanguageModelTraining

    hparams = {"model": lambda vocabulary: None, "carry_state": True, "output_folder": tmp_path}
    training = LanguageModelTraining(hparams, {}, tiny.corpus())
    training.tokens, training.arguments = range(9), {}
    training.write_description()
    data = json.loads((tmp_path / "model.json").read_text())
    assert data["task"] == "language_modeling" and "not a TextModel" in data["problem"]


# ---- what is refused ------------------------------------------------------------------------


def change(folder, edit, name="model.safetensors"):
    """Edits the config, after bringing size and checksum of a changed file up to date."""
    path = folder / "config.json"
    data = json.loads(path.read_text())
    content = (folder / name).read_bytes()
    data["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    edit(data)
    path.write_text(json.dumps(data))


def refused(folder, wanted):
    with pytest.raises((ValueError, FileNotFoundError), match=wanted) as caught:
        read_language_model(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "lm")
    return tmp_path / "lm"


@pytest.mark.parametrize(
    ("edit", "wanted"),
    [
        (lambda d: d.update(format="gatedrnn-recogniser"), "format must be 'gatedrnn-language"),
        (lambda d: d.update(version=2), "version 2 is newer"),
        (lambda d: d.update(search={}), "unknown key 'search'"),
        (lambda d: d.update(training=[]), "training must be"),
        (lambda d: d["files"].update({"../x": {}}), "own folder"),
        (lambda d: d["model"].update(carry_state=1), "carry_state must be true or false"),
        (lambda d: d["model"].update(vocabulary=10**9), "vocabulary must be"),
        (lambda d: d["model"].update(vocabulary=11), "11"),
        (lambda d: d["model"].pop("vocabulary"), "no key 'vocabulary'"),
        (lambda d: d["model"]["model"].update(dropout=0.5), "unknown key 'dropout'"),
        (lambda d: d["model"]["model"].update(network="gru2"), "gru2"),
        (lambda d: d["model"]["model"].update(hidden_size=10**9), "hidden_size must be"),
        (lambda d: d["model"]["model"].update(hidden_size=16), "does not fit the model"),
        (lambda d: d["model"]["model"].update(tied="yes"), "tied must be"),
        (lambda d: d["model"]["model"].update(tied=True), "which the model has not"),
        (lambda d: d["model"]["model"].update(cutoffs="3"), "cutoffs must be a list"),
        (lambda d: d["model"]["model"].update(cutoffs=[9, 3]), "cutoffs must rise"),
    ],
)
def test_config(folder, edit, wanted):
    change(folder, edit)
    refused(folder, wanted)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokens.json"])
def test_missing_file(folder, name):
    (folder / name).unlink()
    refused(folder, name)


def test_weights(folder):
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights["model.embedding.weight"] = torch.full_like(
        weights["model.embedding.weight"], float("inf")
    )
    save_file(weights, path)
    refused(folder, "bytes|checksum")
    change(folder, lambda data: None)
    refused(folder, "not finite")


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{",
        '{"kind": "pieces", "model": "00ff", "alphabet": ""}',
        '{"kind": "words", "names": ["<eos>", "<unk>", 3], "alphabet": "a"}',
        '{"kind": "words", "names": ["<eos>"], "alphabet": "a"}',
        '{"kind": "codes"}',
    ],
)
def test_broken_tokens(folder, content):
    (folder / "tokens.json").write_text(content)
    change(folder, lambda data: None, "tokens.json")
    refused(folder, "does not hold the tokens")


def test_each_kind_of_bundle_is_for_its_own(folder):
    with pytest.raises(ValueError, match="format must be 'gatedrnn-recogniser'"):
        read_bundle(folder)
