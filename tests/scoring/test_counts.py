"""Alignments and counts against sclite, SpeechBrain and brute force."""

from __future__ import annotations

import pytest
from speechbrain.utils.edit_distance import alignment, op_table

from gatedrnn.data.result_table import render
from gatedrnn.scoring import Options, read, score
from gatedrnn.scoring.alignment import RULES, Counts, align, count, find_rule, total
from gatedrnn.scoring.report import counts_record, sclite_name, score_sections, write_files
from tests.scoring.nist import DATA, RECORDED, random_pairs, sclite, write_pairs


def four(counts) -> tuple[int, int, int, int]:
    return counts.correct, counts.substitutions, counts.deletions, counts.insertions


def test_every_recorded_count_of_sclite():
    lines = [line.split("\t") for line in RECORDED.read_text().splitlines()]
    assert len(lines) == 1000
    for references, hypotheses, *counts in lines:
        assert four(count(align(references, hypotheses, RULES["sclite"]))) == tuple(
            map(int, counts)
        )


@pytest.mark.parametrize("case", [True, False])
def test_sclite_on_random_pairs(case, tmp_path):
    pairs = [(r, h if i % 2 else h.lower()) for i, (r, h) in enumerate(random_pairs(1000, seed=6))]
    paths = write_pairs(tmp_path, pairs)
    theirs = sclite(tmp_path, *paths, "-i", "rm", *(["-s"] if case else []))
    ours = score(*(read(path) for path in paths), Options(ignore_case=not case, resamples=1))
    assert len(ours.pairing.pairs) == len(theirs) == 1000
    for pair, counts in zip(ours.pairing.pairs, ours.measures["WER"].each, strict=True):
        assert four(counts) == theirs[pair.reference.id], pair


@pytest.mark.parametrize("name", ["an4_near", "an4_far"])
@pytest.mark.parametrize("measure", ["WER", "CER"])
def test_sclite_on_real_output(name, measure, tmp_path):
    path = DATA / f"{name}.jsonl"
    ours = score(read(path, reference=True), read(path), Options(resamples=1))
    files = {file.name: file for file in write_files(tmp_path, [ours])}
    options = ["-i", "rm", "-s", *(["-c"] if measure == "CER" else [])]
    theirs = sclite(tmp_path, files["ref.trn"], files["hyp.trn"], *options)
    assert len(theirs) == 100
    for pair, counts in zip(ours.pairing.pairs, ours.measures[measure].each, strict=True):
        assert four(counts) == theirs[sclite_name(pair.reference)]


def test_real_output_against_recorded_counts_of_sclite():
    path = DATA / "an4_far.jsonl"
    ours = score(read(path, reference=True), read(path), Options(resamples=1))
    assert four(ours.measures["WER"].counts) == (337, 200, 37, 25)
    assert four(ours.measures["CER"].counts) == (871, 246, 260, 96)
    assert ours.measures["WER"].wrong == 86


def test_levenshtein_aligns_as_speechbrain_and_so_the_training_log():
    for references, hypotheses in random_pairs(500, seed=7):
        steps = [
            (None if i is None else references[i], None if j is None else hypotheses[j])
            for _, i, j in alignment(op_table(references, hypotheses))
        ]
        assert align(references, hypotheses, RULES["levenshtein"]) == steps


def test_both_rules_give_least_costs():
    for references, hypotheses in random_pairs(200, seed=8):
        for rule in RULES.values():
            found = count(align(references, hypotheses, rule))
            gaps = found.deletions + found.insertions
            cost = rule.substitution * found.substitutions + rule.gap * gaps
            assert cost == least_cost(references, hypotheses, rule)


def least_cost(references: str, hypotheses: str, rule) -> int:
    row = [rule.gap * j for j in range(len(hypotheses) + 1)]
    for a in references:
        above, row = row, [row[0] + rule.gap]
        for j, b in enumerate(hypotheses):
            across = above[j] + (rule.substitution if a != b else 0)
            row.append(min(across, above[j + 1] + rule.gap, row[-1] + rule.gap))
    return row[-1]


def test_more_errors_than_needed_are_told(tmp_path):
    # To sclite three deletions and two insertions cost what three wrong words and a deletion do.
    references, hypotheses = "F A F C D", "C D E C"
    (tmp_path / "r.trn").write_text(f"{references} (s-1)\n")
    (tmp_path / "h.trn").write_text(f"{hypotheses} (s-1)\n")
    pair = [read(tmp_path / name) for name in ("r.trn", "h.trn")]
    found = score(*pair)
    fewest = score(*pair, Options(alignment="levenshtein"))
    assert found.fewest == fewest.measures["WER"].counts.errors == fewest.fewest == 4
    assert found.measures["WER"].counts.errors == 5
    assert "the fewest possible errors are 4" in render(score_sections(found), markdown=False)
    assert "fewest" not in render(score_sections(fewest), markdown=False)


def test_spaces_count_as_characters_if_asked(tmp_path):
    (tmp_path / "r.trn").write_text("A BC (s-1)\n")
    (tmp_path / "h.trn").write_text("AB C (s-1)\n")
    pair = [read(tmp_path / name) for name in ("r.trn", "h.trn")]
    assert score(*pair).measures["CER"].counts.errors == 0
    spaces = score(*pair, Options(count_spaces=True)).measures["CER"].counts
    assert (spaces.tokens, spaces.errors) == (4, 2)


def test_unknown_rule_is_named():
    with pytest.raises(ValueError, match="no alignment 'nist'; there are: sclite, levenshtein"):
        find_rule("nist")


def test_counts_are_summed_and_recorded():
    assert total([Counts(1), Counts(2, 1)]) == Counts(3, 1)
    assert find_rule("levenshtein").gap == 1
    assert counts_record(Counts(8, 1, 1, 0)) == {
        "tokens": 10, "correct": 8, "substitutions": 1, "deletions": 1, "insertions": 0,
        "errors": 2, "rate": 20.0,
    }  # fmt: skip
