"""Bundles of translators, and the command that uses them."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
import torch

from gatedrnn.cli.main import main
from gatedrnn.dataio.parallel import Languages
from gatedrnn.decoding.captions import CaptionSearch
from gatedrnn.inference.translation import translate
from gatedrnn.inference.translator import (
    TranslatorBundle,
    TranslatorConfig,
    read_translator,
    write_translator,
)
from gatedrnn.inference.translator_export import load_translator
from gatedrnn.lobes.translator import TranslatorSpec
from gatedrnn.training.text_tokens import TextCharacters, TextPieces, TextWords
from tests.translation.tiny import train

TEXT = ["a red dog runs", "the dog sees a cat", "a cat runs", "the red cat sees the dog"]
TOKENS = {
    "words": TextWords.learn(TEXT),
    "characters": TextCharacters.learn(TEXT),
    "pieces": TextPieces.learn(TEXT, 24, "bpe"),
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
    search = search or CaptionSearch(beam_size=3, max_length=6, length_penalty=1.0)
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
    refused(lambda d: d["languages"].update(source=3), "source must be the code of a language")
    refused(lambda d: d["languages"].pop("lowercase"), "with source, target and lowercase")
    refused(lambda d: d["languages"].update(lowercase="no"), "lowercase must be true or false")
    refused(lambda d: d["search"].update(beam_size="5"), "beam_size must be a whole number from 1")
    refused(lambda d: d["search"].update(groups=2), "search: beam_size and groups must be")
    refused(lambda d: d["search"].update(beam=2), "search has an unknown key 'beam'")
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
    from gatedrnn.inference.folder import entry_of

    entry = entry_of(path)
    config["files"]["target_tokens.json"] = {"bytes": entry.bytes, "sha256": entry.sha256}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"target_tokens\.json does not hold the tokens of a tex"):
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
    # What it was the best by, if the training has not come to its test.
    (trained / "results.json").rename(trained / "kept.json")
    try:
        from gatedrnn.inference.translator_export import translator_card

        assert "of the validation sentences: " in translator_card("mine", load_translator(trained))
    finally:
        (trained / "kept.json").rename(trained / "results.json")


def test_descriptions_of_older_versions(trained, tmp_path, capsys):
    path = trained / "model.json"
    text = path.read_text()
    data = json.loads(text)
    try:
        del data["search"]
        path.write_text(json.dumps(data))
        assert main(["export", str(trained), str(tmp_path / "t")]) == 2
        error = capsys.readouterr().err
        assert "no key 'search'; the command of that training with --test_only" in error
        path.write_text(json.dumps(data | {"kind": "captions"}))
        assert main(["translate", str(trained), str(path)]) == 2
        assert "another model, not of a translator" in capsys.readouterr().err
    finally:
        path.write_text(text)


def test_the_command(tmp_path, capsys, monkeypatch):
    folder = write(tmp_path / "t", lowercase=True)
    text = tmp_path / "a.txt"
    text.write_text("A red  DOG runs\n\nthe green dog sees a cat\n")
    assert main(["translate", str(folder), str(text)]) == 0
    plain = capsys.readouterr()
    lines = plain.out.split("\n")
    assert len(lines) == 4 and lines[0] and lines[1] == "" and lines[2]
    assert plain.err == (
        "gatedrnn translate: 1 of 3 sentences have what training has not, the first of them line "
        "3: green\n"
    )
    # Piped in, the same.
    piped = io.TextIOWrapper(io.BytesIO(text.read_bytes()))
    monkeypatch.setattr("sys.stdin", piped)
    assert main(["translate", str(folder)]) == 0
    assert capsys.readouterr().out == plain.out
    output = tmp_path / "out.jsonl"
    options = ["--nbest", "2", "--format", "jsonl", "--output", str(output)]
    assert main(["translate", str(folder), str(text), str(text), *options]) == 0
    assert capsys.readouterr().out == ""
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(rows) == 6 and rows[0] == rows[3] and rows[0]["source"] == "A red DOG runs"
    assert [row["translation"] for row in rows[:3]] == lines[:3]
    two = rows[0]["translations"]
    assert two[0]["text"] == lines[0] and two[0]["score"] >= two[1]["score"]
    assert main(["translate", str(folder), str(text), "--nbest", "2"]) == 0
    cells = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [cell[0] for cell in cells] == ["1", "1", "2", "3", "3"] and cells[2][2] == ""
    assert main(["translate", str(folder), str(text), "--beam", "1", "--length-penalty", "0"]) == 0
    assert capsys.readouterr().out.count("\n") == 3


def test_the_command_refuses(tmp_path, capsys):
    pytest.importorskip("sacrebleu")
    folder = write(tmp_path / "t")
    text, short, holes = (tmp_path / name for name in ("a.txt", "short.txt", "holes.txt"))
    text.write_text("a dog\na cat\n")
    short.write_text("a dog\n")
    holes.write_text("a dog\n\n")
    for wrong, message in (
        (["--nbest", "0"], "--nbest must be at least 1"),
        (["--nbest", "3", "--beam", "2"], "needs a --beam of as many"),
        (["--beam", "0"], "--nbest 1 needs a --beam of as many"),
        (["--length-penalty", "-1"], "length_penalty must be at least 0"),
        (["--batch", "0"], "batch_size and ahead must be at least 1"),
        (["--device", "nothing"], "--device nothing cannot be used here"),
        (["--references", str(short)], "1 lines cannot be the translations of 2 sentences"),
        (["--references", str(text), str(short)], "as many lines each"),
        (["--references", str(holes)], "line 2 is empty in each of them"),
        (["--references", str(text), "--bleu-tokenize", "x"], "bleu_tokenize must be one of"),
        (["--references", str(tmp_path / "no.txt")], "no.txt: no such file"),
    ):
        assert main(["translate", str(folder), str(text), *wrong]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert main(["translate", str(tmp_path / "no"), str(text)]) == 2
    assert "no such bundle" in capsys.readouterr().err
    assert main(["translate", str(folder), str(tmp_path / "no.txt")]) == 2
    assert "no.txt: no such file" in capsys.readouterr().err


def test_batches_change_nothing():
    bundle = make(search=CaptionSearch(beam_size=2, max_length=8))
    sentences = [*TEXT, "", "dog", *reversed(TEXT), "unseen word here"]
    one = list(translate(bundle, sentences, batch_size=1, ahead=1))
    assert [found.source for found in one] == sentences
    for size, ahead in ((3, 1), (2, 3), (64, 2)):
        many = list(translate(bundle, iter(sentences), batch_size=size, ahead=ahead))
        assert [found.texts for found in many] == [found.texts for found in one]
        for a, b in zip(many, one, strict=True):
            assert a.scores == pytest.approx(b.scores, abs=1e-4) and a.unknown == b.unknown
    assert one[4].texts == ("",) and one[-1].unknown == ("unseen", "word", "here")
