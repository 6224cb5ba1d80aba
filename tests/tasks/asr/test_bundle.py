"""Bundles: what is written is read again; what is broken is refused, with a reason."""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from speechbrain.inference.ASR import EncoderASR

from gatedrnn.bundle.format import read_shapes
from gatedrnn.tasks.asr.apply import Recognizer
from gatedrnn.tasks.asr.bundle import (
    HYPERPARAMS,
    RecognizerConfig,
    _streams,
    read_bundle,
    write_bundle,
)
from gatedrnn.tasks.asr.decode import SearchOptions
from tests.tasks.asr import models

HEADS = {
    "ctc": {},
    "attention": {"hidden_size": 8, "embedding_size": 4, "attention_size": 8},
    "transducer": {"hidden_size": 8, "embedding_size": 4, "joint_size": 8},
}


def write(folder, described=None, **kwargs):
    """Writes a bundle of random weights; gives what was written."""
    made = models.bundle(described or models.spec())
    write_bundle(folder, made.config, made.tokens, made.model, made.frontend.statistics, **kwargs)
    return made


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "bundle")
    return tmp_path / "bundle"


def change(folder, edit, name="model.safetensors"):
    """Edits the config, after bringing size and checksum of a changed file up to date."""
    path = folder / "config.json"
    data = json.loads(path.read_text())
    content = (folder / name).read_bytes()
    data["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    edit(data)
    path.write_text(json.dumps(data))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_there_and_back(tmp_path, head, bidirectional):
    described = models.spec(
        head=head, head_options=HEADS[head], acoustic={"bidirectional": bidirectional}
    )
    made = write(tmp_path / "bundle", described)
    found = read_bundle(tmp_path / "bundle")
    assert found.config.model == described and found.tokens.names == made.tokens.names
    for name, value in made.model.state_dict().items():
        assert torch.equal(found.model.state_dict()[name], value)
    signals = [models.signal(1.0), models.signal(0.4, seed=1)]
    wanted = Recognizer(made).recognize(signals, SearchOptions(3, n_best=3))
    assert Recognizer(found).recognize(signals, SearchOptions(3, n_best=3)) == wanted


@pytest.mark.parametrize("network", models.NETWORKS)
def test_every_recurrence(tmp_path, network):
    made = write(tmp_path / "bundle", models.spec(network))
    signals = [models.signal(0.5)]
    wanted = Recognizer(made).recognize(signals)
    assert Recognizer.load(tmp_path / "bundle").recognize(signals) == wanted


def test_company_does_not_change_what_is_read():
    recogniser = models.recogniser(models.spec(acoustic={"bidirectional": True}))
    signals = [models.signal(s, seed=i) for i, s in enumerate((0.4, 1.3, 0.013, 1.0))]
    together = recogniser.recognize(signals, SearchOptions())
    for signal, found in zip(signals, together, strict=True):
        alone = recogniser.recognize([signal], SearchOptions())[0]
        assert alone.text == found.text and len(alone.words) == len(found.words)


def test_no_samples_and_few():
    found = models.recogniser().recognize([torch.zeros(0), torch.zeros(1), torch.zeros(160)])
    assert found[0].text == "" and found[0].words == ()
    assert models.recogniser().recognize([]) == []


def test_an_existing_folder_is_not_lost(tmp_path, folder):
    with pytest.raises(FileExistsError, match="--overwrite"):
        write(folder)
    write(folder, models.spec("ran"), overwrite=True)
    assert read_bundle(folder).config.model.acoustic["network"] == "ran"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(FileExistsError, match="something else"):
        write(tmp_path / "mine", overwrite=True)
    assert [p.name for p in tmp_path.glob(".*")] == []


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr("gatedrnn.bundle.format.save_file", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_stock_interface(tmp_path):
    folder = tmp_path / "bundle"
    text = HYPERPARAMS.format(name="bundle", sample_rate=16000)
    made = write(folder, more={"hyperparams.yaml": text})
    asr = EncoderASR.from_hparams(source=str(folder), run_opts={"device": "cpu"})
    recogniser = Recognizer(made)
    signals = [models.signal(1.0), models.signal(0.73, seed=2)]
    batch = torch.stack([torch.nn.functional.pad(s, (0, 16000 - len(s))) for s in signals])
    lengths = torch.tensor([len(s) / 16000 for s in signals])
    texts, _ = asr.transcribe_batch(batch, lengths)
    assert texts == [reading.text for reading in recogniser.recognize(signals, SearchOptions())]


def test_stock_interface_is_for_ctc(tmp_path):
    folder = tmp_path / "bundle"
    described = models.spec(head="attention", head_options=HEADS["attention"])
    write(folder, described, more={"hyperparams.yaml": HYPERPARAMS.format(name="b", sample_rate=1)})
    with pytest.raises(ValueError, match="EncoderASR decodes by CTC alone"):
        EncoderASR.from_hparams(source=str(folder))


# ---- what is refused ------------------------------------------------------------------------


def refused(folder, wanted):
    """The bundle is refused for the wanted reason, before memory is taken for weights."""
    with pytest.raises((ValueError, FileNotFoundError), match=wanted) as caught:
        read_bundle(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokens.json"])
def test_missing_file(folder, name):
    (folder / name).unlink()
    refused(folder, name)


def test_a_trainings_folder(tmp_path):
    (tmp_path / "save").mkdir()
    refused(tmp_path, "gatedrnn export")
    refused(tmp_path / "nowhere", "no such bundle")


@pytest.mark.parametrize(
    ("edit", "wanted"),
    [
        (lambda d: d.update(version=3), "version 3 is newer"),
        (lambda d: d.update(version="1"), "version must be a whole number"),
        (lambda d: d.update(format="other"), "format must be"),
        (lambda d: d.update(code="import os"), "unknown key 'code'"),
        (lambda d: d.pop("model"), "no key 'model'"),
        (lambda d: d["search"].update(beam_size=0), "beam_size must be"),
        (lambda d: d["files"].update({"../../etc/passwd": {}}), "own folder"),
        (lambda d: d["files"].pop("tokens.json"), "tokens.json is not listed"),
        (lambda d: d["files"]["tokens.json"].update(bytes=-1), "bytes must be"),
        (lambda d: d["files"]["tokens.json"].update(path="x"), "unknown key 'path'"),
        (lambda d: d["model"].update(extra=1), "unknown key 'extra'"),
        (lambda d: d["model"].pop("vocabulary"), "no key 'vocabulary'"),
        (lambda d: d["model"].update(vocabulary=True), "vocabulary must be a whole number"),
        (lambda d: d["model"].update(head="llm"), "head must be"),
        (lambda d: d["model"].update(normalisation="none"), "normalisation must be"),
        (lambda d: d["model"]["acoustic"].update(encoder="os.system"), "unknown key 'encoder'"),
        (lambda d: d["model"]["acoustic"].update(network="gru2"), "gru2"),
        (lambda d: d["model"]["acoustic"].update(network=["ran"]), "network must be text"),
        (lambda d: d["model"]["acoustic"].update(hidden_size=10**9), "hidden_size must be"),
        (lambda d: d["model"]["acoustic"].update(num_layers=10**6), "num_layers must be"),
        (lambda d: d["model"]["acoustic"].update(hidden_size=16), "does not fit the model"),
        (lambda d: d["model"]["acoustic"].update(num_layers=4), "does not fit the model"),
        (lambda d: d["model"]["acoustic"].update(input_size=40), "n_mels is 80"),
        (
            lambda d: d["model"]["acoustic"].update(network_options={"evil": 1}),
            "evil",
        ),
        (
            lambda d: d["model"]["acoustic"].update(network_options={"a": {"b": 1}}),
            "network_options must be",
        ),
        (lambda d: d["model"]["features"].update(n_mels="80"), "n_mels must be"),
        (lambda d: d["model"]["features"].update(sample_rate=0), "sample_rate must be"),
        (lambda d: d["model"].update(vocabulary=11), "11"),
    ],
)
def test_config(folder, edit, wanted):
    change(folder, edit)
    refused(folder, wanted)


def test_config_that_is_none(folder):
    (folder / "config.json").write_text("{")
    refused(folder, "is no JSON")
    (folder / "config.json").write_text("[" * 100_000)
    refused(folder, "is no JSON")
    (folder / "config.json").write_text("[]")
    refused(folder, "must be an object")
    (folder / "config.json").write_text(" " * 2_000_000)
    refused(folder, "too many")


def weights(folder, edit):
    """Writes changed weights; the config lists them rightly."""
    path = folder / "model.safetensors"
    found = load_file(path)
    edit(found)
    save_file(found, path)
    change(folder, lambda data: None)


def test_wrong_shape(folder):
    weights(folder, lambda w: w.update({"model.output.bias": torch.zeros(3)}))
    refused(folder, r"its model.output.bias is \(3,\), in the model \(10,\)")


def test_weights_missing_and_too_many(folder):
    weights(folder, lambda w: w.pop("normalize.mean"))
    refused(folder, "it lacks normalize.mean")
    weights(folder, lambda w: w.update({"normalize.mean": torch.zeros(80), "x": torch.zeros(1)}))
    refused(folder, "it has x, which the model has not")


def test_other_numbers(folder):
    weights(folder, lambda w: w.update({"model.output.bias": torch.zeros(10, dtype=torch.int32)}))
    refused(folder, "model.output.bias is I32, and must be F32")
    weights(folder, lambda w: w.update({"model.output.bias": torch.full((10,), float("nan"))}))
    refused(folder, "not finite")


def test_pickle(folder):
    class Harm:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was read",))

    path = folder / "model.safetensors"
    for content in (pickle.dumps(Harm()), b"PK\x03\x04" + bytes(50)):
        path.write_bytes(content)
        change(folder, lambda data: None)
        refused(folder, "is a pickle")


def test_a_header_whose_length_begins_as_a_pickle(tmp_path):
    path = tmp_path / "model.safetensors"
    begins = set()
    for length in range(400, 1400):
        save_file({"a" * length: torch.zeros(1)}, path)
        begins.add(path.read_bytes()[:2])
        assert read_shapes(path) == {"a" * length: (1,)}
    assert begins & {b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"}


def test_sizes_that_are_claimed(folder):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    header = json.loads(whole[8 : 8 + length])

    def claim(content):
        path.write_bytes(content)
        change(folder, lambda data: None)

    claim(struct.pack("<Q", 10_000_000_000) + whole[8:])
    refused(folder, "no safetensors file: .*header too large")
    name = "model.output.weight"
    header[name]["shape"] = [10**9, 10]
    header[name]["data_offsets"][1] = header[name]["data_offsets"][0] + 4 * 10**10
    text = json.dumps(header).encode()
    claim(struct.pack("<Q", len(text)) + text + whole[8 + length :])
    refused(folder, "no safetensors file: .*header: invalid offset")
    claim(whole[:-8])
    refused(folder, "no safetensors file: .*file not fully covered")
    claim(b"123")
    refused(folder, "no safetensors file")
    claim(struct.pack("<Q", 4) + b"{..}")
    refused(folder, "no safetensors file: .*invalid JSON in header")


def test_exchanged_file(folder):
    path = folder / "tokens.json"
    path.write_text(path.read_text().replace("A", "B"))
    refused(folder, "checksum differs")
    path.write_text("{}")
    refused(folder, "bytes")


@pytest.mark.parametrize(
    "content", ["[]", '{"kind": "pieces", "model": "00ff"}', '{"kind": "characters", "names": []}']
)
def test_broken_tokens(folder, content):
    (folder / "tokens.json").write_text(content)
    change(folder, lambda data: None, "tokens.json")
    refused(folder, "does not hold the tokens")


def test_config_says_what_was_trained():
    described = models.spec()
    config = RecognizerConfig(described, training={"sets": {}})
    assert config.to_dict()["training"] == {"sets": {}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"head": "transducer"}, True),
        ({"head": "attention"}, False),
        ({"normalisation": "sentence"}, False),
        ({"features": {"dynamic_range": 80.0}}, False),
    ],
)
def test_the_card_states_whether_a_model_streams(changes, expected):
    assert _streams(replace(models.spec(), **changes)) is expected
