"""Bundles of translators, and the command that uses them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from gatedrnn.bundle.format import FileEntry, read_shapes
from gatedrnn.bundle.kind import load_best
from gatedrnn.cli.main import main
from gatedrnn.seq2seq.search import SearchOptions
from gatedrnn.tasks.translation.apply import translate
from gatedrnn.tasks.translation.bundle import (
    TRANSLATOR,
    TranslatorBundle,
    TranslatorConfig,
    load_translator,
    read_translator,
    write_translator,
)
from gatedrnn.tasks.translation.corpora import Languages
from gatedrnn.tasks.translation.model import TranslatorSpec
from gatedrnn.tokens import Characters, Pieces, Words
from gatedrnn.training.checkpoints import SafeCheckpointer
from tests.tasks.translation.tiny import train

TEXT = ["a red dog runs", "the dog sees a cat", "a cat runs", "the red cat sees the dog"]
TOKENS = {
    "words": Words.learn(TEXT, "<eos>"),
    "characters": Characters.learn(TEXT, "<eos>"),
    "pieces": Pieces.learn(TEXT, "<eos>", 24, "bpe"),
}


def make(source="words", target="words", lowercase=False, search=None, **decoder):
    """A translator of random weights, large enough that what it says depends on what it reads."""
    torch.manual_seed(0)
    sizes = {"network": "gru", "hidden_size": 8, "embedding_size": 8}
    read, wrote = TOKENS[source], TOKENS[target]
    spec = TranslatorSpec(len(read), len(wrote), sizes, sizes | decoder)
    model = spec.build().eval().requires_grad_(False)
    for weight in model.parameters():
        weight.uniform_(-1.5, 1.5)
    if decoder.get("tied"):
        assert model.decoder.softmax.weight is model.decoder.embedding.weight
    search = search or SearchOptions(beam_size=3, max_length=6, length_penalty=1.0)
    config = TranslatorConfig(spec, Languages("en", "xx", lowercase), search)
    return TranslatorBundle(config, read, wrote, model)


def write(folder, **options):
    write_translator(folder, make(**options))
    return folder


@pytest.mark.parametrize(
    "options",
    [
        {"source": "characters", "target": "pieces", "attention": "soft"},
        {"source": "pieces", "target": "characters", "tied": True, "lowercase": True},
        {"attention": {"kind": "late", "size": 8}, "network": "beta"},
    ],
)
def test_there_and_back(tmp_path, options):
    made = make(**options)
    write_translator(tmp_path / "t", made)
    found = read_translator(tmp_path / "t")
    same = replace(made.config, files=found.config.files, made_by=found.config.made_by)
    assert found.config == same and set(found.config.files) == {
        "model.safetensors", "source_tokens.json", "target_tokens.json"
    }  # fmt: skip
    state = found.model.state_dict()
    assert state.keys() == made.model.state_dict().keys()
    for name, weight in made.model.state_dict().items():
        assert torch.equal(state[name], weight), name
    if options.get("tied"):
        assert found.model.decoder.softmax.weight is found.model.decoder.embedding.weight
        assert "model.decoder.softmax.weight" not in read_shapes(tmp_path / "t/model.safetensors")
    assert not any(module.training for module in found.model.modules())
    assert not any(weight.requires_grad for weight in found.model.parameters())
    before, after = (list(translate(bundle, TEXT)) for bundle in (made, found))
    assert [one.texts for one in before] == [one.texts for one in after]
    assert len({one.texts for one in before}) > 1


def test_what_is_broken_is_refused(tmp_path, capsys):
    folder = write(tmp_path / "t")
    text = tmp_path / "a.txt"
    text.write_text("a dog\n")
    config = json.loads((folder / "config.json").read_text())

    def refused(change, wanted):
        data = json.loads(json.dumps(config))
        change(data)
        (folder / "config.json").write_text(json.dumps(data))
        assert main(["translate", str(folder), str(text)]) == 2
        error = capsys.readouterr().err
        assert wanted in error and str(folder) in error and error.count("\n") == 1

    refused(lambda d: d.update(format="gatedrnn-captioner"), "must be 'gatedrnn-translator'")
    refused(lambda d: d.update(version=2), "version 2 is newer than what this gatedrnn reads")
    refused(
        lambda d: d["languages"].update(source=3),
        "languages: source must be text that is not empty, not 3",
    )
    refused(lambda d: d["languages"].pop("lowercase"), "languages: there is no key 'lowercase'")
    refused(lambda d: d["languages"].update(lowercase="no"), "lowercase must be true or false")
    refused(lambda d: d["search"].update(beam_size="5"), "beam_size must be a whole number from 1")
    refused(lambda d: d["search"].update(groups=2), "search: beam_size and groups must be")
    refused(lambda d: d["search"].update(beam=2), "search: unknown key 'beam'")
    refused(lambda d: d["search"].update(length_penalty=250.0), "a number from 0 to 10, not 250")
    refused(lambda d: d["model"].pop("source"), "there is no key 'source'")
    refused(lambda d: d["model"].pop("vocabulary"), "there is no key 'vocabulary'")
    refused(lambda d: d["model"].update(source=99), "and the model of config.json knows 99")
    refused(lambda d: d["model"].update(vocabulary=99), "and the model of config.json knows 99")
    refused(lambda d: d["model"]["encoder"].update(hidden_size=9), "does not fit the model")
    refused(lambda d: d["model"]["decoder"].update(network="gpt"), "config.json: ")
    refused(lambda d: d["files"].pop("source_tokens.json"), "source_tokens.json is not listed")
    refused(lambda d: d["files"].update({"tokens.json": {}}), "'tokens.json' is not a file of a")
    refused(lambda d: d["files"]["target_tokens.json"].update(bytes=3), "bytes, and 3 by config")
    refused(lambda d: d.update(training=[]), "training must be an object with named values")
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "source_tokens.json").unlink()
    assert main(["translate", str(folder), str(text)]) == 2
    assert "this file of the bundle is missing" in capsys.readouterr().err


def test_tokens_that_are_none(tmp_path, capsys):
    folder = write(tmp_path / "t")
    path = folder / "target_tokens.json"
    data = json.loads(path.read_text())
    # As long as before, but with a checksum of its own.
    path.write_text(json.dumps(data | {"kind": "wordz"}))
    config = json.loads((folder / "config.json").read_text())
    entry = FileEntry.of(path)
    config["files"]["target_tokens.json"] = {"bytes": entry.bytes, "sha256": entry.sha256}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"target_tokens\.json: does not hold the tokens of a mod"):
        read_translator(folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    pytest.importorskip("sacrebleu")
    folder = tmp_path_factory.mktemp("trained") / "out"
    size = {"num_layers": 1, "hidden_size": 32, "max_batch_size": 32, "lr": 0.02}
    train(folder, train=600, epochs=3, beam_size=3, **size)
    return folder


def test_a_training_becomes_a_bundle_that_gives_its_translations(trained, tmp_path, capsys):
    bundle = tmp_path / "t"
    assert main(["export", str(trained), str(bundle)]) == 0
    said = capsys.readouterr().out
    assert "test: BLEU" in said and f"gatedrnn translate {bundle}" in said
    assert main(["export", str(trained), str(tmp_path / "o"), "--onnx"]) == 2
    assert "--onnx is for recognisers, and this is a translator" in capsys.readouterr().err
    assert main(["export", str(trained), str(bundle)]) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    names = sorted(path.name for path in bundle.iterdir())
    assert names == [
        "README.md", "config.json", "model.safetensors", "source_tokens.json", "target_tokens.json"
    ]  # fmt: skip
    results = json.loads((trained / "results.json").read_text())
    score = results["sets"]["test"]
    card = (bundle / "README.md").read_text()
    assert "from `en` to `xx`" in card and "1 layers of `gru` with 32 cells" in card
    assert f"| test | 8 | {score['BLEU']:.2f} |" in card
    data = trained.parent / "data"
    wanted = (trained / "hypotheses_test.txt").read_text()
    sources = (data / "test.en").read_text().splitlines()
    assert len(set(sources)) == len(sources)
    for model in (bundle, trained):
        for batch in ("1", "3", "32"):
            inputs = [str(model), str(data / "test.en"), "--batch", batch]
            assert main(["translate", *inputs, "--references", str(data / "test.xx")]) == 0
            found = capsys.readouterr()
            assert found.out == wanted
            assert found.err.startswith(f"BLEU {score['BLEU']:.2f} (nrefs:1|")
    assert len(set(wanted.splitlines())) > 1


@contextmanager
def changed(path, text):
    """Another content of a file, for a while."""
    before = path.read_text()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(before)


def test_trainings_that_are_broken(trained, tmp_path, capsys):
    described = trained / "model.json"
    data = json.loads(described.read_text())
    older = {name: value for name, value in data.items() if name != "search"}
    smaller = json.dumps(TOKENS["words"].to_dict())
    for name, text, wanted in (
        ("model.json", json.dumps(older), "no key 'search'; the command of that training with --t"),
        ("model.json", json.dumps(data | {"task": "captioning"}), "model.json: "),
        ("model.json", "[]", "model.json must hold an object"),
        ("model.json", "{", "model.json is no JSON"),
        ("results.json", "{", "results.json is no JSON"),
        ("source_tokens.json", smaller, f"has {len(TOKENS['words'])} tokens, and the model of mod"),
        ("target_tokens.json", smaller, f"has {len(TOKENS['words'])} tokens, and the model of mod"),
        ("target_tokens.json", '{"kind": "pieces", "model": "00", "alphabet": ""}', "not hold the"),
    ):
        with changed(trained / name, text):
            assert main(["export", str(trained), str(tmp_path / "t")]) == 2
            error = capsys.readouterr().err
            assert wanted in error and error.count("\n") == 1 and not (tmp_path / "t").exists()
    with changed(described, json.dumps(data | {"task": "captioning"})):
        assert main(["translate", str(trained), str(described)]) == 2
        assert "another model, not of a translator" in capsys.readouterr().err
    # A training whose test has not said all has a card with what is known.
    with changed(trained / "results.json", '{"seed": 7, "sets": {"test": {"BLEU": 1.0}}}'):
        assert "of the validation set: " in TRANSLATOR.card("t", load_translator(trained))


def test_batches_change_nothing():
    bundle = make(search=SearchOptions(beam_size=2, max_length=8))
    sentences = [*TEXT, "", "dog", *reversed(TEXT), "unseen word here", " ".join(TEXT * 60)]
    one = list(translate(bundle, sentences, batch_size=1, ahead=1))
    assert [found.source for found in one] == sentences
    for size, ahead in ((3, 1), (2, 3), (64, 2)):
        many = list(translate(bundle, iter(sentences), batch_size=size, ahead=ahead))
        assert [found.texts for found in many] == [found.texts for found in one]
        for a, b in zip(many, one, strict=True):
            assert a.scores == pytest.approx(b.scores, abs=1e-4) and a.unknown == b.unknown
    assert one[4].texts == ("",) and one[-2].unknown == ("unseen", "word", "here")


def test_long_sentences_go_alone(monkeypatch):
    bundle = make()
    shapes = []
    encode = bundle.model.encode

    def spy(media, lengths):
        shapes.append(tuple(media.shape))
        return encode(media, lengths)

    monkeypatch.setattr(bundle.model, "encode", spy)
    sentences = ["a dog", " ".join(["dog"] * 900), "the cat", "a", " ".join(["cat"] * 150)]
    assert len(list(translate(bundle, sentences, batch_size=4))) == 5
    assert shapes == [(3, 3), (1, 151), (1, 901)]
    shapes.clear()
    list(translate(bundle, sentences[:1] + sentences[4:], batch_size=4))
    assert shapes == [(2, 151)]


@pytest.mark.parametrize("higher", [True, False])
def test_the_best_checkpoint_is_taken(tmp_path, higher):
    model = torch.nn.Linear(1, 1, bias=False)
    checkpointer = SafeCheckpointer(tmp_path / "save", {"model": model})
    for value, score in ((1.0, 5.0), (2.0, 7.0), (3.0, 6.0)):
        torch.nn.init.constant_(model.weight, value)
        checkpointer.save_checkpoint(meta={"score": score}, name=f"score{score}")
    taken = torch.nn.Linear(1, 1, bias=False).train()
    training = load_best(tmp_path, {"model": taken}, "score", higher)
    assert taken.weight.item() == (2.0 if higher else 1.0) and not taken.training
    assert training == {"validation score": 7.0 if higher else 5.0}
