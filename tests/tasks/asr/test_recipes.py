"""The recipes as a user runs them, on a few made-up signals, and on AN4 if it is there."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import torch

from gatedrnn.cli.main import main
from gatedrnn.simulation.small_sets import SAMPLE_RATE, make_utterance
from gatedrnn.tasks.asr.corpora import prepare, read
from gatedrnn.tasks.asr.language_model import check_language_model, notes
from gatedrnn.tasks.asr.train import table, train_asr
from gatedrnn.tasks.language_modeling.bundle import (
    LanguageModelConfig,
    TextModelSpec,
    write_language_model,
)
from gatedrnn.tokens import Characters

ROOT = Path(__file__).parents[3]
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
    """Runs a recipe in this process, which is faster."""
    return train_asr(command(name, *arguments)[1:], prepare, read)


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


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A language model that has learnt nothing, of the letters of the made-up words."""
    folder = tmp_path_factory.mktemp("lm") / "bundle"
    tokens = Characters.learn(
        [" ".join(make_utterance(i, speaker=i).words) for i in range(9)], "<eos>"
    )
    torch.manual_seed(1)
    spec = TextModelSpec(len(tokens), {"network": "ran", "num_layers": 1, "hidden_size": 8})
    write_language_model(folder, LanguageModelConfig(spec), tokens, spec.build())
    return folder


def test_results_of_older_versions_are_described():
    cost = {"language model seconds": 0.5, "search seconds": 2.0, "oracle WER": 7.0}
    choice = {"weight": 0.5, "insertion": 1.0, "internal": 0.0, "tried": 260, "edges": []}
    for key in ("hypotheses", "readings"):
        rescored = {"language model": "lm", **choice, "sets": {"dev": {**cost, key: 80}}}
        assert notes(rescored).splitlines() == [
            "rescored: language model weight 0.5, insertion 1, chosen on dev among 260",
            "dev: oracle WER 7.00 %, 80 hypotheses, 0.5 s of language model, 2.0 s of search "
            "(0.25)",
        ]


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
    chosen = ["--bidirectional=False", "--subsampling_factor=6", "--beam_size=2", "--head_size=8"]
    if head == "attention":
        recipe("Manifest", *manifests, *chosen, f"--output_folder={tmp_path / 'ctc'}")
        chosen += [f"--pretrained_encoder={tmp_path / 'ctc'}", "--head_network=ran"]
    folder = tmp_path / head
    recipe("Manifest", *manifests, *chosen, f"--head={head}", f"--output_folder={folder}")
    results = json.loads((folder / "results.json").read_text())
    assert results["head"] == head
    assert set(results["sets"]) == {"dev", "test"}
    assert len((folder / "nbest_test.jsonl").read_text().splitlines()) == 3


def test_a_language_model_is_a_key(tmp_path, manifests, bundle, capsys):
    """Its rows are what ``gatedrnn rescore`` finds in the same lists, to the last digit."""
    plain, with_model = tmp_path / "plain", tmp_path / "rescored"
    recipe("Manifest", *manifests, f"--output_folder={plain}")
    recipe("Manifest", *manifests, f"--output_folder={with_model}", f"--language_model={bundle}")
    before, results = (json.loads((f / "results.json").read_text()) for f in (plain, with_model))
    assert "rescored" not in before and not (plain / "rescored").exists()
    for name, figures in before["sets"].items():
        # Nothing else is changed by it, least of all the training.
        found = results["sets"][name]
        assert {k: v for k, v in found.items() if "seconds" not in k} == {
            k: v for k, v in figures.items() if "seconds" not in k
        }
        assert found["search seconds"] > 0
    printed = capsys.readouterr().out

    lists = [str(with_model / f"nbest_{name}.jsonl") for name in ("dev", "test")]
    assert main(["rescore", str(bundle), *lists, "--output", str(tmp_path / "by_command")]) == 0
    said = capsys.readouterr().out.splitlines()
    rescored = results["rescored"]
    assert f"rescored by {bundle}: {said[0].split(', chosen')[0]}, chosen on dev" in printed
    assert f"weight {rescored['weight']:g}, insertion {rescored['insertion']:g}," in said[0]
    assert rescored["tried"] == 260 and set(rescored["sets"]) == {"dev", "test"}
    by_command = (tmp_path / "by_command" / "setting.json").read_text()
    assert (with_model / "rescored" / "setting.json").read_text() == by_command
    for name, line in zip(("dev", "test"), said[-2:], strict=True):
        file, found = f"nbest_{name}.jsonl", rescored["sets"][name]
        by_command = (tmp_path / "by_command" / file).read_text()
        assert (with_model / "rescored" / file).read_text() == by_command
        errors = found["insertions"] + found["deletions"] + found["substitutions"]
        assert found["WER"] == pytest.approx(100 * errors / found["words"])
        assert f"-> {found['WER']:.2f} % (oracle {found['oracle WER']:.2f} %)" in line
        assert f"-> {errors} errors in {found['words']} words" in line
        assert f"{found['hypotheses']} hypotheses, {found['unknown']} unknown" in line
        ratio = found["language model seconds"] / found["search seconds"]
        assert found["language model to search"] == ratio
        assert (
            f"%WER {found['WER']:.2f}" in (with_model / "rescored" / f"wer_{name}.txt").read_text()
        )
    rows = table(results["sets"], rescored["sets"]).splitlines()
    assert [row.split("  ")[0] for row in rows[1:]] == [
        "dev",
        "dev, rescored",
        "test",
        "test, rescored",
    ]
    assert len(notes(rescored).splitlines()) == 3 + bool(rescored["edges"])


