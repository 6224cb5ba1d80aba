"""Training of captioners: what is learnt, interruptions, several processes, bad files."""

from __future__ import annotations

import json
import re
import signal

import numpy as np
import pytest
import torch

from gatedrnn.cli.main import main
from gatedrnn.tasks.captioning.corpora.items import CaptionItem, MediaOptions
from gatedrnn.tasks.captioning.data import CaptionDataset, CaptionSets, MediaCache
from gatedrnn.tasks.captioning.train import CaptionTraining, make_captioner
from gatedrnn.tokens import Vocabulary
from tests.data.corpora import tone
from tests.tasks.asr.tiny import launch
from tests.tasks.captioning.tiny import WatchedCaptionBrain, hparams, scenes, train

# ---- what is learnt -------------------------------------------------------------------------


@pytest.mark.parametrize("attention", ["soft", "late"])
def test_it_learns_some_scenes_by_heart(tmp_path, attention):
    figures = train(
        tmp_path, train=4, dev=1, test=1, epochs=5, attention=attention, by_heart=40,
        captions_per_item=5,
    )  # fmt: skip
    assert figures["dev"]["true"] >= 0.75 and figures["dev"]["CIDEr-D"] > 2.5
    log = (tmp_path / "train_log.txt").read_text().splitlines()
    losses = [float(re.search(r"train loss: (\S+?),", line)[1]) for line in log]
    assert losses[-1] < 0.5 < 1.5 < losses[0]


def test_what_comes_out(tmp_path, capsys):
    figures = train(
        tmp_path, {"precision": "bf16"}, parameter_budget=15_000, epochs=1, train_tested=5
    )
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["sets"] == figures
    assert set(figures) == {"dev", "test", "train"}
    recalled = json.loads((tmp_path / "captions_train.json").read_text())
    assert [r["image_id"] for r in recalled] == [f"train-{i:06d}" for i in range(0, 10, 2)]
    model = WatchedCaptionBrain.instance.checkpointer.recoverables["model"]
    assert results["parameters"] == sum(w.numel() for w in model.parameters()) <= 15_000
    described = json.loads((tmp_path / "model.json").read_text())
    assert described["task"] == "captioning" and described["media"]["height"] == 32
    assert described["model"]["decoder"]["hidden_size"] == results["hidden_size"] != 24
    assert "dropout" not in described["model"]["decoder"]
    # The command that scores reads what is there, and finds the same.
    capsys.readouterr()
    manifest = tmp_path / "data" / "captions.jsonl"
    captions = tmp_path / "captions_test.json"
    arguments = ["--missing", "ignore", "--format", "json", "--java", "never"]
    assert main(["score-captions", str(manifest), str(captions), *arguments]) == 0
    result = json.loads(capsys.readouterr().out)["systems"][0]["measures"]
    for name in ("BLEU-4", "ROUGE-L"):
        assert result[name]["score"] == pytest.approx(figures["test"][name])
    assert "CIDEr-D" in (tmp_path / "caption_test.txt").read_text()
    assert figures["test"]["exact match"] <= figures["test"]["true"] <= 1


