"""Datasets, and distant speech out of close speech."""

from __future__ import annotations

import builtins
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataio import read_audio
from speechbrain.dataio.dataloader import SaveableDataLoader
from speechbrain.dataio.dataset import DynamicItemDataset

from gatedrnn.data.audio import inspect
from gatedrnn.data.dataset import (
    DistantSpeech,
    ImpulseResponses,
    Noises,
    SpeechDataset,
    simulate_rooms,
    speech_dataset,
)
from gatedrnn.data.tables import COLUMNS, Utterance, read_csv, write_csv
from gatedrnn.tasks.asr.corpora import prepare_corpus
from tests.data.corpora import real_data, tone


def utterance(path: Path, **more: object) -> Utterance:
    values = {
        "id": "u1", "duration": 0.5, "wav": str(path), "start": 4000, "stop": 12000, "channel": 0,
        "speaker": "ann", "words": "OH YES", **more,
    }  # fmt: skip
    return Utterance(**values)


def test_items(tmp_path):
    path = tone(tmp_path / "a.wav", 1.0, channels=3)
    item = SpeechDataset([utterance(path, channel=2)], 16000)[0]
    torch.testing.assert_close(item["sig"], torch.full((8000,), 0.3), atol=1e-4, rtol=0)
    assert item["words"] == ["OH", "YES"] and item["wrd"] == "OH YES" and item["spk_id"] == "ann"


def test_speechbrain_reads_the_csv_files_and_the_same_samples(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.random.default_rng(1).uniform(-0.9, 0.9, 16000), 16000)
    write_csv(tmp_path / "train.csv", [utterance(path)])
    row = DynamicItemDataset.from_csv(tmp_path / "train.csv").data["u1"]
    span = {"file": row["wav"], "start": int(row["start"]), "stop": int(row["stop"])}
    ours = speech_dataset(tmp_path / "train.csv", 16000)[0]["sig"]
    torch.testing.assert_close(ours, read_audio(span))
    assert row["duration"] == 0.5


def test_other_rates_are_resampled(tmp_path):
    path = tone(tmp_path / "a.wav", 1.0, rate=8000)
    found = SpeechDataset([utterance(path, start=2000, stop=6000)], 16000)[0]["sig"]
    assert len(found) == 8000
    torch.testing.assert_close(found[1000:-1000], torch.full((6000,), 0.1), atol=1e-3, rtol=0)


def test_batches_of_speechbrain_in_workers(tmp_path):
    path = tone(tmp_path / "a.wav", 1.0)
    rows = [utterance(path, id=f"u{i}", stop=6000 + 1000 * i) for i in range(4)]
    data = SpeechDataset(rows, 16000)
    loader = SaveableDataLoader(data, batch_size=4, collate_fn=PaddedBatch, num_workers=1)
    batch = next(iter(loader))
    assert batch.sig.data.shape == (4, 5000)
    assert batch.id == ["u0", "u1", "u2", "u3"]


def test_a_file_that_changed_since_preparation_is_named(tmp_path):
    path = tone(tmp_path / "a.wav", 0.5)
    with pytest.raises(ValueError, match=r"a.wav: .*prepare again"):
        SpeechDataset([utterance(path)], 16000)[0]
    with pytest.raises(ValueError, match="of channel 1 of u1 cannot be read"):
        SpeechDataset([utterance(path, stop=5000, channel=1)], 16000)[0]


def test_text_alone_makes_no_dataset(tmp_path):
    with pytest.raises(ValueError, match="u1 has no recording"):
        SpeechDataset([utterance(tmp_path, wav="")], 16000)


