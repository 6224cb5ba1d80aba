"""Readers: real data by their published counts and checksums, and every issue of a file."""

from __future__ import annotations

import gzip
from functools import partial

import numpy as np
import pytest
import torch

from gatedrnn.data.report import Report
from gatedrnn.simulation.small_sets import write_digits, write_idx, write_sentences
from gatedrnn.tasks.classification.corpora import images
from gatedrnn.tasks.classification.corpora.images import (
    as_sequences,
    read_idx,
    read_images,
    sets_as_sequences,
    unpacked,
)
from gatedrnn.tasks.classification.corpora.sentences import (
    read_labelled,
    read_sentences,
    read_vectors,
    sentence_set,
)
from gatedrnn.tasks.classification.data import LabelledSet, Splits, hold_out
from tests.data.corpora import cut, real_data

# ---- real data ------------------------------------------------------------------------------


def test_mnist_is_the_official_one():
    report = Report("mnist")
    sets = read_images("mnist", real_data("mnist"), report)
    found = report.as_dict()
    assert all(file["official"] for file in found["statistics"]["files"].values())
    assert all(check["holds"] for check in found["checks"])
    assert found["statistics"]["images"] == {"train": 55_000, "valid": 5_000, "test": 10_000}
    assert sets.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert sets.tests[0].labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert sets.valid.labels[-1] == 8
    # Known of all 60,000: the mean brightness 0.1307.
    total = sum(int(part.inputs.sum(dtype=torch.int64)) for part in (sets.train, sets.valid))
    assert total / (60_000 * 784 * 255) == pytest.approx(0.1307, abs=5e-5)
    assert sets.train.inputs.shape == (55_000, 28, 28, 1)


@pytest.mark.parametrize(
    ("dataset", "counts"),
    [
        ("trec", (4_907, 545, 500)),
        ("sst2", (6_920, 872, 1_821)),
        ("sst5", (8_544, 1_101, 2_210)),
    ],
)
def test_sentences_with_parts_have_the_published_counts(dataset, counts):
    report = Report(dataset)
    (sets,) = read_sentences(dataset, real_data("sentence_cls"), report)
    assert tuple(len(p) for p in (sets.train, sets.valid, *sets.tests)) == counts
    assert all(check.holds for check in report.checks)
    assert len(set(sets.train.labels.tolist())) == len(sets.classes)


@pytest.mark.parametrize(("dataset", "count"), [("mr", 10_662), ("subj", 10_000)])
def test_sentences_without_parts_come_in_ten_folds(dataset, count):
    report = Report(dataset)
    folder = real_data("sentence_cls")
    folds = read_sentences(dataset, folder, report)
    sizes = [len(fold.tests[0]) for fold in folds]
    assert (len(folds), sum(sizes), max(sizes) - min(sizes) <= 1) == (10, count, True)
    assert report.statistics["folds"] == {"seed": 1, "sizes": sizes}
    assert all(check.holds for check in report.checks)
    parts = [len(part) for part in (folds[0].train, folds[0].valid, *folds[0].tests)]
    assert sum(parts) == count
    again = read_sentences(dataset, folder, Report(dataset))
    assert again[3].valid.inputs == folds[3].valid.inputs
    other = read_sentences(dataset, folder, Report(dataset), seed=2)
    assert other[3].valid.inputs != folds[3].valid.inputs


def test_what_is_not_utf8_is_read_as_it_was_written():
    report = Report("mr")
    whole = read_labelled(real_data("sentence_cls") / "rt-polarity.all.gz", "all", 2, report)
    assert report.statistics["encodings"] == {"rt-polarity.all.gz": "cp1252"}
    assert whole.inputs[31] == "the action clichés just pile up ."


def simulate(dataset, folder, *counts):
    layout = sentence_set(dataset)
    write_sentences(folder, layout.files, len(layout.classes), *counts)


# ---- images ---------------------------------------------------------------------------------


@pytest.fixture
def digits(tmp_path):
    folder = tmp_path / "digits"
    write_digits(folder, 40, 10)
    return folder


def test_a_small_set_is_reported_as_such(digits):
    report = Report("mnist")
    sets = read_images("mnist", digits, report, valid_count=10)
    assert [len(p) for p in (sets.train, sets.valid, *sets.tests)] == [30, 10, 10]
    assert [check.holds for check in report.checks] == [False, False, False]
    (note,) = report.notes
    assert "the last 10 of the 40 images" in note
    # Unpacked, and under the other name that is about.
    whole = gzip.decompress((digits / "train-labels-idx1-ubyte.gz").read_bytes())
    (digits / "train-labels-idx1-ubyte.gz").unlink()
    (digits / "train-labels.idx1-ubyte").write_bytes(whole)
    again = read_images("mnist", digits, Report("mnist"), valid_count=10)
    assert torch.equal(again.train.labels, sets.train.labels)
    fashion = read_images("fashion_mnist", digits, Report("fashion"), valid_count=10)
    assert fashion.classes[9] == "boot"


