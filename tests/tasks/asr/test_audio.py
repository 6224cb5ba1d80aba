"""Signals: exactly those of training, in blocks of any size, and issues with names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torchaudio.functional import resample

from gatedrnn.data import audio as data_audio
from gatedrnn.data.audio import AudioError, BlockResampler
from gatedrnn.data.dataset import SpeechDataset
from gatedrnn.data.report import ISSUES
from gatedrnn.data.tables import Utterance, read_csv
from gatedrnn.tasks.asr import inputs as audio
from gatedrnn.tasks.asr.corpora import prepare_corpus
from gatedrnn.tasks.asr.inputs import (
    Item,
    cut_chunks,
    find_items,
    locate,
    read_samples,
    stream_blocks,
)
from tests.data.corpora import cut, real_data, tone

#: Ending -> format, subtype, sample rate, channels.
FORMATS = {
    "wav": ("WAV", "PCM_16", 8_000, 1),
    "float.wav": ("WAV", "FLOAT", 11_025, 3),
    "flac": ("FLAC", "PCM_24", 44_100, 2),
    "ogg": ("OGG", "VORBIS", 22_050, 2),
    "opus": ("OGG", "OPUS", 48_000, 1),
    "mp3": ("MP3", "MPEG_LAYER_III", 44_100, 2),
    "sph": ("NIST", "ULAW", 8_000, 1),
    "aiff": ("AIFF", "PCM_16", 16_000, 1),
}


def recording(folder: Path, ending: str, seconds: float = 3.0) -> Path:
    """Noise in a format; channels differ."""
    kind, subtype, rate, channels = FORMATS[ending]
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, (round(seconds * rate), channels))
    path = folder / f"a.{ending}"
    soundfile.write(path, noise, rate, format=kind, subtype=subtype)
    return path


def item(path: Path, **more: object) -> Item:
    return Item("a", path, **more)


def together(*arguments: object, **more: object) -> torch.Tensor:
    return torch.cat(list(stream_blocks(*arguments, **more)))


def issue(kind: str, found: Item, message: str | None = None) -> None:
    """Reading gives an error of this kind, which names the file."""
    for read in (lambda: read_samples(found, 16_000), lambda: list(stream_blocks(found, 8_000))):
        with pytest.raises(AudioError, match=message) as caught:
            read()
        assert caught.value.kind == kind and kind in ISSUES
        assert found.path.name in caught.value.detail


# ---- as in training -------------------------------------------------------------------------


@pytest.mark.parametrize("ending", FORMATS)
def test_utterances_are_those_of_training(tmp_path, ending):
    path = recording(tmp_path, ending)
    rate, channels = FORMATS[ending][2:]
    span = (rate // 3, 2 * rate + 7)
    for channel in range(channels):
        utterance = Utterance("a", 1.0, str(path), *span, channel, "s", "A")
        trained = SpeechDataset([utterance], 16_000)[0]["sig"]
        found = read_samples(item(path, samples=span, channel=channel), 16_000)
        assert torch.equal(found, trained)
    seconds = read_samples(item(path, start=span[0] / rate, stop=span[1] / rate, channel=0), 16_000)
    first = SpeechDataset([Utterance("a", 1.0, str(path), *span, 0, "s", "A")], 16_000)[0]["sig"]
    assert torch.equal(seconds, first)


def test_the_lists_of_an4_give_the_signals_of_training(tmp_path):
    path = prepare_corpus("an4", real_data("an4"), tmp_path).files["dev"]
    rows, items = read_csv(path)[:20], find_items([path])[:20]
    for rate in (16_000, 8_000):
        data = SpeechDataset(rows, rate)
        for found, trained in zip(items, data, strict=True):
            assert torch.equal(read_samples(found, rate), trained["sig"])


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("seconds", [0.013, 0.5, 100.0])
def test_blocks_make_the_whole(tmp_path, ending, seconds):
    path = recording(tmp_path, ending)
    whole, rate = soundfile.read(path, dtype="float32", always_2d=True)
    wanted = resample(torch.from_numpy(whole).mean(1), rate, 16_000)
    found = together(item(path), 16_000, seconds)
    assert found.shape == wanted.shape == (48_000,) and found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)
    assert abs(locate(item(path)).seconds - 3.0) < 1e-9


def test_blocks_of_a_part_make_the_part(tmp_path):
    path = recording(tmp_path, "flac")
    part = item(path, start=0.7, stop=2.2, channel=1)
    torch.testing.assert_close(
        together(part, 8_000, 0.1), read_samples(part, 8_000), atol=1e-6, rtol=0
    )
    assert (locate(part).offset, locate(part).seconds) == (0.7, 1.5)
    sizes = [len(block) for block in stream_blocks(part, 8_000, 0.1)]
    assert max(sizes) < 1_600 and sum(sizes) == 12_000


def test_blocks_of_many_channels_are_shorter(tmp_path, monkeypatch):
    path = tone(tmp_path / "a.wav", 1.0, channels=8)
    wanted = read_samples(item(path), 8_000)
    monkeypatch.setattr(audio, "MAX_SAMPLES", 8_000)
    assert max(map(len, stream_blocks(item(path), 8_000))) < 1_100
    torch.testing.assert_close(together(item(path), 8_000), wanted, atol=1e-6, rtol=0)
    torch.testing.assert_close(wanted[1000:-1000], torch.full((6_000,), 0.45), atol=1e-3, rtol=0)


def test_real_recordings():
    clip = real_data("ami", "audio", "trn00_EN2001a_0-30s.flac")
    assert torch.equal(
        read_samples(item(clip), 16_000), torch.from_numpy(soundfile.read(clip, dtype="float32")[0])
    )
    ogg = sorted(real_data("librispeech_mini", "ogg").glob("*.ogg"))[0]
    torch.testing.assert_close(
        together(item(ogg), 8_000, 1.0), read_samples(item(ogg), 8_000), atol=1e-6, rtol=0
    )


# ---- resampling -----------------------------------------------------------------------------

RATES = [(8_000, 16_000), (48_000, 16_000), (44_100, 16_000), (16_000, 44_100), (11_025, 8_000),
         (12_345, 16_000)]  # fmt: skip


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("source", "target"), RATES)
def test_resampling_is_torchaudios_at_any_block_size(source, target, sparse, monkeypatch):
    if sparse:
        monkeypatch.setattr(data_audio, "_MAX_ENTRIES", 0)
    signal = torch.randn(source + 17, generator=torch.Generator().manual_seed(1)).mul_(0.3)
    wanted = resample(signal, source, target)
    for size in (source // 100, 1_000, 10**6):
        resampler = BlockResampler(source, target)
        for _ in range(2):  # it can be used again
            parts = [resampler.push(block) for block in signal.split(size)]
            found = torch.cat([*parts, resampler.flush()])
            torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)
    exact = BlockResampler(source, target).flush(signal)
    assert sparse or torch.equal(exact, wanted)


def test_lengths_of_short_signals():
    for count in (0, 1, 2, 3, 440, 441, 442):
        resampler = BlockResampler(44_100, 16_000)
        found = torch.cat([resampler.push(torch.ones(count)), resampler.flush()])
        assert len(found) == -(-count * 160 // 441)


def test_rates_without_a_common_divisor_take_little_memory():
    resampler = BlockResampler(11_127, 16_000)
    assert resampler._apply.kernel.numel() < 10**6  # torchaudio's matrix has 1.8e8 entries
    time = torch.arange(11_127) / 11_127
    found = resampler.flush(torch.sin(2 * torch.pi * 200 * time))
    wanted = torch.sin(2 * torch.pi * 200 * torch.arange(16_000) / 16_000)
    torch.testing.assert_close(found[500:-500], wanted[500:-500], atol=2e-3, rtol=0)


# ---- chunks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
def test_chunks_are_cut_out_of_blocks(size):
    signal = torch.arange(200.0)
    chunks = [(0.0, 1.2), (1.2, 3.0), (3.0, 3.0), (7.5, 7.6), (12.0, 15.0), (15.0, 25.0)]
    found = list(cut_chunks(signal.split(size), chunks, rate=10))
    for (start, end), chunk in zip(chunks, found, strict=True):
        assert torch.equal(chunk, signal[round(10 * start) : round(10 * end)])


def test_chunks_may_overlap_but_not_go_back():
    signal = torch.arange(100.0)
    found = list(cut_chunks(signal.split(9), [(1.0, 5.0), (4.0, 6.0)], rate=10))
    assert torch.equal(found[1], signal[40:60])
    with pytest.raises(ValueError, match="the chunk at 1.0 s starts before"):
        list(cut_chunks(signal.split(9), [(4.0, 5.0), (1.0, 6.0)], rate=10))


# ---- issues ---------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", FORMATS)
def test_short_files(tmp_path, ending):
    rate = FORMATS[ending][2]
    for frames in (1, rate // 100):
        path = recording(tmp_path, ending, frames / rate)
        assert len(read_samples(item(path), 16_000)) == -(-frames * 16_000 // rate)
    # An Opus file without samples is one that libsndfile itself cannot read.
    empty = "audio-unreadable" if ending == "opus" else "audio-empty"
    issue(empty, item(recording(tmp_path, ending, 0.0)))


def test_silence_is_read(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(1600), 16_000)
    assert not read_samples(item(tmp_path / "a.wav"), 8_000).any()


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3", "sph", "opus", "m4a"])
def test_a_text_is_no_audio(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    path.write_text("This is a text, whatever its name says. " * 50)
    issue("audio-unreadable", item(path))


def test_files_that_are_missing_or_empty(tmp_path):
    issue("audio-missing", item(tmp_path / "gone.wav"), "no such file")
    (tmp_path / "a.wav").touch()
    issue("audio-empty", item(tmp_path / "a.wav"), "0 bytes")


@pytest.mark.parametrize("ending", ["wav", "flac", "mp3"])
def test_files_that_were_cut_off(tmp_path, ending):
    path = cut(recording(tmp_path, ending))
    issue("audio-truncated", item(path))
    issue("audio-truncated", item(path, start=1.0))
    issue("audio-truncated", item(path, start=2.9))


def test_what_lies_before_the_cut_is_read(tmp_path):
    path = cut(recording(tmp_path, "wav"))
    assert len(read_samples(item(path, start=0.2, stop=1.0), 8_000)) == 6_400
    issue("audio-truncated", item(path, start=0.2, stop=2.0))


@pytest.mark.parametrize("ending", ["ogg", "opus", "flac"])
def test_files_that_are_broken_in_the_middle(tmp_path, ending):
    path = recording(tmp_path, ending)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    path.write_bytes(data)
    with pytest.raises(AudioError, match=path.name) as caught:
        read_samples(item(path), 16_000)
    assert caught.value.kind in ("audio-truncated", "audio-unreadable")


def test_channels_and_times_that_are_not_there(tmp_path):
    path = recording(tmp_path, "flac")
    issue("value-unreadable", item(path, channel=2), r"channel 2 wanted, but the file has 2")
    issue("past-the-end", item(path, start=3.0), "starts at 3.000 s of 3.000 s")
    issue("past-the-end", item(path, samples=(0, 44_100 * 3 + 1)), "prepare again, it has changed")
    issue("no-duration", item(path, start=1.0, stop=1.0))
    issue("no-duration", item(path, start=-1.0, stop=1.0))


def test_an_end_beyond_the_end_is_that_of_the_file(tmp_path, caplog):
    path = recording(tmp_path, "wav")
    assert locate(item(path, start=2.0, stop=3.05)).seconds == 1.0 and not caplog.records
    assert locate(item(path, start=2.0, stop=4.0)).seconds == 1.0
    assert "is given as 4.000 s, but the recording ends at 3.000 s" in caplog.text


def test_samples_that_are_no_numbers(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full(100, np.nan, np.float32), 16_000, subtype="FLOAT")
    issue("audio-unreadable", item(tmp_path / "a.wav"), "no numbers")


def test_rates_that_are_no_sound(tmp_path):
    for rate in (100, 2_000_000_000):
        soundfile.write(tmp_path / "a.wav", np.zeros(100), rate)
        issue("audio-unreadable", item(tmp_path / "a.wav"), f"{rate} samples per second")


def test_blocks_need_a_size(tmp_path):
    with pytest.raises(ValueError, match="blocks of 0 s"):
        list(stream_blocks(item(recording(tmp_path, "wav")), 16_000, 0))


def test_channels_are_averaged_and_resampled(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, [[0.1, 0.5]] * 8000, 8000)
    signal = read_samples(Item("a", path), 16000)
    assert signal.shape == (16000,) and float(signal[8000]) == pytest.approx(0.3, abs=5e-4)
