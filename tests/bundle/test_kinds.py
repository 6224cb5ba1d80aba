"""Bundles of classifiers and of models of music; model.json of this and of older versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from gatedrnn.bundle.format import BundleConfig
from gatedrnn.data.config import json_schema
from gatedrnn.tasks.captioning.bundle import CAPTIONER
from gatedrnn.tasks.classification.bundle import (
    CLASSIFIER,
    ClassifierBundle,
    ClassifierConfig,
    ClassifierSpec,
    EmbeddingSpec,
)
from gatedrnn.tasks.language_modeling.bundle import LANGUAGE_MODEL
from gatedrnn.tasks.music.bundle import MUSIC, MusicBundle, MusicConfig, MusicSpec
from gatedrnn.tasks.registry import bundle_kinds, export
from gatedrnn.tokens import Words

RELEASED = Path(__file__).parents[1] / "released" / "data"
WORDS = Words.learn(["good film", "bad film"], "<eos>")


def classifier(words: bool) -> ClassifierBundle:
    """A classifier of texts or of frames with random weights."""
    inputs = EmbeddingSpec(len(WORDS), 6, WORDS.unk) if words else 3
    spec = ClassifierSpec(("no", "yes"), inputs, {"network": "ran", "hidden_size": 5})
    return ClassifierBundle(ClassifierConfig(spec), WORDS if words else None, spec.build().eval())


@pytest.mark.parametrize("words", [True, False])
def test_classifiers_there_and_back(tmp_path, words):
    bundle = classifier(words)
    written = CLASSIFIER.write(tmp_path / "c", bundle)
    assert set(written.files) == {"model.safetensors"} | ({"tokens.json"} if words else set())
    loaded = CLASSIFIER.load(tmp_path / "c")
    assert loaded.config == written
    assert (loaded.tokens.names == WORDS.names) if words else loaded.tokens is None
    x = torch.tensor([[2, 3]]) if words else torch.rand(1, 4, 3)
    with torch.no_grad():
        assert torch.allclose(loaded.model(x).scores, bundle.model(x).scores, atol=1e-6)
    assert "2 classes" in CLASSIFIER.card("c", loaded)


def test_classifiers_that_are_broken(tmp_path):
    CLASSIFIER.write(tmp_path / "c", classifier(True))
    path = tmp_path / "c" / "config.json"
    config = json.loads(path.read_text())
    for change, message in (
        (lambda d: d["model"].update(classes=[]), "classes must be a list of at least one name"),
        (lambda d: d["model"].update(classes=[1]), "classes must be a list of texts"),
        (lambda d: d["model"]["model"].update(pooling="sum"), "pooling must be one of last"),
        (lambda d: d["model"]["model"].update(dropout=0.5), "unknown key 'dropout'"),
        (lambda d: d["model"]["inputs"].update(size=0), "inputs: size must be a whole number"),
        (lambda d: d["model"]["inputs"].update(vocabulary=99), "the model of config.json knows 99"),
        (lambda d: d["model"].update(classes=["a"]), "does not fit the model"),
        (lambda d: d["files"].pop("tokens.json"), "tokens.json is not listed"),
    ):
        data = json.loads(json.dumps(config))
        change(data)
        path.write_text(json.dumps(data))
        with pytest.raises(ValueError, match=message) as caught:
            CLASSIFIER.read(tmp_path / "c")
        assert str(tmp_path) in str(caught.value)


def test_music_there_and_back(tmp_path):
    spec = MusicSpec(5, {"network": "gru", "num_layers": 1, "hidden_size": 4}, True)
    bundle = MusicBundle(MusicConfig(spec), spec.build().eval())
    MUSIC.write(tmp_path / "m", bundle)
    loaded = MUSIC.load(tmp_path / "m")
    assert loaded.config.model == spec and set(loaded.config.files) == {"model.safetensors"}
    roll = torch.rand(1, 3, 5).round()
    with torch.no_grad():
        assert torch.allclose(loaded.model(roll)[0], bundle.model(roll)[0], atol=1e-6)
    assert "continue-music" in MUSIC.card("m", loaded)


def test_model_json_of_older_versions_is_read():
    """They had a ``kind``, no metric, and other keys at the top."""
    for name, kind in (("lm", LANGUAGE_MODEL), ("captions", CAPTIONER)):
        results = RELEASED / "trainings" / name
        description = json.loads((results / "model.json").read_text())
        assert "task" not in description and kind.describes(description)
        assert [k for k in bundle_kinds() if k.describes(description)] == [kind]
        bundle = kind.from_training(results, description)
        assert bundle.config.training[f"validation {kind.old_metric[0]}"] > 0
        # What this version writes of the same model says the same.
        own = bundle.config.description()
        newer = {"task": kind.task, "valid_metric": kind.old_metric[0],
                 "higher_is_better": kind.old_metric[1], **own}  # fmt: skip
        assert kind.from_training(results, newer).config == bundle.config


def test_a_task_that_makes_no_bundles(tmp_path):
    (tmp_path / "model.json").write_text('{"task": "cooking"}')
    with pytest.raises(ValueError, match="the task of this training, 'cooking', makes no bundles"):
        export(tmp_path, tmp_path / "bundle")


@pytest.mark.parametrize("kind", bundle_kinds(), ids=lambda kind: kind.task)
def test_schemas(kind):
    """Every config has a JSON schema, and says what it needs."""
    schema = json_schema(kind.config)
    assert "model" in schema["required"] and "files" in schema["properties"]
    assert issubclass(kind.config, BundleConfig) and json.dumps(schema)


def test_released_configs_are_read():
    """Those of bundles that older versions wrote, and they are written as they were."""
    kinds = {kind.config.FORMAT: kind for kind in bundle_kinds()}
    paths = sorted((RELEASED / "bundles").rglob("config.json"))
    assert len(paths) >= 10
    for path in paths:
        data = json.loads(path.read_text())
        config = kinds[data["format"]].config.from_dict(data, path)
        again = config.to_dict()
        for key, value in data.items():
            if key != "search":
                assert json.loads(json.dumps(again[key])) == value, f"{path}: {key}"
        assert again["search"].items() >= data["search"].items() if "search" in data else True