def test_orders_keep_every_pixel(digits):
    sets = read_images("mnist", digits, Report("mnist"), valid_count=10)
    images = sets.train.inputs
    rows = sets_as_sequences(sets).train.inputs
    assert torch.equal(rows, images[..., 0])
    pixels = as_sequences(images, "pixels")
    assert torch.equal(pixels[:, 28, 0], images[:, 1, 0, 0])
    mixed = as_sequences(images, "pixels", permutation=3)
    assert mixed.shape == (30, 784, 1)
    assert not torch.equal(mixed, pixels)
    assert torch.equal(mixed.sort(dim=1).values, pixels.sort(dim=1).values)
    assert torch.equal(mixed, as_sequences(images, "pixels", permutation=3))
    assert not torch.equal(mixed, as_sequences(images, "pixels", permutation=4))
    with pytest.raises(ValueError, match="order must be rows or pixels, not 'columns'"):
        as_sequences(images, "columns")


def test_cifar_rows_have_all_channels(tmp_path):
    folder = tmp_path / "cifar" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for number in range(1, 7):
        image = np.zeros((2, 3, 32, 32), dtype=np.uint8)
        image[:, 0], image[:, 2, 1, 4] = 10 * number, 7
        records = np.concatenate([[[number], [9]], image.reshape(2, -1)], axis=1)
        name = f"data_batch_{number}.bin" if number < 6 else "test_batch.bin"
        (folder / name).write_bytes(records.astype(np.uint8).tobytes())
    sets = read_images("cifar10", folder.parent, Report("cifar"), valid_count=3)
    assert sets.train.labels.tolist() == [1, 9, 2, 9, 3, 9, 4]
    assert sets.valid.labels.tolist() == [9, 5, 9]
    sets = sets_as_sequences(sets)
    assert sets.train.inputs.shape == (7, 32, 96)
    frame = sets.tests[0].inputs[0, 1].reshape(32, 3)
    assert frame[4].tolist() == [60, 0, 7]
    assert frame[5].tolist() == [60, 0, 0]
    assert as_sequences(torch.zeros(1, 32, 32, 3), "pixels").shape == (1, 1024, 3)
    cut(folder / "data_batch_3.bin", 0.9)
    with pytest.raises(ValueError, match=r"data_batch_3\.bin: 5531 bytes are no number of images"):
        read_images("cifar10", folder, Report("cifar"), valid_count=3)


def spoil(path, change):
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw[:-9], "is cut off: 31367 bytes, where 40 x 28 x 28 elements need 31376"),
        (lambda raw: raw + b"x", "is too long"),
        (lambda raw: raw[:7], "is cut off: its sizes are missing"),
        (lambda raw: b"\x89PNG" + raw, "is no idx file: it begins with 89504e47"),
        (lambda raw: b"\0\0\x0d" + raw[3:], "its elements are float32; .* unsigned bytes"),
        (lambda raw: b"\0\0\x08\x01" + raw[4:], r"has 1 dimension\(s\), must have 3"),
        (lambda raw: b"", "is no idx file: it begins with nothing"),
    ],
)  # fmt: skip
def test_a_wrong_file_of_images_is_one_clear_error(digits, change, message):
    spoil(digits / "train-images-idx3-ubyte.gz", change)
    with pytest.raises(ValueError, match=message):
        read_images("mnist", digits, Report("mnist"), valid_count=10)


def test_wrong_sets_of_images_are_refused(digits, tmp_path):
    labels = digits / "train-labels-idx1-ubyte.gz"
    raw = labels.read_bytes()
    labels.write_bytes(raw[:-10])
    with pytest.raises(ValueError, match="cannot be decompressed, fetch it again"):
        read_images("mnist", digits, Report("mnist"), valid_count=10)
    write_idx(labels, np.full(40, 10, dtype=np.uint8))
    with pytest.raises(ValueError, match="image 0 has the label 10; labels go from 0 to 9"):
        read_images("mnist", digits, Report("mnist"), valid_count=10)
    write_idx(labels, np.zeros(39, dtype=np.uint8))
    with pytest.raises(ValueError, match="40 images with 39 labels for train"):
        read_images("mnist", digits, Report("mnist"), valid_count=10)
    labels.unlink()
    with pytest.raises(FileNotFoundError, match="there is no train-labels-idx1-ubyte, nor"):
        read_images("mnist", digits, Report("mnist"), valid_count=10)
    with pytest.raises(ValueError, match="dataset must be one of mnist, fashion_mnist, cifar10"):
        read_images("emnist", digits, Report("mnist"))
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_idx(tmp_path / "nothing", 1)


