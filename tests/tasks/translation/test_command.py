"""``gatedrnn translate``."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from gatedrnn.cli.main import main
from gatedrnn.seq2seq.search import SearchOptions
from gatedrnn.tasks.translation.apply import translate
from gatedrnn.tasks.translation.bundle import read_translator
from tests.tasks.translation.test_bundle import write


def output_of(capsys, *arguments) -> tuple[str, str]:
    assert main(["translate", *map(str, arguments)]) == 0
    result = capsys.readouterr()
    return result.out, result.err


def test_the_command(tmp_path, capsys, monkeypatch):
    folder = write(tmp_path / "t", lowercase=True)
    text = tmp_path / "a.txt"
    text.write_text("A red  DOG runs\n\nthe green dog sees a cat\n")
    plain, strange = output_of(capsys, folder, text)
    lines = plain.split("\n")
    assert len(lines) == 4 and lines[0] and lines[1] == "" and lines[2]
    assert strange == (
        "gatedrnn translate: 1 of 3 sentences have characters or words unknown in training, "
        "the first of them line "
        "3: green\n"
    )
    output = tmp_path / "out.jsonl"
    options = ["--nbest", "2", "--format", "jsonl", "--output", output]
    # Options may stand before the files.
    assert output_of(capsys, folder, *options, text, text)[0] == ""
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(rows) == 6 and rows[0] == rows[3] and rows[0]["source"] == "A red DOG runs"
    assert [row["translation"] for row in rows[:3]] == lines[:3]
    two = rows[0]["translations"]
    assert two[0]["text"] == lines[0] and two[0]["score"] >= two[1]["score"]
    cells = [
        line.split("\t") for line in output_of(capsys, folder, text, "--nbest", 2)[0].splitlines()
    ]
    assert [cell[0] for cell in cells] == ["1", "1", "2", "3", "3"] and cells[2][2] == ""
    # What is asked for is what is searched for.
    bundle = read_translator(folder)
    for reference, expected in (
        (["--beam", 1], {"beam_size": 1}),
        (["--length-penalty", 0], {"length_penalty": 0.0}),
        (["--nbest", 9], {"beam_size": 9}),
    ):
        search = replace(bundle.config.search, **expected)
        result = [
            one.texts[0] for one in translate(bundle, text.read_text().split("\n")[:3], search)
        ]
        written = output_of(capsys, folder, text, *reference, "--format", "jsonl")[0].splitlines()
        assert [json.loads(row)["translation"] for row in written] == result, reference
    assert result != lines[:3]


class Typed(io.TextIOWrapper):
    def isatty(self):
        return True


def test_standard_input(tmp_path, capsys, monkeypatch):
    folder = write(tmp_path / "t")
    text = "a  red dog\n\nthe cat\n"
    (tmp_path / "a.txt").write_text(text)
    plain = output_of(capsys, folder, tmp_path / "a.txt")
    for raw in (text.encode(), b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()):
        for kind, options in (
            (io.TextIOWrapper, []),
            (io.TextIOWrapper, ["--batch", 1]),
            (Typed, []),
        ):
            monkeypatch.setattr("sys.stdin", kind(io.BytesIO(raw)))
            assert output_of(capsys, folder, "-", *options) == plain
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
    assert output_of(capsys, folder, "-")[0].count("\n") == 1


def test_groups_of_a_diverse_search(tmp_path, capsys):
    search = SearchOptions(beam_size=4, groups=2, max_length=5, diversity=9.0)
    folder = write(tmp_path / "t", search=search)
    text = tmp_path / "a.txt"
    text.write_text("a red dog\n")
    bundle = read_translator(folder)
    for options, beam in (([], 4), (["--nbest", 5], 6), (["--beam", 2], 2)):
        options = ["--format", "jsonl", *map(str, options)]
        (expected,) = translate(bundle, ["a red dog"], replace(search, beam_size=beam))
        assert (
            json.loads(output_of(capsys, folder, text, *options)[0])["score"] == expected.scores[0]
        )
    assert output_of(capsys, folder, text, "--beam", 1)[0]
    assert main(["translate", str(folder), str(text), "--beam", "5"]) == 2
    assert "--beam-size must be 1, or a multiple of the 2 groups" in capsys.readouterr().err


def test_references(tmp_path, capsys):
    sacrebleu = pytest.importorskip("sacrebleu")
    search = SearchOptions(beam_size=2, max_length=6)
    folder = write(tmp_path / "t", target="pieces", lowercase=True, search=search)
    text, first, second = (tmp_path / name for name in ("a.txt", "b.txt", "c.txt"))
    text.write_text("a red dog runs\n\nthe dog sees a cat\n")
    translations = output_of(capsys, folder, text)[0].split("\n")
    first.write_text(f"{translations[0].upper()}\n\nsomething else\n")
    second.write_text(f"\n\n{translations[2].upper()}\n")
    _, score = output_of(capsys, folder, text, "--references", first, second)
    assert "(nrefs:2|" in score and score.endswith("chrF 100.00, 2 sentences\n")
    _, score = output_of(capsys, folder, text, "--references", first, "--bleu-tokenize", "char")
    expected = sacrebleu.corpus_bleu(
        [translations[0], translations[2]],
        [[translations[0].lower(), "something else"]],
        tokenize="char",
    )
    assert score.startswith(f"BLEU {expected.score:.2f} (nrefs:1|") and "tok:char" in score
    # Without the option, as in training.
    config = json.loads((folder / "config.json").read_text())
    config["languages"]["bleu_tokenize"] = "char"
    (folder / "config.json").write_text(json.dumps(config))
    assert output_of(capsys, folder, text, "--references", first)[1] == score


def test_the_command_refuses(tmp_path, capsys):
    pytest.importorskip("sacrebleu")
    folder = write(tmp_path / "t")
    text, short, holes, blank = (tmp_path / f"{name}.txt" for name in ("a", "short", "holes", "no"))
    text.write_text("a dog\na cat\n")
    short.write_text("a dog\n")
    holes.write_text("a dog\n\n")
    for wrong, message in (
        (["--nbest", "0"], "--nbest must be at least 1"),
        (["--nbest", "3", "--beam", "2"], "needs a --beam-size of at least as many"),
        (["--beam", "0"], "--nbest 1 needs a --beam-size of at least as many"),
        (["--length-penalty", "-1"], "length_penalty must be a number from 0 to 10, not -1"),
        (["--length-penalty", "inf"], "length_penalty must be a number from 0 to 10, not inf"),
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