def test_two_processes_by_torchrun(tmp_path, manifests, bundle):
    """The first of them rescores what both have found."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    chosen = [f"--output_folder={tmp_path}", f"--language_model={bundle}"]
    script = command("Manifest", *manifests, *chosen)
    done = subprocess.run(
        [sys.executable, *launcher, *script],
        capture_output=True, text=True, check=False,
        env=os.environ | {"GATEDRNN_RUNNER": "reference", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["sets"]["dev"]["utterances"] == 4
    assert results["rescored"]["sets"]["dev"]["utterances"] == 4


@pytest.mark.parametrize(
    ("argument", "error", "message"),
    [
        ("--network=rann", ValueError, "there is no recurrence 'rann'; there are: lstmp"),
        ("--head=rnnt", ValueError, "head must be ctc, attention, transducer, not 'rnnt'"),
        ("--bidirectional", ValueError, "--bidirectional needs a value, such as"),
        ("--test_only", FileNotFoundError, "train first"),
        ("--no_such_key=1", ValueError, "asr.yaml has no key 'no_such_key'"),
        ("--num_layer=1", ValueError, "has no key 'num_layer'; is it num_layers"),
        ("--language_model=nowhere", FileNotFoundError, "nowhere: no such bundle"),
    ],
)
def test_mistakes_are_named(tmp_path, manifests, argument, error, message):
    with pytest.raises(error, match=message):
        recipe("Manifest", *manifests, f"--output_folder={tmp_path}", argument)


def test_what_cannot_rescore_is_refused_before_the_training(tmp_path, bundle):
    with pytest.raises(ValueError, match="beam_size must be above 1"):
        check_language_model({"language_model": bundle, "beam_size": 1})
    tokens = Characters.learn(["GO"], "<eos>")
    spec = TextModelSpec(len(tokens), {"hidden_size": 4}, line_ends=False)
    write_language_model(tmp_path / "lm", LanguageModelConfig(spec), tokens, spec.build())
    with pytest.raises(ValueError, match="without ends of lines"):
        check_language_model({"language_model": tmp_path / "lm", "beam_size": 2})
    state = torch.get_rng_state()
    check_language_model({"language_model": bundle, "beam_size": 2})
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.skipif(not AN4.is_dir(), reason="the data of AN4 is not beside the checkout")
def test_an4_close_and_distant(tmp_path):
    rirs = AN4.parent / "rir_noise" / "sim_rirs_16k_int16.npz"
    recipe(
        "AN4", f"--data_folder={AN4}", f"--prepared_folder={tmp_path / 'prepared'}",
        f"--output_folder={tmp_path}", "--num_layers=1", "--hidden_size=8", "--proj_size=4",
        "--subsampling_factor=8", "--bidirectional=False", "--beam_size=1", "--distant_share=0.5",
        f"--impulse_responses={rirs}",
    )  # fmt: skip
    results = json.loads((tmp_path / "results.json").read_text())
    assert set(results["sets"]) == {"dev", "dev-distant"}
    assert results["sets"]["dev"]["words"] == results["sets"]["dev-distant"]["words"] == 574