def test_fashion_mnist_is_not_mnist(digits, monkeypatch):
    _, digest = read_idx(digits / "train-images-idx3-ubyte.gz", 3)
    monkeypatch.setitem(images._MNIST, "train-images-idx3-ubyte", digest)
    with pytest.raises(ValueError, match="holds MNIST, not Fashion-MNIST"):
        read_images("fashion_mnist", digits, Report("fashion"))


def test_parts_are_checked():
    whole = LabelledSet("train", ["a", "b"], torch.tensor([0, 2]))
    with pytest.raises(ValueError, match="labels go from 0 to 2, but the 2 classes"):
        Splits(("x", "y"), whole, whole)
    with pytest.raises(ValueError, match="2 of 2 cannot be held out"):
        hold_out(whole, 2)
    with pytest.raises(ValueError, match="1 sequences with 2 labels"):
        LabelledSet("train", ["a"], torch.tensor([0, 1]))


# ---- sentences ------------------------------------------------------------------------------


def test_encodings_and_empty_lines(tmp_path):
    path = tmp_path / "a.all"
    path.write_bytes("\ufeff0 naïve café \r\n\r\n1 \r\n1  two  words\r\n".encode())
    report = Report("mine")
    assert read_labelled(path, "all", 2, report).inputs == ["naïve café", "two words"]
    assert report.items("text-empty") == {"a.all:3": ""}
    path.write_bytes(b"0 it \x96 is\n1 a\x85b\n")
    assert read_labelled(path, "all", 2, report).inputs == ["it \u2013 is", "a\u2026b"]
    path.write_bytes(b"0 not in that page: \x81\xe9\n")
    assert read_labelled(path, "all", 2, report).inputs == ["not in that page: \x81é"]
    assert report.statistics["encodings"]["a.all"] == "latin-1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"0 fine\nno label here\n", "line 2 begins with 'no', must be a label from 0 to 1"),
        (b"2 a class too many\n", "line 1 begins with '2'"),
        (b"-1 a class too few\n", "line 1 begins with '-1'"),
        (b"\n\n", "holds no sentence"),
        ("0 wide".encode("utf-16"), "UTF-16"),
    ],
)  # fmt: skip
def test_a_wrong_file_of_sentences_is_one_clear_error(tmp_path, content, message):
    (tmp_path / "a.all").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_labelled(tmp_path / "a.all", "all", 2, Report("mine"))


def test_wrong_sets_of_sentences_are_refused(tmp_path):
    simulate("mr", tmp_path / "mr", 30)
    report = Report("mr")
    assert len(read_sentences("mr", tmp_path / "mr", report, folds=3)) == 3
    assert [check.holds for check in report.checks] == [False]
    for folds in (1, 31, 2.5):
        with pytest.raises(ValueError, match=f"30 sentences cannot be divided into {folds} folds"):
            read_sentences("mr", tmp_path / "mr", Report("mr"), folds=folds)
    with pytest.raises(FileNotFoundError, match=r"there is no subj\.all, nor subj\.all\.gz"):
        read_sentences("subj", tmp_path / "mr", Report("mr"))
    with pytest.raises(ValueError, match="dataset must be one of mr, subj, cr, mpqa, trec"):
        read_sentences("imdb", tmp_path, Report("mr"))
    with pytest.raises(ValueError, match="mr has no phrases; sst2 and sst5 have"):
        read_sentences("mr", tmp_path / "mr", Report("mr"), phrases=True)


def test_phrases_take_the_place_of_sentences_for_training_only(tmp_path):
    simulate("sst2", tmp_path / "sst", 30, 10)
    phrases = tmp_path / "sst" / "stsa.binary.phrases.train"
    phrases.write_text("1 good\n0 bad\n1 so good\n")
    (sets,) = read_sentences("sst2", tmp_path / "sst", Report("sst"), phrases=True)
    assert (sets.train.inputs, len(sets.valid)) == (["good", "bad", "so good"], 10)


