"""The recipe of the synthetic tone language, run as users run it, on a few utterances."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gatedrnn.simulation import small_sets
from gatedrnn.tasks.asr.corpora import prepare, read
from gatedrnn.tasks.asr.train import train_asr

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "Tones" / "ASR"


SMALL = [
    "--device=cpu", "--noprogressbar", "--num_layers=2", "--hidden_size=24", "--proj_size=16",
    "--train_utterances=64", "--dev_utterances=8", "--test_utterances=8", "--lr=0.01",
]  # fmt: skip


def train(folder: Path, *overrides: str) -> subprocess.CompletedProcess:
    """Runs the recipe in its own process."""
    return subprocess.run(
        [sys.executable, RECIPE / "train.py", RECIPE / "hparams" / "ctc.yaml", *SMALL,
         f"--output_folder={folder}", *overrides],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def train_here(folder: Path, *overrides: str) -> dict:
    """Runs the recipe in this process, which is faster."""
    # Later options override earlier ones.
    options = {a.split("=")[0]: a for a in (*SMALL, f"--output_folder={folder}", *overrides)}
    arguments = [str(RECIPE / "hparams" / "ctc.yaml"), *options.values()]
    return train_asr(arguments, prepare, read)


def test_trains_resumes_and_tests(tmp_path):
    done = train(tmp_path, "--number_of_epochs=3")
    assert done.returncode == 0, done.stderr
    log = (tmp_path / "train_log.txt").read_text()
    losses = [float(x) for x in re.findall(r"train loss: (\S+),", log)]
    assert len(losses) == 3
    assert losses[-1] < losses[0]
    assert re.search(r"test: WER \d+\.\d\d %", done.stdout)
    assert "test-7" in (tmp_path / "wer_test.txt").read_text()
    # The same command with more epochs resumes from the checkpoint.
    train_here(tmp_path, "--number_of_epochs=4")
    log = (tmp_path / "train_log.txt").read_text()
    assert len(re.findall(r"^epoch: \d", log, re.MULTILINE)) == 4


@pytest.mark.parametrize("key", ["network=beta", "head=attention", "head=transducer"])
def test_network_and_head_are_a_key_each(tmp_path, key):
    metrics = train_here(
        tmp_path, "--number_of_epochs=1", "--train_utterances=16", f"--{key}", "--beam_size=2"
    )
    assert metrics["test"]["utterances"] == 8


def test_an_unknown_network_is_named(tmp_path):
    with pytest.raises(ValueError, match="there is no recurrence 'rann'; there are: lstmp"):
        train_here(tmp_path, "--number_of_epochs=1", "--network=rann")


def test_utterances_follow_from_seed_and_speaker():
    utterance, same = (small_sets.make_utterance(7, speaker=3) for _ in range(2))
    assert torch.equal(utterance.samples, same.samples)
    by_another = small_sets.make_utterance(7, speaker=4)
    assert by_another.words == utterance.words
    same_length = by_another.samples.shape == utterance.samples.shape
    assert not same_length or not torch.equal(by_another.samples, utterance.samples)
    assert small_sets.make_utterance(8, speaker=3).words != utterance.words
    spoken = {w for seed in range(40) for w in small_sets.make_utterance(seed, speaker=0).words}
    assert spoken == set(small_sets.WORDS)
    assert 0.01 < utterance.samples.abs().max() < 1.0
