"""Coverage of intervals, and comparisons against NIST's sc_stats."""

from __future__ import annotations

import re
import subprocess

import numpy as np
import pytest

from gatedrnn.scoring import Options, Transcript, Transcripts, compare, read, score
from gatedrnn.scoring.comparison import matched_pairs
from gatedrnn.scoring.formats import described, read_map
from gatedrnn.scoring.measures import rate_interval, resample
from gatedrnn.scoring.report import write_files
from tests.scoring.nist import DATA, tool

#: True error rate of the simulated systems.
TRUE = 0.2


def coverage(speakers: int, utterances: int, by_speaker: bool, spread: float) -> float:
    """How often the interval of simulated test sets holds the true rate."""
    draws = np.random.default_rng(11)
    hits = 0
    trials = 300
    names = [f"s{s}" for s in range(speakers) for _ in range(utterances)]
    for trial in range(trials):
        rates = np.full(speakers, TRUE)
        if spread:
            rates = draws.beta(TRUE / spread, (1 - TRUE) / spread, speakers)
        words = draws.integers(1, 15, (speakers, utterances))
        errors = draws.binomial(words, rates[:, None])
        found = rate_interval(
            errors.ravel(), words.ravel(), names if by_speaker else None, 500, trial
        )
        hits += found.low <= 100 * TRUE <= found.high
    return hits / trials


@pytest.mark.parametrize("utterances", [20, 150])
def test_the_true_rate_lies_in_95_of_100_intervals_over_utterances(utterances):
    assert 0.92 <= coverage(1, utterances, by_speaker=False, spread=0.0) <= 0.98


@pytest.mark.parametrize("speakers", [10, 30])
def test_the_true_rate_lies_in_95_of_100_intervals_over_speakers(speakers):
    assert 0.92 <= coverage(speakers, 13, by_speaker=True, spread=0.03) <= 0.98


def test_intervals_over_utterances_are_too_narrow_where_speakers_differ():
    assert coverage(15, 13, by_speaker=False, spread=0.03) < 0.85


def test_order_does_not_matter_and_the_seed_does():
    values = np.array([[1, 5], [0, 7], [2, 4], [0, 5], [1, 5]])
    assert (resample(values, 50, 1) == resample(values[::-1], 50, 1)).all()
    assert (resample(values, 50, 1) != resample(values, 50, 2)).any()


def test_draws_are_with_replacement_and_as_many_as_there_are():
    sums = resample(np.column_stack([np.eye(6, dtype=int), np.ones(6, dtype=int)]), 2000, 0)
    assert (sums[:, 6] == 6).all()
    # Each unit is drawn once on the average, with the variance 1 - 1/6.
    assert sums[:, :6].mean(0) == pytest.approx(np.ones(6), abs=0.08)
    assert sums[:, :6].var(0) == pytest.approx(np.full(6, 5 / 6), abs=0.08)


def test_no_interval_of_nothing():
    assert rate_interval([1], [2]) is None
    assert rate_interval([1, 0], [2, 3], ["ann", "ann"]) is None
    assert rate_interval([1, 2], [0, 0]) is None


@pytest.fixture(scope="module")
def systems():
    speakers = read_map(DATA / "utt2spk")
    paths = [DATA / f"{name}.jsonl" for name in ("an4_near", "an4_far")]
    references = described(read(paths[0], reference=True), speakers)
    return [score(references, read(path)) for path in paths]


def test_comparison_is_as_sc_stats_recorded(systems):
    near, far = systems
    found = compare(near, far)
    assert found.utterances == 100
    pairs = found.matched_pairs
    assert (pairs.segments, round(pairs.mean, 3), round(pairs.z, 3)) == (107, -1.738, -11.693)
    assert (found.signs.better, found.signs.worse) == (0, 8)
    assert round(found.signs.p, 3) == 0.008
    assert found.by_utterance.worse == found.by_speaker.worse == 1.0
    assert found.by_speaker.interval.units == 8
    other = compare(far, near)
    assert other.by_utterance.better == 1.0
    assert other.matched_pairs.z == -pairs.z


def test_sc_stats(systems, tmp_path):
    write_files(tmp_path, systems)
    dumps = []
    for name in ("hyp", "hyp2"):
        subprocess.run(
            [tool("sclite"), "-r", "ref.trn", "trn", "-h", f"{name}.trn", "trn", "-s", "-i", "rm",
             "-f", "0", "-o", "sgml", "-O", ".", "-n", name],
            cwd=tmp_path, check=True, capture_output=True,
        )  # fmt: skip
        dumps.append((tmp_path / f"{name}.sgml").read_text())
    subprocess.run(
        [tool("sc_stats"), "-p", "-t", "mapsswe", "-v", "-n", "out"],
        input="".join(dumps), text=True, cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    report = (tmp_path / "out.stats.mapsswe").read_text()
    pairs = compare(*systems).matched_pairs
    assert int(re.search(r"# segs: (\d+)", report)[1]) == pairs.segments
    assert float(re.search(r"Z Stat: (\S+)\)", report)[1]) == pytest.approx(pairs.z, abs=5e-4)


def test_a_system_is_as_good_as_itself(systems):
    found = compare(systems[0], systems[0])
    assert found.by_utterance.better == found.by_utterance.worse == 0.0
    assert (found.by_utterance.interval.low, found.by_utterance.interval.high) == (0.0, 0.0)
    assert (found.matched_pairs.z, found.matched_pairs.p) == (0.0, 1.0)
    assert (found.signs.equal, found.signs.p) == (8, 1.0)


def test_the_same_difference_everywhere_is_no_chance():
    found = matched_pairs([[(2, 1)], [(3, 2)], [(1, 0)]])
    assert (found.z, found.p) == (float("inf"), 0.0)


def test_utterances_that_one_system_lacks_are_left_out():
    references = Transcripts("r", "trn", tuple(Transcript(n, ("GO", "ON")) for n in "abc"))
    first = Transcripts("h", "trn", tuple(Transcript(n, ("GO",)) for n in "ab"))
    second = Transcripts("i", "trn", tuple(Transcript(n, ("GO", "ON")) for n in "bc"))
    scores = [
        score(references, hypotheses, Options(missing="ignore")) for hypotheses in (first, second)
    ]
    found = compare(*scores)
    assert (found.utterances, found.first.errors, found.second.errors) == (1, 1, 0)
    assert found.by_utterance is None and found.signs is None
    with pytest.raises(ValueError, match="no scored utterance in common"):
        compare(scores[0], score(references, Transcripts("j", "trn", (Transcript("c", ()),)),
                                 Options(missing="ignore")))  # fmt: skip
