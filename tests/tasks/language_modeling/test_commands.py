"""``gatedrnn rescore``, ``perplexity`` and ``generate``, from a training to what is written."""

from __future__ import annotations

import csv
import json
import math

import pytest

from gatedrnn.cli.main import main
from gatedrnn.scoring.formats import read
from gatedrnn.tasks.language_modeling.bundle import (
    LanguageModelConfig,
    TextModelSpec,
    load_language_model,
    write_language_model,
)
from gatedrnn.tasks.language_modeling.rescoring import LMWeights, read_lm_weights
from gatedrnn.tokens import Characters
from tests.tasks.language_modeling import tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A bundle of a model that has learnt a small grammar."""
    folder = tmp_path_factory.mktemp("lm")
    tiny.train(folder / "results", epochs=6, carry_state=False, lr=1.0, train=200)
    assert main(["export", str(folder / "results"), str(folder / "bundle")]) == 0
    return folder / "bundle"


def write_lists(path, count, seed):
    """Lists in which the recogniser likes readings that are no sentences of the grammar."""
    records = []
    for i, said in enumerate(tiny.lines(count, seed)):
        words = said.split()
        wrong = " ".join([words[1], words[0], *words[2:]])
        right = -1.5 if i % 3 else -0.5
        hyps = [{"text": wrong, "score": -1.0}, {"text": said, "score": right}]
        records.append({"id": f"u{i:02}", "ref": said, "hyps": hyps})
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture
def lists(tmp_path):
    return [write_lists(tmp_path / f"nbest_{n}.jsonl", 9, i) for i, n in enumerate(("dev", "test"))]


def test_rescore(model, lists, tmp_path, capsys):
    output = tmp_path / "rescored"
    assert main(["rescore", str(model), *map(str, lists), "--output", str(output)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "chosen on" in said[0] and "among 260" in said[0]
    # Two thirds of the utterances are wrong before, each in two words.
    for line, path in zip(said[1:], lists, strict=True):
        assert line.startswith(f"{path}: WER ") and "-> 0.00 % (oracle 0.00 %), 12 -> 0" in line
        assert "s of language model for" in line
    for path in lists:
        found = read(output / path.name)
        assert [t.text for t in found.items] == [t.text for t in read(path, reference=True).items]
        for line in (output / path.name).read_text().splitlines():
            for hyp in json.loads(line)["hyps"]:
                assert hyp.keys() == {"text", "score", "am", "lm"} and hyp["lm"] < 0
    assert main(["score", str(lists[0]), str(output / lists[0].name)]) == 0


def test_given_weights_are_taken(model, lists, capsys):
    options = ["--weights", "0", "--insertions", "0", "--threads", "1"]
    assert main(["rescore", str(model), *map(str, lists), *options]) == 0
    said = capsys.readouterr().out
    assert "weight 0, insertion 0, given" in said and said.count("12 -> 12 errors") == 2
    assert main(["rescore", str(model), str(lists[0]), "--weights", "0", "0.01"]) == 0
    assert "among 26" in capsys.readouterr().out


def test_an_internal_language_model(model, lists, tmp_path, capsys):
    output = tmp_path / "rescored"
    command = ["rescore", str(model), *map(str, lists), "--output", str(output)]
    assert main(command) == 0
    assert ", internal" not in capsys.readouterr().out and read_lm_weights(output).internal == 0.0
    assert main([*command, "--internal", "0.1"]) == 2
    error = capsys.readouterr().err
    assert "(ilm): test the recogniser with --internal_lm=True" in error and error.count("\n") == 1
    for path in lists:
        records = [json.loads(line) for line in path.read_text().splitlines()]
        for record in records:
            for hyp in record["hyps"]:
                # It likes what is wrong.
                hyp["ilm"] = -3.0 if hyp["text"] == record["ref"] else -1.0
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    alone = ["--weights", "0", "--insertions", "0"]
    assert main([*command, *alone, "--internal", "0", "0.2", "0.3", "0.5"]) == 0
    said = capsys.readouterr().out
    assert "weight 0, insertion 0, internal 0.3, chosen on" in said and "among 4" in said
    assert said.count("12 -> 0 errors") == 2
    assert read_lm_weights(output) == LMWeights(0.0, 0.0, 0.3)
    assert main([*command, *alone, "--internal", "0.2"]) == 0
    assert "internal 0.2, given" in capsys.readouterr().out
    # Of itself where the lists have it.
    assert main(command) == 0
    assert "among 1820" in capsys.readouterr().out


def test_kaldi_and_lists_without_references(model, lists, tmp_path, capsys):
    folder = tmp_path / "kaldi"
    folder.mkdir()
    (folder / "words_text").write_text("u-1 cat the sees\nu-2 the cat sees a dog\n")
    (folder / "acwt").write_text("u-1 10\nu-2 10.5\n")
    output = tmp_path / "rescored"
    command = ["rescore", str(model), str(lists[0]), str(folder), "--output", str(output)]
    assert main([*command, "--acoustic-scale", "0.1"]) == 0
    assert "word errors not counted" in capsys.readouterr().out
    (record,) = map(json.loads, (output / "kaldi.jsonl").read_text().splitlines())
    assert record["hyps"][0]["text"] == "the cat sees a dog" and "ref" not in record
    assert record["hyps"][0]["am"] == pytest.approx(-1.05)


def test_rescore_refuses(model, lists, tmp_path, capsys):
    def refused(wanted, *arguments):
        assert main(["rescore", *map(str, arguments)]) == 2
        error = capsys.readouterr().err
        assert wanted in error and error.count("\n") == 1

    refused("no such bundle", tmp_path / "nowhere", lists[0])
    refused("no such file", model, lists[0], tmp_path / "nowhere.jsonl")
    refused("is what is read", model, *lists, "--output", tmp_path)
    refused("two of the lists", model, lists[0], lists[0], "--output", tmp_path / "o")
    refused("--threads must be at least 1", model, lists[0], "--threads", 0)
    refused("--device", model, lists[0], "--device", "abacus")
    other = tmp_path / "other.jsonl"
    other.write_text('{"id": "u", "hyps": [{"text": "the cat", "score": -1}]}\n')
    refused("no reference is known of u", model, other)
    tokens = Characters.learn(["the cat"], "<eos>")
    spec = TextModelSpec(len(tokens), {"hidden_size": 8}, line_ends=False)
    write_language_model(tmp_path / "text8", LanguageModelConfig(spec), tokens, spec.build())
    refused("without ends of lines", tmp_path / "text8", lists[0])


def test_perplexity(model, tmp_path, capsys):
    path = tmp_path / "text.txt"
    path.write_bytes(b"\xef\xbb\xbfthe cat sees a dog\r\n\r\na dog hears the zebra\r\n")
    words = tmp_path / "words.tsv"
    assert main(["perplexity", str(model), str(path), "--word-scores", str(words)]) == 0
    assert "12 tokens predicted, 12 words, 1 unknown" in capsys.readouterr().out
    assert main(["perplexity", str(model), str(path), "--format", "json"]) == 0
    figures = json.loads(capsys.readouterr().out)[str(path)]
    with open(words, newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    nats = -sum(float(row["log_prob"]) for row in rows)
    assert figures["perplexity"] == pytest.approx(math.exp(nats / 12), rel=1e-4)
    found = {}
    for option in ("--lines", "--carried"):
        assert main(["perplexity", str(model), str(path), option, "--format", "json"]) == 0
        found[option] = json.loads(capsys.readouterr().out)[str(path)]["perplexity"]
    # It was trained on lines by themselves.
    assert found["--lines"] == figures["perplexity"] != found["--carried"]
    path.write_text("the cat likes my uncle\n" * 40)
    dynamic = ["--dynamic-lr", "0.5", "--dynamic-window", "6", "--format", "json", "--carried"]
    assert main(["perplexity", str(model), str(path), *dynamic]) == 0
    learnt = json.loads(capsys.readouterr().out)[str(path)]["perplexity"]
    assert main(["perplexity", str(model), str(path), "--carried", "--format", "json"]) == 0
    assert learnt < json.loads(capsys.readouterr().out)[str(path)]["perplexity"]
    for content, wanted in ((b"", "holds no words"), (b"\xff\xfea\0", "is UTF-16")):
        path.write_bytes(content)
        assert main(["perplexity", str(model), str(path)]) == 2
        assert wanted in capsys.readouterr().err
    both = ["perplexity", str(model), str(path), str(path), "--word-scores", str(words)]
    assert main(both) == 2
    assert "of one FILE" in capsys.readouterr().err


def test_generate(model, capsys):
    command = ["generate", str(model), "--prompt", "the  cat", "--tokens", "9", "--seed", "3"]
    assert main(command) == 0
    text = capsys.readouterr().out
    assert text.startswith("the cat ") and text.count("\n") == 1
    assert main(command) == 0 and capsys.readouterr().out == text
    assert main([*command, "--count", "3", "--temperature", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and len(set(lines)) == 1
    known = set(load_language_model(model).tokens.names)
    assert set(lines[0].split()) <= known
    assert main([*command, "--temperature", "-1"]) == 2
    assert "temperature must be at least 0" in capsys.readouterr().err