def test_an_encoder_that_was_trained_before_stays_as_it_was(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    train(first, epochs=1)
    save = WatchedCaptionBrain.instance.checkpointer
    taken = torch.load(save.find_checkpoint(max_key="CIDEr-D").path / "model.ckpt")
    case = {"pretrained_encoder": str(first), "network": "residual", "num_layers": 3, "epochs": 1}
    train(second, freeze_encoder=True, **case)
    brain = WatchedCaptionBrain.instance
    state = brain.checkpointer.recoverables["model"].state_dict()
    names = [name for name in state if name.startswith("encoder.")]
    assert any("running_mean" in name for name in names)
    for name in names:
        assert torch.equal(state[name], taken[name]), name
    assert len(brain.losses) == 9 and not torch.equal(
        state["decoder.embedding.weight"], taken["decoder.embedding.weight"]
    )
    train(tmp_path / "third", **case)
    state = WatchedCaptionBrain.instance.checkpointer.recoverables["model"].state_dict()
    assert not torch.equal(state[names[0]], taken[names[0]]), "it goes on learning"
    with pytest.raises(ValueError, match=r"pretrained_encoder: .* does not fit .*encoder_options"):
        options = {"channels": [8, 8], "width": 16}
        train(tmp_path / "fourth", encoder_options=options, **case)


def test_all_references_come_once_in_an_epoch(tmp_path):
    sets = scenes(tmp_path, 3, 1, 1)
    words = Vocabulary.learn([t for i in sets.train for t in i.references], 0)
    result = CaptionDataset(sets.train, words, MediaOptions("image", 32, 32), 2)
    seen = []
    for epoch in (1, 2):
        result.set_epoch(epoch)
        units = [result[i] for i in range(len(result))]
        assert [len(u["targets"]) for u in units] == [2, 2, 1] * 3
        seen.append([u["targets"] for u in units])
        for number, item in enumerate(sets.train):
            captions = [c for u in units[3 * number : 3 * number + 3] for c in u["targets"]]
            assert sorted(captions) == sorted(words.encode(t) for t in item.references)
    assert seen[0] != seen[1]
    with pytest.raises(ValueError, match="captions_per_item must be at least 1, not 0"):
        CaptionDataset(sets.train, words, MediaOptions("image", 32, 32), 0)


def test_sounds_and_features(tmp_path):
    options = {"epochs": 1, "captions_per_item": 5, "max_length": 8}
    sound = {"channels": [4, 8], "width": 16, "features": {"n_mels": 16}}
    figures = train(
        tmp_path / "a", corpus="sounds", train=4, dev=2, test=1, encoder="sound",
        encoder_options=sound, media={"max_seconds": 3.5}, **options,
    )  # fmt: skip
    assert figures["test"]["items"] == 1
    rng = np.random.default_rng(0)
    items = []
    for i, split in enumerate(("train", "train", "dev")):
        np.save(tmp_path / f"{i}.npy", rng.random((3 + i, 6)))
        items.append(CaptionItem(str(i), split, str(tmp_path / f"{i}.npy"), "features", ("a dog",)))
    sets = CaptionSets(items[:2], items[2:])
    options = hparams(tmp_path / "f", encoder="features", encoder_options={"width": 8}, media={},
                   **options)  # fmt: skip
    quiet = {"device": "cpu", "noprogressbar": True}
    assert CaptionTraining(options, quiet, sets).run()["dev"]["items"] == 1
    with pytest.raises(ValueError, match="the encoder image reads image, but the items are feat"):
        make_captioner(options | {"encoder": "image"}, 5, sets, MediaOptions("features"))


# ---- interrupted ----------------------------------------------------------------------------

# Beta draws noise in its gates, dropout and samples from other generators; the last epochs are
# self-critical, also from the middle of one.
CASES = {
    "sampled": {"network": "beta", "dropout": 0.1, "sampling_most": 0.5},
    "self-critical": {"self_critical_from": 2, "self_critical_baseline": "greedy",
                      "attention": "top_down"},
}  # fmt: skip
COMMON = {"task": train, "run_opts": {"ckpt_interval_steps": 2}, "captions_per_item": 3}


@pytest.fixture(scope="module", params=CASES)
def unbroken(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    case = COMMON | CASES[request.param]
    (outcome,) = launch(folder, **case)
    assert outcome.code == 0, outcome.said
    assert len(outcome.losses) == 12
    return case, outcome, (folder / "train_log.txt").read_text()


@pytest.mark.parametrize("moment", [{"KILL_AT": "1.4"}, {"KILL_AT": "2.4"}])
def test_killed_and_started_again_it_ends_the_same(tmp_path, unbroken, moment):
    case, whole, log = unbroken
    (killed,) = launch(tmp_path, environment=moment, **case)
    assert killed.code == -signal.SIGKILL, killed.said
    (outcome,) = launch(tmp_path, **case)
    assert outcome.code == 0, outcome.said
    assert 0 < len(outcome.losses) < len(whole.losses)
    assert outcome.losses == whole.losses[-len(outcome.losses) :]
    for name, weight in whole.weights.items():
        assert torch.equal(outcome.weights[name], weight), name
    assert (tmp_path / "train_log.txt").read_text() == log
    assert outcome.figures == whole.figures


# ---- several processes ----------------------------------------------------------------------


def test_two_processes_are_one_with_twice_the_items(tmp_path):
    case = {"task": train, "lr": 0.003, "epochs": 1}
    pair = launch(tmp_path / "pair", world=2, max_batch_size=2, **case)
    assert [o.code for o in pair] == [0, 0], pair[0].said + pair[1].said
    (one,) = launch(tmp_path / "one", max_batch_size=4, **case)
    assert one.code == 0, one.said
    assert pair[0].losses == pair[1].losses == pytest.approx(one.losses, abs=1e-5)
    for name, weight in one.weights.items():
        assert torch.equal(pair[0].weights[name], pair[1].weights[name]), name
        # Adam's steps are of the rate's size, 0.003, whatever the gradient's: where that is next to
        # zero, its last digits decide.
        off = (pair[0].weights[name] - weight).abs().double()
        assert off.median() < 1e-5 and off.max() < 3e-4, name
    assert pair[0].figures == pair[1].figures
    # What two have trained one tests, and finds the same.
    (alone,) = launch(tmp_path / "pair", run_opts={"test_only": True}, max_batch_size=2, **case)
    assert alone.code == 0, alone.said
    for name, figures in pair[0].figures.items():
        assert alone.figures[name] == pytest.approx(figures, rel=1e-9), name


def test_two_processes_sample_each_its_own(tmp_path):
    pair = launch(
        tmp_path, world=2, task=train, self_critical_from=1, epochs=1, captions_per_item=5,
        max_batch_size=3,
    )  # fmt: skip
    assert [o.code for o in pair] == [0, 0], pair[0].said + pair[1].said
    assert pair[0].losses == pair[1].losses
    for name, weight in pair[0].weights.items():
        assert torch.equal(pair[1].weights[name], weight), name
    assert "reward" in (tmp_path / "train_log.txt").read_text()


# ---- bad files ------------------------------------------------------------------------------


def test_a_file_that_breaks_is_named(tmp_path):
    sets = scenes(tmp_path / "data", 3, 1, 1)
    path = tmp_path / "data" / "images" / "train" / "000001.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ValueError, match=r"item train-000001 cannot be .*000001\.png") as error:
        train(tmp_path, train=3, dev=1, test=1, data=tmp_path / "data")
    assert "prepare again" in str(error.value) and "\n" not in str(error.value)
    words = Vocabulary.learn([t for i in sets.train for t in i.references], 0)
    path.unlink()
    result = CaptionDataset(sets.train, words, MediaOptions("image", 32, 32), 1, MediaCache(1))
    loader = torch.utils.data.DataLoader(result, batch_size=None, num_workers=1)
    with pytest.raises(ValueError, match=r"000001\.png: no such file"):
        list(loader)
    tone(tmp_path / "a.wav", 0.1)
    item = CaptionItem("1", "train", str(tmp_path / "a.wav"), "audio", ("a tone",))
    audio = CaptionDataset([item], words, MediaOptions("audio"), cache=MediaCache(1))
    assert audio[0]["source"] is audio[0]["source"]
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match=r"item 1: .*a\.wav.*prepare again"):
        CaptionDataset([item], words, MediaOptions("audio"))


def test_values_that_are_wrong(tmp_path):
    cases = (
        ({"encoder": "vision"}, "encoder must be features, image, backbone"),
        (
            {"self_critical_samples": 1},
            "self_critical: samples must be at least 2 with the baseline others",
        ),
        (
            {"self_critical_baseline": "mean"},
            "self_critical: baseline must be greedy or others, not 'mean'",
        ),
        ({"label_smoothing": 1.0}, r"label_smoothing must be in \[0, 1\)"),
        ({"media": {"fit": "bend"}}, "media: fit must be stretch, crop or pad, not 'bend'"),
        ({"network": "rann"}, "there is no recurrence 'rann'"),
        ({"more_than": 10_000}, "no word comes more than 10000 times"),
    )
    for number, (changes, message) in enumerate(cases):
        with pytest.raises(ValueError, match=message):
            train(tmp_path / str(number), train=2, dev=1, test=1, **changes)
    with pytest.raises(FileNotFoundError, match="train first"):
        train(tmp_path / "empty", {"test_only": True}, train=2, dev=1, test=1)
    with pytest.raises(ValueError, match="there is no item in dev"):
        CaptionSets([CaptionItem("1", "train", "a.png", "image", ("a",))], [])
