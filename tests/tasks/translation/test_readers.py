"""Parallel text: the layouts, a split without leaks, tokens, what is left out, what is refused."""

from __future__ import annotations

import gzip
import math
import random
from pathlib import Path

import pytest

from gatedrnn.data.report import Report
from gatedrnn.simulation.small_sets import write_parallel
from gatedrnn.tasks.translation.corpora import Pairs, plain, read_parallel
from gatedrnn.tasks.translation.data import TranslationDataset, short_enough
from gatedrnn.tokens import Characters, Pieces, Words

DATA = Path(__file__).parents[4] / "shared" / "data" / "mt"
real = pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not there")


@real
@pytest.mark.parametrize("target", ["de", "fr"])
def test_multi30k(target):
    report = Report("multi30k")
    corpus = read_parallel("multi30k", DATA / "multi30k", report, target=target)
    counts = [len(pairs) for pairs in (corpus.train, corpus.valid, *corpus.tests)]
    assert counts == [29_000, 1_014, 1_000]
    assert all(check.holds for check in report.checks) and len(report.checks) == 3
    assert corpus.train.source[0] == "Two young, White males are outside near many bushes."
    last = {"de": "Ein Mann", "fr": "Un homme"}[target]
    assert corpus.tests[0].target[0].startswith(last)


@real
def test_tatoeba_tests_nothing_that_was_seen():
    report = Report("tatoeba")
    corpus = read_parallel("tatoeba", DATA / "tatoeba_cmn", report)
    sets = (corpus.train, corpus.valid, *corpus.tests)
    counts = [len(pairs) for pairs in sets]
    assert counts == [27_055, 1_000, 1_000]
    # 29,155 lines, some of which come again.
    assert sum(counts) + report.count("pair-repeated") == 29_155
    for side in ("source", "target"):
        found = [{plain(text) for text in getattr(pairs, side)} for pairs in sets]
        assert not found[0] & found[1] and not found[0] & found[2] and not found[1] & found[2]
    assert report.statistics["test"]["pairs"] == 1000
    assert max(map(len, corpus.tests[0].references().values())) > 1


