"""The recipes as a user runs them, on a few made-up signals, and on AN4 if it is there."""

from __future__ import annotations

import csv
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from gatedrnn.simulation.tones import SAMPLE_RATE, make_utterance
from gatedrnn.training import train_asr

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes"
AN4 = ROOT.parent / "shared" / "data" / "an4"
SMALL = [
    "--device=cpu", "--noprogressbar", "--num_layers=2", "--hidden_size=12", "--proj_size=6",
    "--number_of_epochs=1", "--warmup_steps=2", "--beam_size=4", "--n_best=3",
]  # fmt: skip


def command(name: str, *arguments: str) -> list[str]:
    """What follows ``python`` in a terminal; later options take the place of earlier ones."""
    folder = RECIPES / name / "ASR"
    options = {a.split("=")[0]: a for a in (*SMALL, *arguments)}
    return [str(folder / "train.py"), str(folder / "hparams" / "ctc.yaml"), *options.values()]


def recipe(name: str, *arguments: str) -> dict:
    """Runs a recipe's script in this process: starting others takes most of the time."""
    script, *rest = command(name, *arguments)
    namespace = runpy.run_path(script)
    return train_asr(rest, namespace["prepare"], namespace["read_speech"])


@pytest.fixture(scope="module")
def manifests(tmp_path_factory):
    """Manifests of some made-up utterances, as a user would write them."""
    folder = tmp_path_factory.mktemp("recordings")
    for split, count, start in (("train", 8, 0), ("dev", 4, 50), ("test", 3, 90)):
        rows = []
        for i in range(start, start + count):
            made = make_utterance(i, speaker=i, max_words=3)
            soundfile.write(folder / f"{i}.wav", made.samples.numpy(), SAMPLE_RATE)
            rows.append({"audio": f"{i}.wav", "text": " ".join(made.words), "speaker": f"s{i}"})
        if split == "dev":
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / "dev.jsonl").write_text(lines)
        else:
            with open(folder / f"{split}.csv", "w", newline="") as file:
                writer = csv.DictWriter(file, ["audio", "text", "speaker"])
                writer.writeheader()
                writer.writerows(rows)
    return [
        f"--train_manifest={folder / 'train.csv'}", f"--dev_manifest={folder / 'dev.jsonl'}",
        f"--test_manifest={folder / 'test.csv'}", f"--prepared_folder={folder / 'prepared'}",
    ]  # fmt: skip


def test_the_network_and_the_depth_are_a_key_each(tmp_path, manifests):
    """Trains, then tests only; the n-best lists and the word times are there."""
    chosen = ["--network=highway", "--num_layers=3", f"--output_folder={tmp_path}"]
    recipe("Manifest", *manifests, *chosen)
    results = json.loads((tmp_path / "results.json").read_text())
    assert "HighwayLSTM(" in results["model"]
    weights = [n for n in (tmp_path / "hyperparams.yaml").read_text().splitlines() if "num_l" in n]
    assert "num_layers: 3" in weights
    assert set(results["sets"]) == {"dev", "test"}
    records = [json.loads(line) for line in (tmp_path / "nbest_test.jsonl").open()]
    assert len(records) == 3
    for record in records:
        assert set(record) == {"id", "ref", "hyps", "words"}
        assert 1 <= len(record["hyps"]) <= 3
        assert len({h["text"] for h in record["hyps"]}) == len(record["hyps"])
        scores = [h["score"] for h in record["hyps"]]
        assert scores == sorted(scores, reverse=True)
        assert [w["word"] for w in record["words"]] == record["hyps"][0]["text"].split()
        assert all(0 <= w["start"] < w["end"] for w in record["words"])
    assert re.search(r"%WER \d", (tmp_path / "wer_test.txt").read_text())

    before = {p.name: p.read_text() for p in tmp_path.glob("*_test.*")}
    log = (tmp_path / "train_log.txt").read_text()
    for path in tmp_path.glob("*_test.*"):
        path.unlink()
    recipe("Manifest", *manifests, *chosen, "--test_only")
    assert {p.name: p.read_text() for p in tmp_path.glob("*_test.*")} == before
    assert (tmp_path / "train_log.txt").read_text() == log


@pytest.mark.parametrize("head", ["attention", "transducer"])
def test_the_head_is_a_key(tmp_path, manifests, head):
    """Trained with CTC in another folder before; the same list files, on other folders."""
    chosen = ["--bidirectional=False", "--stack=6", "--beam_size=2", "--head_size=8"]
    if head == "attention":
        recipe("Manifest", *manifests, *chosen, f"--output_folder={tmp_path / 'ctc'}")
        chosen += [f"--pretrained_encoder={tmp_path / 'ctc'}", "--head_network=ran"]
    folder = tmp_path / head
    recipe("Manifest", *manifests, *chosen, f"--head={head}", f"--output_folder={folder}")
    results = json.loads((folder / "results.json").read_text())
    assert results["head"] == head
    assert set(results["sets"]) == {"dev", "test"}
    assert len((folder / "nbest_test.jsonl").read_text().splitlines()) == 3


def test_two_processes_by_torchrun(tmp_path, manifests):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    script = command("Manifest", *manifests, f"--output_folder={tmp_path}")
    done = subprocess.run(
        [sys.executable, *launcher, *script],
        capture_output=True, text=True, check=False,
        env=os.environ | {"GATEDRNN_RUNNER": "reference", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "results.json").read_text())["sets"]["dev"]["utterances"] == 4


@pytest.mark.parametrize(
    ("argument", "error", "message"),
    [
        ("--network=gru", ValueError, "there is no recurrence 'gru'; there are: lstmp"),
        ("--head=rnnt", ValueError, "head must be ctc, attention, transducer, not 'rnnt'"),
        ("--bidirectional", ValueError, "--bidirectional needs a value, such as"),
        ("--test_only", FileNotFoundError, "train first"),
        ("--no_such_key=1", KeyError, "no_such_key"),
    ],
)
def test_mistakes_are_named(tmp_path, manifests, argument, error, message):
    with pytest.raises(error, match=message):
        recipe("Manifest", *manifests, f"--output_folder={tmp_path}", argument)


@pytest.mark.skipif(not AN4.is_dir(), reason="the data of AN4 is not beside the checkout")
def test_an4_close_and_distant(tmp_path):
    rirs = AN4.parent / "rir_noise" / "sim_rirs_16k_int16.npz"
    recipe(
        "AN4", f"--data_folder={AN4}", f"--prepared_folder={tmp_path / 'prepared'}",
        f"--output_folder={tmp_path}", "--num_layers=1", "--hidden_size=8", "--proj_size=4",
        "--stack=8", "--bidirectional=False", "--beam_size=1", "--distant_share=0.5",
        f"--impulse_responses={rirs}",
    )  # fmt: skip
    results = json.loads((tmp_path / "results.json").read_text())
    assert set(results["sets"]) == {"dev", "dev-distant"}
    assert results["sets"]["dev"]["words"] == results["sets"]["dev-distant"]["words"] == 574
