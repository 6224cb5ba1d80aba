"""What needs packages beyond the required ones: TensorBoard, simulated rooms."""

from __future__ import annotations

import json

import pytest
import soundfile

from gatedrnn.data.dataset import simulate_rooms, speech_dataset
from gatedrnn.simulation.small_sets import SAMPLE_RATE, make_utterance
from gatedrnn.tasks.asr.corpora import distant_speech, prepare_corpus
from gatedrnn.training.log import TrainingLog, new_epoch


def test_figures_travel_to_tensorboard(tmp_path):
    accumulators = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="no tensorboard"
    )
    log = TrainingLog(tmp_path)
    for epoch, loss in ((1, 2.0), (2, 1.0)):
        log.add({"epoch": epoch, "lr": 1e-3}, {"loss": loss}, {"loss": 1.5, "WER": 80.0})
        log.write()
    # A training that was interrupted writes its last epoch again.
    log.rows.pop()
    log.add({"epoch": 2, "lr": 1e-3}, {"loss": 0.5}, {"loss": 1.5, "WER": 80.0})
    log.write()
    found = accumulators.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(found.Tags()["scalars"]) == {"lr", "train/loss", "valid/loss", "valid/WER"}
    assert [(e.step, e.value) for e in found.Scalars("train/loss")] == [(1, 2.0), (2, 0.5)]


def test_rooms_are_simulated_on_the_fly(tmp_path, monkeypatch):
    pytest.importorskip("pyroomacoustics", reason="no pyroomacoustics")
    few = "gatedrnn.tasks.asr.corpora.simulate_rooms"
    monkeypatch.setattr(few, lambda count, rate, seed: simulate_rooms(8, rate, seed=seed))
    rows = []
    for i in range(4):
        made = make_utterance(i, speaker=i, max_words=2)
        soundfile.write(tmp_path / f"{i}.wav", made.samples.numpy(), SAMPLE_RATE)
        rows.append({"audio": f"{i}.wav", "text": " ".join(made.words), "speaker": f"s{i % 2}"})
    (tmp_path / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lists = prepare_corpus(
        "manifest", None, tmp_path / "prepared", train=tmp_path / "all.jsonl"
    ).files
    close = speech_dataset(lists["train"], SAMPLE_RATE)
    train, dev = (
        speech_dataset(
            lists["train"], SAMPLE_RATE, effect=distant_speech("simulated", None, SAMPLE_RATE, s)
        )
        for s in ("train", "dev")
    )
    first = train[0]["sig"]
    assert first.shape == close[0]["sig"].shape
    assert float((first - close[0]["sig"]).abs().max()) > 0.01
    assert (train[0]["sig"] == first).all()
    # Another epoch, another room; and the rooms of the development set are heard in no other.
    train.set_epoch(2)
    assert (train[0]["sig"] != first).any()
    assert (dev[0]["sig"] != first).any()
    assert not any(
        (a == b).all()
        for a in train.effect.responses
        for b in dev.effect.responses
        if a.shape == b.shape
    )


def test_an_epoch_starts_without_norms_and_skipped_steps(tmp_path):
    assert new_epoch() == {"norms": [], "skipped": 0} == TrainingLog(tmp_path).running