def tatoeba(folder, lines, **options):
    folder.mkdir(exist_ok=True)
    (folder / "cmn.txt.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    report = Report("mine")
    return read_parallel("tatoeba", folder, report, **options), report


def test_a_split_follows_from_the_sentences(tmp_path):
    lines = [f"Number {i}.\t数{i}\tCC-BY" for i in range(40)]
    lines += [f"Say {i // 2}!\t说{i}" for i in range(20)]
    few = {"valid": 5, "test": 5}
    corpus, _ = tatoeba(tmp_path / "a", lines, **few)
    shuffled = random.Random(1).sample(lines, len(lines))
    again, _ = tatoeba(tmp_path / "b", ["\ufeff" + shuffled[0], *shuffled[1:]], **few)
    assert set(again.tests[0].source) == set(corpus.tests[0].source)
    other, _ = tatoeba(tmp_path / "a", lines, split_seed=2, **few)
    assert set(other.tests[0].source) != set(corpus.tests[0].source)
    turned, _ = tatoeba(tmp_path / "a", lines, source="en", target="zh", **few)
    assert turned.train.target == corpus.train.source and turned.source == "en"


def test_what_is_no_pair_is_reported(tmp_path):
    lines = [f"Number {i}.\t数{i}" for i in range(9)]
    lines += ["alone", "a\tb\tc\td", "\t空", "Number 1.\t数1", ""]
    corpus, report = tatoeba(tmp_path, lines, valid=1, test=1)
    kinds = ("pair-incomplete", "pair-empty", "pair-repeated")
    assert [report.count(kind) for kind in kinds] == [2, 1, 1]
    assert len(corpus.train) == 7
    assert list(report.items("pair-empty")) == ["cmn.txt.gz, line 12"]


def test_pairs_for_training_may_not_be_too_long_or_uneven():
    sentences = ["a b", "a b c d e", "a", "a b"]
    translations = ["a b", "a b c d e", "a b c d", "b a"]
    words = Words.learn(sentences, "<eos>")
    report = Report("mine")
    pairs = Pairs("train", sentences, translations)
    found = short_enough(pairs, words, words, 4, 1.5, report)
    assert list(found.target) == ["a b", "b a"]
    assert list(report.items("pair-long")) == ["train, pair 2"]
    assert list(report.items("pair-uneven")) == ["train, pair 3"]
    assert len(short_enough(pairs, words, words, 9, math.inf, Report("mine"))) == 4
    with pytest.raises(ValueError, match="no pair is left with max_length 1 and max_ratio 2"):
        short_enough(Pairs("train", ["a b"], ["b a"]), words, words, 1, 2.0, report)
    with pytest.raises(ValueError, match="max_ratio above 1, not 4 and 1"):
        short_enough(pairs, words, words, 4, 1.0, report)


def test_tokens_of_chinese_and_english():
    texts = ["我爱你。", "你好吗?"]
    characters = Characters.learn(texts, "<eos>")
    pieces = Pieces.learn(["I love you.", "How are you?"], "<eos>", 24, "bpe")
    found = TranslationDataset(Pairs("x", texts, ["I love you.", "you"]), characters, pieces)
    unit = found[0]
    assert characters.join(unit["source"][:-1]) == "我爱你。" and unit["source"][-1] == 0
    assert pieces.join(unit["targets"][0]) == "I love you."


def test_files_that_do_not_fit(tmp_path):
    def read(**options):
        return read_parallel("files", tmp_path, Report("mine"), **options)

    with pytest.raises(FileNotFoundError, match=r"there is no train\.en \(or train\.en\.gz\)"):
        read()
    write_parallel(tmp_path / "made", 6, 2, 2)
    assert len(read(target="xx").tests[0]) == 2
    with pytest.raises(ValueError, match="has no option langs; it has source, target, train"):
        read(langs="en")
    with pytest.raises(ValueError, match=r"tests must be a list of names, such as \[test\]"):
        read(tests="test")
    with pytest.raises(ValueError, match="must be different files"):
        read(valid="train")
    with pytest.raises(ValueError, match="must be different languages, not en twice"):
        read(target="en")
    path = tmp_path / "made" / "test.xx"
    path.write_text("uno\n")
    with pytest.raises(ValueError, match=r"test\.en has 2 lines, but .*test\.xx has 1"):
        read(target="xx")
    path.write_text("\n\n")
    with pytest.raises(ValueError, match=r"test\.xx holds no words"):
        read(target="xx")
    path.write_bytes(b"\xff\xfea\0\n\0")
    with pytest.raises(ValueError, match="is UTF-16"):
        read(target="xx")


def test_tatoeba_that_does_not_fit(tmp_path):
    lines = [f"Number {i}.\t数{i}" for i in range(9)]
    with pytest.raises(ValueError, match="9 pairs are too few for 1000 in valid, 1000 in test"):
        tatoeba(tmp_path, lines)
    with pytest.raises(ValueError, match="must be at least 1 pair each, not 0 and 1"):
        tatoeba(tmp_path, lines, valid=0, test=1)
    with pytest.raises(ValueError, match="must be at least 1 pair each, not x and 1"):
        tatoeba(tmp_path, lines, valid="x", test=1)
    with pytest.raises(ValueError, match="source and target must be these, not fr and en"):
        tatoeba(tmp_path, lines, source="fr")
    with pytest.raises(ValueError, match="a line should be a sentence, a tab"):
        tatoeba(tmp_path, ["no tab here"])


def test_simulated_pairs(tmp_path):
    write_parallel(tmp_path / "a", 300, 20, 20)
    corpus = read_parallel("files", tmp_path / "a", Report("mine"), target="xx")
    everything = [*corpus.train.source, *corpus.valid.source, *corpus.tests[0].source]
    assert len(set(everything)) == 340
    position = corpus.train.source.index(next(s for s in corpus.train.source if "today" in s))
    assert corpus.train.source[position].endswith("today")
    assert corpus.train.target[position].startswith("odi")
    with pytest.raises(ValueError, match="50,000 together at most"):
        write_parallel(tmp_path / "b", 50_000)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds files that were not simulated"):
        write_parallel(tmp_path / "c", 5, 1, 1)


def test_sentences_are_compared_without_case_spaces_and_punctuation():
    assert (plain("I'm  OK!"), plain("?!")) == ("imok", "?!")