def test_durations_filter(tmp_path, caplog):
    path = tmp_path / "train.csv"
    write_csv(path, [utterance(path, id=f"u{i}", duration=float(i)) for i in range(1, 6)])
    found = speech_dataset(path, 16000, min_seconds=2, max_seconds=4)
    assert found.durations == [2.0, 3.0, 4.0] and len(found.texts) == 3
    with pytest.raises(ValueError, match="none of its 5 utterances lasts"):
        speech_dataset(path, 16000, min_seconds=20)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("channel,", "", "no column channel"),
        (",12000,", ",x,", "line 2: invalid literal"),
        (",4000,12000,", ",12000,4000,", "must be 0 <= start <= stop"),
        (",ann,OH YES", "", "line 2"),
    ],
)
def test_bad_csv_files(tmp_path, old, new, message):
    path = tmp_path / "train.csv"
    write_csv(path, [utterance(tmp_path / "a.wav")])
    assert path.read_text().startswith(",".join(COLUMNS))
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_csv(path)
    with pytest.raises(FileNotFoundError, match="prepare the corpus first"):
        read_csv(tmp_path / "nowhere.csv")


# ---- distant speech -------------------------------------------------------------------------


def noises(folder: Path) -> Noises:
    folder.mkdir()
    wave = np.random.default_rng(1).normal(size=4000) / 10
    soundfile.write(folder / "hiss.wav", wave, 16000)
    return Noises(folder, 16000)


