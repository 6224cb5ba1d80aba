"""Bundles of translators, and the command that uses them."""

from __future__ import annotations

import io
import json
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from gatedrnn.cli.main import main
from gatedrnn.dataio.parallel import Languages
from gatedrnn.decoding.captions import CaptionSearch
from gatedrnn.inference.folder import entry_of
from gatedrnn.inference.trained import take_best
from gatedrnn.inference.translation import translate
from gatedrnn.inference.translator import (
    TranslatorBundle,
    TranslatorConfig,
    read_translator,
    write_translator,
)
from gatedrnn.inference.translator_export import load_translator, translator_card
from gatedrnn.inference.weights import read_shapes
from gatedrnn.lobes.translator import TranslatorSpec
from gatedrnn.training.checkpoints import SafeCheckpointer
from gatedrnn.training.text_tokens import TextCharacters, TextPieces, TextWords
from gatedrnn.training.translation import TranslationBrain
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
    refused(lambda d: d["languages"].update(source=3), "source must be the code of a language")
    refused(lambda d: d["languages"].pop("lowercase"), "with source, target, lowercase, bleu_t")
    refused(lambda d: d["languages"].update(lowercase="no"), "lowercase must be true or false")
    refused(lambda d: d["search"].update(beam_size="5"), "beam_size must be a whole number from 1")
    refused(lambda d: d["search"].update(groups=2), "search: beam_size and groups must be")
    refused(lambda d: d["search"].update(beam=2), "search has an unknown key 'beam'")
    refused(lambda d: d["search"].update(length_penalty=250.0), "must be from 0 to 10, not 250")
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
        ("model.json", json.dumps(data | {"kind": "captions"}), "model.json: "),
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
    with changed(described, json.dumps(data | {"kind": "captions"})):
        assert main(["translate", str(trained), str(described)]) == 2
        assert "another model, not of a translator" in capsys.readouterr().err
    # A training whose test has not said all has a card with what is known.
    with changed(trained / "results.json", '{"seed": 7, "sets": {"test": {"BLEU": 1.0}}}'):
        assert "of the validation sentences: " in translator_card("t", load_translator(trained))


def said(capsys, *arguments) -> tuple[str, str]:
    assert main(["translate", *map(str, arguments)]) == 0
    found = capsys.readouterr()
    return found.out, found.err


def test_the_command(tmp_path, capsys, monkeypatch):
    folder = write(tmp_path / "t", lowercase=True)
    text = tmp_path / "a.txt"
    text.write_text("A red  DOG runs\n\nthe green dog sees a cat\n")
    plain, strange = said(capsys, folder, text)
    lines = plain.split("\n")
    assert len(lines) == 4 and lines[0] and lines[1] == "" and lines[2]
    assert strange == (
        "gatedrnn translate: 1 of 3 sentences have what training has not, the first of them line "
        "3: green\n"
    )
    output = tmp_path / "out.jsonl"
    options = ["--nbest", "2", "--format", "jsonl", "--output", output]
    # Options may stand before the files.
    assert said(capsys, folder, *options, text, text)[0] == ""
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(rows) == 6 and rows[0] == rows[3] and rows[0]["source"] == "A red DOG runs"
    assert [row["translation"] for row in rows[:3]] == lines[:3]
    two = rows[0]["translations"]
    assert two[0]["text"] == lines[0] and two[0]["score"] >= two[1]["score"]
    cells = [line.split("\t") for line in said(capsys, folder, text, "--nbest", 2)[0].splitlines()]
    assert [cell[0] for cell in cells] == ["1", "1", "2", "3", "3"] and cells[2][2] == ""
    # What is asked for is what is searched for.
    bundle = read_translator(folder)
    for given, wanted in (
        (["--beam", 1], {"beam_size": 1}),
        (["--length-penalty", 0], {"length_penalty": 0.0}),
        (["--nbest", 9], {"beam_size": 9}),
    ):
        search = replace(bundle.config.search, **wanted)
        found = [
            one.texts[0] for one in translate(bundle, text.read_text().split("\n")[:3], search)
        ]
        written = said(capsys, folder, text, *given, "--format", "jsonl")[0].splitlines()
        assert [json.loads(row)["translation"] for row in written] == found, given
    assert found != lines[:3]


class Typed(io.TextIOWrapper):
    def isatty(self):
        return True


def test_standard_input(tmp_path, capsys, monkeypatch):
    folder = write(tmp_path / "t")
    text = "a  red dog\n\nthe cat\n"
    (tmp_path / "a.txt").write_text(text)
    plain = said(capsys, folder, tmp_path / "a.txt")
    for raw in (text.encode(), b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()):
        for kind, options in (
            (io.TextIOWrapper, []),
            (io.TextIOWrapper, ["--batch", 1]),
            (Typed, []),
        ):
            monkeypatch.setattr("sys.stdin", kind(io.BytesIO(raw)))
            assert said(capsys, folder, "-", *options) == plain
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode("utf-16"))))
    assert main(["translate", str(folder), "-"]) == 2
    assert "standard input is UTF-16, or not text at all" in capsys.readouterr().err


