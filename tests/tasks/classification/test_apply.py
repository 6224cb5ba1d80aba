"""Use of classifiers: predictions, bundles, and the command ``gatedrnn classify``."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from gatedrnn.bundle.kind import export
from gatedrnn.cli.main import main
from gatedrnn.simulation.small_sets import write_idx
from gatedrnn.tasks.classification.apply import classify, read_inputs
from gatedrnn.tasks.classification.bundle import (
    BUNDLE_KINDS,
    CLASSIFIER,
    ClassifierBundle,
    ClassifierConfig,
    ClassifierSpec,
    load_classifier,
)
from gatedrnn.tasks.classification.corpora.images import as_sequences
from gatedrnn.tasks.classification.data import ImageFrames
from gatedrnn.tasks.classification.decode import confusion_matrix, most_probable
from tests.tasks.classification.tiny import CLASSES, frames, sentences, train

OPTIONS = {"network": "ran", "hidden_size": 6}


def image_classifier(order: str = "rows", permutation: int | None = None) -> ClassifierBundle:
    images = ImageFrames(4, 5, 1, order, permutation)
    spec = ClassifierSpec(("a", "b", "c"), images.frame_width, OPTIONS)
    torch.manual_seed(1)
    config = ClassifierConfig(spec, images)
    return ClassifierBundle(config, None, spec.build().eval())


def test_most_probable_classes_are_sorted():
    scores = torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]]).log()
    first, second = most_probable(scores, "abc", 2)
    assert [p.label for p in first] == ["b", "c"] and [p.label for p in second] == ["a", "c"]
    assert [round(p.probability, 4) for p in first] == [0.7, 0.2]
    assert len(most_probable(scores, "abc", 9)[0]) == 3


def test_confusion_matrix_has_rows_of_labels_and_columns_of_predictions():
    results = [{"label": 0, "prediction": 1}, {"label": 0, "prediction": 1}]
    assert confusion_matrix(results, ["x", "y"]) == "class\tx\ty\nx\t0\t2\ny\t0\t0\n"


@pytest.mark.parametrize("kind", ["frames", "sentences"])
def test_a_training_is_exported_and_classifies_as_in_its_test(tmp_path, kind):
    metrics = train(tmp_path / "run", kind=kind)
    description = json.loads((tmp_path / "run" / "model.json").read_text())
    assert description["task"] == "classification"
    assert description["model"]["classes"] == list(CLASSES)
    _, written = export(tmp_path / "run", tmp_path / "bundle", BUNDLE_KINDS)
    assert written.config.model.classes == CLASSES
    assert "gatedrnn classify" in (tmp_path / "bundle" / "README.md").read_text()
    for folder in ("run", "bundle"):
        classifier = load_classifier(tmp_path / folder)
        assert (classifier.tokens is None) == (kind == "frames")
        inputs, labels = inputs_and_labels(kind)
        predicted = [best.label for (best,) in classify(classifier, inputs, batch_size=4)]
        correct = sum(p == CLASSES[label] for p, label in zip(predicted, labels, strict=True))
        assert 100 * correct / len(labels) == pytest.approx(metrics["test"]["accuracy"])


def inputs_and_labels(kind):
    part = {"frames": frames, "sentences": sentences}[kind]("test", 9, 3)
    return list(part.inputs), part.labels.tolist()


@pytest.mark.parametrize(("order", "permutation"), [("rows", None), ("pixels", 3)])
def test_images_and_idx_files_are_read_as_in_training(tmp_path, order, permutation):
    pil = pytest.importorskip("PIL.Image")
    classifier = image_classifier(order, permutation)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 5), dtype=np.uint8)
    write_idx(tmp_path / "images.gz", pixels)
    pil.fromarray(pixels[1]).save(tmp_path / "one.png")
    expected = as_sequences(torch.from_numpy(pixels)[..., None], order, permutation)
    inputs = read_inputs(tmp_path / "images.gz", classifier)
    assert [name for name, _ in inputs] == [f"{tmp_path / 'images.gz'}:{n}" for n in range(2)]
    assert all(torch.equal(a, b) for (_, a), b in zip(inputs, expected, strict=True))
    ((name, image),) = read_inputs(tmp_path / "one.png", classifier)
    assert name == str(tmp_path / "one.png") and torch.equal(image, expected[1])


def test_wrong_inputs_are_one_clear_error(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    classifier = image_classifier()
    pil.fromarray(np.zeros((5, 5), np.uint8)).save(tmp_path / "large.png")
    with pytest.raises(ValueError, match=r"images of size \(5, 5, 1\); must be \(4, 5, 1\)"):
        read_inputs(tmp_path / "large.png", classifier)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match=r"text\.png: not an image"):
        read_inputs(tmp_path / "text.png", classifier)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_inputs(tmp_path / "none.png", classifier)
    with pytest.raises(ValueError, match=r"must be \(time, 5\) for this model"):
        list(classify(classifier, [torch.zeros(4, 6, dtype=torch.uint8)]))
    with pytest.raises(ValueError, match="inputs must be 1, the width of the frames of images"):
        ClassifierConfig(classifier.config.model, ImageFrames(4, 5, 1, "pixels"))


def test_frames_of_a_file(tmp_path):
    spec = ClassifierSpec(CLASSES, 3, OPTIONS)
    config = ClassifierConfig(spec)
    classifier = ClassifierBundle(config, None, spec.build().eval())
    np.save(tmp_path / "one.npy", np.zeros((6, 3), np.uint8))
    np.save(tmp_path / "many.npy", np.zeros((2, 6, 3), np.uint8))
    np.save(tmp_path / "floats.npy", np.zeros((6, 3)))
    assert len(read_inputs(tmp_path / "one.npy", classifier)) == 1
    inputs = read_inputs(tmp_path / "many.npy", classifier)
    sequences = [sequence for _, sequence in inputs] + [torch.zeros(4, 3, dtype=torch.uint8)]
    assert len(list(classify(classifier, sequences))) == 3
    with pytest.raises(ValueError, match=r"float64 of shape \(6, 3\); must be uint8"):
        read_inputs(tmp_path / "floats.npy", classifier)


def test_command(tmp_path, capsys):
    train(tmp_path / "run", kind="sentences")
    lines = sentences("test", 9, 3).inputs
    (tmp_path / "lines.txt").write_text("\n".join([*lines[:3], "", lines[3]]) + "\n")
    capsys.readouterr()
    command = ["classify", str(tmp_path / "run"), str(tmp_path / "lines.txt")]
    assert main([*command, "--nbest", "2"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    # The fourth line is empty.
    assert [name.rpartition(":")[2] for name, *_ in rows] == list("11223355")
    for best, other in zip(rows[::2], rows[1::2], strict=True):
        assert {best[1], other[1]} == set(CLASSES)
        assert float(best[2]) + float(other[2]) == pytest.approx(1, abs=2e-4)
        assert float(best[2]) >= float(other[2])
    output = tmp_path / "out.jsonl"
    assert main([*command, "--format", "jsonl", "--output", str(output)]) == 0
    objects = [json.loads(line) for line in output.read_text().splitlines()]
    assert [o["classes"][0]["class"] for o in objects] == [row[1] for row in rows[::2]]
    assert main(["classify", str(tmp_path / "run"), str(tmp_path / "none.txt")]) == 2
    assert "none.txt" in capsys.readouterr().err


def test_bundles_are_written_and_read(tmp_path):
    classifier = image_classifier()
    CLASSIFIER.write(tmp_path / "bundle", classifier)
    loaded = load_classifier(tmp_path / "bundle")
    assert loaded.config.images == classifier.config.images and loaded.tokens is None
    image = torch.randint(0, 256, (4, 5)).to(torch.uint8)
    assert list(classify(loaded, [image], 3)) == list(classify(classifier, [image], 3))