def test_simulated_data_never_lands_among_other_files(tmp_path):
    for write in (write_digits, partial(simulate, "sst2")):
        (tmp_path / "mine.txt").write_text("important")
        with pytest.raises(ValueError, match="files that were not simulated"):
            write(tmp_path)
    write_digits(tmp_path / "a", 20, 10, seed=4)
    write_digits(tmp_path / "b", 20, 10, seed=4)
    for path in (tmp_path / "a").glob("*.gz"):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


# ---- word vectors ---------------------------------------------------------------------------

VECTORS = {"good": [1.0, 2.0], "bad": [3.0, -4.5], "café": [0.5, 0.25], "unused": [9.0, 9.0]}


def binary(end: bytes) -> bytes:
    words = [w.encode() + b" " + np.array(v, dtype="<f4").tobytes() for w, v in VECTORS.items()]
    return b"4 2\n" + b"".join(word + end for word in words)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["word2vec", "word2vec with line ends", "glove", "fasttext"])
def test_vectors_of_every_format(tmp_path, kind, packed):
    lines = "".join(f"{w} {v[0]} {v[1]}\n" for w, v in VECTORS.items())
    name, raw = {
        "word2vec": ("a.bin", binary(b"")),
        "word2vec with line ends": ("a.bin", binary(b"\n")),
        # A few of GloVe's words have spaces in them.
        "glove": ("a.txt", f"{lines}at name 7 7\n".encode()),
        "fasttext": ("a.vec", f"4 2\n{lines}".encode()),
    }[kind]
    path = tmp_path / (name + (".gz" if packed else ""))
    path.write_bytes(gzip.compress(raw) if packed else raw)
    found = read_vectors(path, ["bad", "café", "missing"])
    assert {w: v.tolist() for w, v in found.items()} == {w: VECTORS[w] for w in ("bad", "café")}


def test_wrong_files_of_vectors_are_one_clear_error(tmp_path):
    path = tmp_path / "a.bin"
    with pytest.raises(FileNotFoundError, match="no such file of word vectors"):
        read_vectors(path, ["good"])
    path.write_bytes(binary(b"")[:-3])
    with pytest.raises(ValueError, match=r"is cut off, or not .*: of 4 words 3 are there"):
        read_vectors(path, ["good"])
    path.write_bytes(b"good 1 2\n")
    with pytest.raises(ValueError, match="its first line must be the number of words"):
        read_vectors(path, ["good"])
    path.write_bytes(binary(b""))
    with pytest.raises(ValueError, match="has a vector of none of the 1 words"):
        read_vectors(path, ["missing"])
    text = tmp_path / "a.txt"
    text.write_text("a 1 2\ngood 1 x\n")
    with pytest.raises(ValueError, match="line 2 is no word with numbers"):
        read_vectors(text, ["good"])
    # A file that was cut off ends in a short line.
    for content, number in (
        ("a 1 2 3\ngood 1 2\n", 2),
        ("good\n", 1),
        ("2 3\na 1 2 3\ngood 1\n", 3),
    ):
        text.write_text(content)
        with pytest.raises(ValueError, match=f"line {number} has . numbers, the lines before it"):
            read_vectors(text, ["good", "a"])


def test_the_last_ones_are_held_out():
    whole = LabelledSet("all", list("abcde"), torch.tensor([0, 1, 0, 1, 0]))
    first, last = hold_out(whole, 2)
    assert (first.inputs, last.inputs) == (["a", "b", "c"], ["d", "e"])
    assert (first.labels.tolist(), len(last)) == ([0, 1, 0], 2)


def test_elements_of_an_idx_file_packed_or_not(tmp_path):
    write_idx(tmp_path / "labels", np.array([3, 1, 4], dtype=np.uint8))
    elements, _ = read_idx(tmp_path / "labels", 1)
    assert elements.tolist() == [3, 1, 4] and elements.dtype == np.uint8
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"abc"))
    assert unpacked(tmp_path / "a.gz") == b"abc"


def test_an_image_is_a_sequence_of_its_rows_or_of_permuted_pixels():
    images = torch.arange(12).reshape(1, 2, 2, 3)
    assert as_sequences(images).tolist() == [[[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]]
    assert as_sequences(images, "pixels", permutation=1)[0, :, 0].tolist() == [3, 9, 6, 0]


def test_labels_and_bytes_of_a_line(tmp_path):
    (tmp_path / "a.all").write_bytes(b"1 a clich\xe9\n0  fine \n")
    found = read_labelled(tmp_path / "a.all", "all", 2, Report("mine"))
    assert (found.inputs, found.labels.tolist()) == (["a cliché", "fine"], [1, 0])