def test_what_is_typed_is_translated_as_it_comes(tmp_path, capsys, monkeypatch):
    folder = write(tmp_path / "t")

    class Slow(io.BytesIO):
        def __next__(self):
            line = super().__next__()
            if line.startswith(b"the"):
                assert capsys.readouterr().out.count("\n") == 1
            return line

    stdin = Typed(io.BytesIO())
    monkeypatch.setattr("sys.stdin", stdin)
    monkeypatch.setattr(Typed, "buffer", Slow(b"a dog\nthe cat\n"), raising=False)
    assert said(capsys, folder, "-")[0].count("\n") == 1


def test_groups_of_a_diverse_search(tmp_path, capsys):
    search = CaptionSearch(beam_size=4, groups=2, max_length=5, diversity=9.0)
    folder = write(tmp_path / "t", search=search)
    text = tmp_path / "a.txt"
    text.write_text("a red dog\n")
    bundle = read_translator(folder)
    for options, beam in (([], 4), (["--nbest", 5], 6), (["--beam", 2], 2)):
        options = ["--format", "jsonl", *map(str, options)]
        (wanted,) = translate(bundle, ["a red dog"], replace(search, beam_size=beam))
        assert json.loads(said(capsys, folder, text, *options)[0])["score"] == wanted.scores[0]
    assert said(capsys, folder, text, "--beam", 1)[0]
    assert main(["translate", str(folder), str(text), "--beam", "5"]) == 2
    assert "--beam must be 1, or a multiple of the 2 groups" in capsys.readouterr().err


def test_references(tmp_path, capsys):
    sacrebleu = pytest.importorskip("sacrebleu")
    search = CaptionSearch(beam_size=2, max_length=6)
    folder = write(tmp_path / "t", target="pieces", lowercase=True, search=search)
    text, first, second = (tmp_path / name for name in ("a.txt", "b.txt", "c.txt"))
    text.write_text("a red dog runs\n\nthe dog sees a cat\n")
    made = said(capsys, folder, text)[0].split("\n")
    first.write_text(f"{made[0].upper()}\n\nsomething else\n")
    second.write_text(f"\n\n{made[2].upper()}\n")
    _, score = said(capsys, folder, text, "--references", first, second)
    assert "(nrefs:2|" in score and score.endswith("chrF 100.00, 2 sentences\n")
    _, score = said(capsys, folder, text, "--references", first, "--bleu-tokenize", "char")
    wanted = sacrebleu.corpus_bleu(
        [made[0], made[2]], [[made[0].lower(), "something else"]], tokenize="char"
    )
    assert score.startswith(f"BLEU {wanted.score:.2f} (nrefs:1|") and "tok:char" in score
    # Without the option, as in training.
    config = json.loads((folder / "config.json").read_text())
    config["languages"]["bleu_tokenize"] = "char"
    (folder / "config.json").write_text(json.dumps(config))
    assert said(capsys, folder, text, "--references", first)[1] == score


def test_the_command_refuses(tmp_path, capsys):
    pytest.importorskip("sacrebleu")
    folder = write(tmp_path / "t")
    text, short, holes, blank = (tmp_path / f"{name}.txt" for name in ("a", "short", "holes", "no"))
    text.write_text("a dog\na cat\n")
    short.write_text("a dog\n")
    holes.write_text("a dog\n\n")
    for wrong, message in (
        (["--nbest", "0"], "--nbest must be at least 1"),
        (["--nbest", "3", "--beam", "2"], "needs a --beam of as many"),
        (["--beam", "0"], "--nbest 1 needs a --beam of as many"),
        (["--length-penalty", "-1"], "length_penalty must be from 0 to 10, not -1"),
        (["--length-penalty", "inf"], "length_penalty must be from 0 to 10, not inf"),
        (["--batch", "0"], "--batch must be at least 1, not 0"),
        (["--device", "nothing"], "--device nothing cannot be used here"),
        (["--references", str(short)], "1 lines cannot be the translations of 2 sentences"),
        (["--references", str(text), str(short)], "as many lines each"),
        (["--references", str(holes)], "line 2 is empty in each of them"),
        (["--bleu-tokenize", "x"], "--bleu-tokenize must be one of 13a, intl"),
        (["--references", str(tmp_path / "none.txt")], "none.txt: no such file"),
    ):
        assert main(["translate", str(folder), str(text), *wrong]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    blank.write_text("\n\n")
    for path, message in ((tmp_path / "none.txt", "no such file"), (blank, "holds no words")):
        assert main(["translate", str(folder), str(path)]) == 2
        assert f"{path}" in (error := capsys.readouterr().err) and message in error
    assert main(["translate", str(tmp_path / "no"), str(text)]) == 2
    assert "no such bundle" in capsys.readouterr().err


def test_batches_change_nothing():
    bundle = make(search=CaptionSearch(beam_size=2, max_length=8))
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
    class Brain(TranslationBrain):
        criterion, higher_is_better = "score", higher

    model = torch.nn.Linear(1, 1, bias=False)
    checkpointer = SafeCheckpointer(tmp_path / "save", {"model": model})
    for value, score in ((1.0, 5.0), (2.0, 7.0), (3.0, 6.0)):
        torch.nn.init.constant_(model.weight, value)
        checkpointer.save_checkpoint(meta={"score": score}, name=f"score{score}")
    taken = torch.nn.Linear(1, 1, bias=False).train()
    training = take_best(tmp_path, taken, Brain)
    assert taken.weight.item() == (2.0 if higher else 1.0) and not taken.training
    assert training == {"validation score": 7.0 if higher else 5.0}