def test_reverberation_is_convolution_from_the_direct_sound_on():
    response = torch.zeros(300)
    response[50], response[150] = 1.0, 0.5
    signal = torch.randn(2000)
    wet = DistantSpeech(ImpulseResponses([response], 16000))(signal, "u1")
    want = signal.clone()
    want[100:] += 0.5 * signal[:-100]
    want *= signal.square().mean().sqrt() / want.square().mean().sqrt()
    torch.testing.assert_close(wet, want, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("snr", [0.0, 20.0])
def test_noise_has_its_ratio(tmp_path, snr):
    distant = DistantSpeech(noises=noises(tmp_path / "n"), snr=(snr, snr))
    signal = torch.sin(torch.arange(16000) / 5)
    noisy = distant(signal, "u1")
    assert noisy.square().mean() == pytest.approx(float(signal.square().mean()), rel=1e-3)
    clean = signal * (noisy @ signal) / (signal @ signal)
    ratio = clean.square().mean() / (noisy - clean).square().mean()
    assert 10 * float(ratio.log10()) == pytest.approx(snr, abs=0.3)


def test_what_happens_follows_from_seed_name_and_epoch(tmp_path):
    responses = [torch.randn(50) for _ in range(20)]
    noise = noises(tmp_path / "n")

    def make(seed: int) -> DistantSpeech:
        return DistantSpeech(ImpulseResponses(responses, 16000), noise, seed=seed)

    signal = torch.randn(3000)
    first = make(1)(signal, "u1", 3)
    distant = make(1)
    distant(signal, "u2", 3)
    assert torch.equal(distant(signal, "u1", 3), first)
    for other in (make(2)(signal, "u1", 3), distant(signal, "u2", 3), distant(signal, "u1", 4)):
        assert not torch.equal(other, first)


def test_epochs_reach_workers_that_live_on(tmp_path):
    path = tone(tmp_path / "a.wav", 1.0)
    distant = DistantSpeech(noises=noises(tmp_path / "n"))
    data = SpeechDataset([utterance(path)], 16000, effect=distant)
    loader = torch.utils.data.DataLoader(
        data, num_workers=1, persistent_workers=True, collate_fn=lambda items: items[0]["sig"]
    )
    found = []
    for epoch in (0, 1, 0):
        data.set_epoch(epoch)
        found += list(loader)
    assert torch.equal(found[0], found[2]) and not torch.equal(found[0], found[1])


def test_share_of_distant_utterances(tmp_path):
    distant = DistantSpeech(noises=noises(tmp_path / "n"), share=0.25)
    signal = torch.randn(100)
    changed = sum(not torch.equal(distant(signal, f"u{i}"), signal) for i in range(400))
    assert 70 < changed < 130


def test_silence_stays_silent(tmp_path):
    distant = DistantSpeech(noises=noises(tmp_path / "n"))
    assert float(distant(torch.zeros(1000), "u1").abs().max()) < 1e-6


@pytest.mark.parametrize(
    ("values", "message"),
    [({}, "impulse responses, noises, or both"), ({"snr": (9, 3)}, "snr"), ({"share": 2}, "share")],
)
def test_bad_distant_speech(values, message):
    responses = None if not values else ImpulseResponses([torch.ones(3)], 16000)
    with pytest.raises(ValueError, match=message):
        DistantSpeech(responses, **values)


def test_impulse_responses_of_folders_and_arrays(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    direct_first = 0.9 * np.exp(-np.arange(800) / 50.0)
    soundfile.write(tmp_path / "a" / "b" / "room.wav", direct_first, 8000, subtype="PCM_16")
    assert len(ImpulseResponses.load(tmp_path / "a", 16000)[0]) > 1590
    array = np.zeros((3, 100), dtype=np.int16)
    array[:, 10] = [32767, 16384, -32767]
    np.savez(tmp_path / "rirs_16k.npz", rirs=array)
    split = [{"split": "train"}, {"split": "train"}, {"split": "dev"}]
    (tmp_path / "rirs.json").write_text(json.dumps(split))
    found = ImpulseResponses.load(tmp_path / "rirs_16k.npz", 16000, "dev")
    assert len(found) == 1 and found[0].shape == (90,) and float(found[0][0]) == -1.0
    with pytest.raises(ValueError, match="no response of split 'test'; has dev, train"):
        ImpulseResponses.load(tmp_path / "rirs_16k.npz", 16000, "test")
    with pytest.raises(ValueError, match="a folder tells no splits"):
        ImpulseResponses.load(tmp_path / "a", 16000, "dev")
    np.savez(tmp_path / "odd.npz", other=array)
    with pytest.raises(ValueError, match="must hold an array rirs"):
        ImpulseResponses.load(tmp_path / "odd.npz", 16000)
    with pytest.raises(FileNotFoundError, match="no audio files of impulse responses"):
        ImpulseResponses.load(Path(__file__).parent, 16000)


def test_rooms_without_pyroomacoustics(monkeypatch):
    real = builtins.__import__

    def without(name: str, *arguments: object, **more: object) -> object:
        if name == "pyroomacoustics":
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="pip install pyroomacoustics"):
        simulate_rooms(1, 16000)


def test_rooms():
    pytest.importorskip("pyroomacoustics")
    first, again, other = (simulate_rooms(3, 16000, seed) for seed in (1, 1, 2))
    assert len(first) == 3
    assert torch.equal(first[2], again[2]) and not torch.equal(first[2], other[2])
    # Reverberation dies out.
    for response in (first[i] for i in range(3)):
        quarter = len(response) // 4
        assert response[-quarter:].square().sum() < 0.05 * response[:quarter].square().sum()


def test_real_distant_an4(tmp_path):
    prepared = prepare_corpus("an4", real_data("an4"), tmp_path)
    responses = ImpulseResponses.load(
        real_data("rir_noise", "sim_rirs_16k_int16.npz"), 16000, "dev"
    )
    distant = DistantSpeech(responses, Noises(real_data("rir_noise", "noise"), 16000), (10, 10))
    close = speech_dataset(prepared.files["dev"], 16000)
    far = speech_dataset(prepared.files["dev"], 16000, effect=distant)
    assert len(far) == 100
    for i in range(0, 100, 10):
        assert far[i]["sig"].shape == close[i]["sig"].shape
        assert torch.isfinite(far[i]["sig"]).all()
        assert not torch.equal(far[i]["sig"], close[i]["sig"])


def test_csv_files_have_the_columns_of_speechbrain(tmp_path):
    path = tmp_path / "train.csv"
    write_csv(path, [Utterance("u1", 0.5, "a.wav", 0, 8000, 0, "ann", "YES")])
    assert path.read_text().splitlines() == [
        "ID,duration,wav,start,stop,channel,spk_id,wrd", "u1,0.500,a.wav,0,8000,0,ann,YES",
    ]  # fmt: skip
    assert read_csv(path) == [Utterance("u1", 0.5, "a.wav", 0, 8000, 0, "ann", "YES")]


def test_a_file_that_was_cut_off_has_fewer_frames_than_it_declares(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(1000), 16000)
    assert (inspect(path).frames, inspect(path).declared) == (1000, 1000)
    path.write_bytes(path.read_bytes()[:1044])
    assert (inspect(path).frames, inspect(path).declared) == (500, 1000)
