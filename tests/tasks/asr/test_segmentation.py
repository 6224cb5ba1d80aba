"""Long recordings in chunks: the detector block by block, cuts, joins, silence, memory."""

from __future__ import annotations

import builtins
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torchaudio.functional import resample

from gatedrnn.tasks.asr import segmentation
from gatedrnn.tasks.asr.inputs import Item, cut_chunks, read_samples, stream_blocks
from gatedrnn.tasks.asr.segmentation import (
    FRAME,
    RATE,
    SegmentationOptions,
    VoiceDetector,
    find_chunks,
    pack,
)
from tests.data.corpora import real_data

SECOND = RATE / FRAME


@pytest.fixture(scope="module")
def detector() -> VoiceDetector:
    pytest.importorskip("silero_vad", reason="silero-vad is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    return VoiceDetector()


@pytest.fixture(scope="module")
def speech() -> torch.Tensor:
    """Nine seconds that a reader fills with speech nearly whole."""
    path = sorted(real_data("librispeech_mini", "ogg").glob("*.ogg"))[0]
    return read_samples(Item("a", path), RATE)[: 9 * RATE]


def write(path: Path, *parts: torch.Tensor, rate: int = RATE) -> Item:
    signal = torch.cat(parts)
    soundfile.write(path, resample(signal, RATE, rate).clamp(-1, 1).numpy(), rate)
    return Item("a", path)


def silence(seconds: float) -> torch.Tensor:
    return torch.zeros(round(seconds * RATE))


# ---- the detector ---------------------------------------------------------------------------


def test_probabilities_are_those_of_sileros_own_loop(detector, speech):
    silero_vad = pytest.importorskip("silero_vad")
    signal = torch.cat([speech[: 3 * RATE], silence(1.0), 0.1 * speech[3 * RATE : 4 * RATE + 100]])
    stock = silero_vad.load_silero_vad()
    padded = torch.nn.functional.pad(signal, (0, -len(signal) % FRAME))
    with torch.inference_mode():
        wanted = torch.stack([stock(frame, RATE).squeeze() for frame in padded.split(FRAME)])
    assert wanted.max() > 0.9 and wanted.min() < 0.1
    for size in (100, FRAME, 5_000, 10**6):
        found = detector.probabilities(signal.split(size))
        torch.testing.assert_close(found, wanted, atol=1e-3, rtol=0)
    assert len(detector.probabilities([])) == 0


def test_the_threads_of_the_process_are_left_alone(detector):
    before = torch.get_num_threads()
    sys.modules.pop("silero_vad.model", None)
    torch.set_num_threads(2)
    try:
        VoiceDetector()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_what_to_install_is_said(monkeypatch, tmp_path):
    def without(name: str, *more: object) -> object:
        if name.partition(".")[0] in ("silero_vad", "onnxruntime"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *more)

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr("importlib.import_module", without)
    item = write(tmp_path / "a.wav", torch.ones(RATE) / 2)
    with pytest.raises(ImportError, match=r'needs silero_vad: pip install "gatedrnn\[vad\]"'):
        find_chunks(item, SegmentationOptions(always=True))
    # What is short does without.
    assert find_chunks(item) == [(0.0, 1.0)]


def test_nothing_is_looked_for_in_the_network():
    pytest.importorskip("silero_vad", reason="silero-vad is not installed")
    code = (
        "import socket\n"
        "def no(*a, **k): raise OSError('network')\n"
        "socket.socket.connect = socket.getaddrinfo = no\n"
        "import torch\n"
        "from gatedrnn.tasks.asr.segmentation import VoiceDetector\n"
        "print(len(VoiceDetector().probabilities([torch.zeros(16000)])))\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "32"


# ---- chunks of recordings -------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_speech_between_silences_is_found(tmp_path, detector, speech, rate):
    parts = (silence(10.0), speech, silence(12.0), speech[: 4 * RATE], silence(5.0))
    chunks = find_chunks(write(tmp_path / "a.flac", *parts, rate=rate), None, detector)
    covered = torch.zeros(40_000, dtype=torch.bool)
    for start, end in chunks:
        covered[round(1000 * start) : round(1000 * end)] = True
    wanted = torch.zeros(40_000, dtype=torch.bool)
    for start, end in ((10.6, 18.6), (31.6, 34.6)):
        wanted[round(1000 * start) : round(1000 * end)] = True
    assert covered[wanted].float().mean() > 0.97
    assert not covered[:9_500].any() and not covered[20_500:30_500].any()
    assert not covered[36_500:].any()
    assert all(a < b for a, b in chunks)
    assert all(a[1] <= b[0] for a, b in zip(chunks, chunks[1:], strict=False))


def test_a_meeting_is_cut_into_chunks_of_any_length(detector):
    clip = Item("a", real_data("ami", "audio", "trn09_EN2009b_0-30s.flac"))
    for most in (3.0, 8.0, 20.0):
        chunks = find_chunks(clip, SegmentationOptions(max_seconds=most), detector)
        assert all(0.3 < b - a <= most + 1e-6 for a, b in chunks)
        assert sum(b - a for a, b in chunks) > 25.0
        assert all(a[1] <= b[0] for a, b in zip(chunks, chunks[1:], strict=False))
        # Few chunks: those that lie close together are joined.
        assert len(chunks) <= 30.0 / most * 2 + 1
        signals = list(cut_chunks(stream_blocks(clip, RATE, 1.0), chunks, RATE))
        whole = read_samples(clip, RATE)
        for (start, end), signal in zip(chunks, signals, strict=True):
            assert torch.equal(signal, whole[round(start * RATE) : round(end * RATE)])


def test_short_recordings_are_one_chunk_without_a_detector(tmp_path, speech, monkeypatch):
    monkeypatch.setattr(segmentation, "VoiceDetector", None)
    item = write(tmp_path / "a.flac", silence(2.0), speech)
    assert find_chunks(item) == [(0.0, 11.0)]
    part = Item("a", item.path, start=1.0, stop=4.5)
    assert find_chunks(part) == [(0.0, 3.5)]
    tiny = write(tmp_path / "b.wav", torch.full((160,), 0.1))
    assert find_chunks(tiny) == [(0.0, 0.01)]


def test_unless_it_is_asked_for(tmp_path, detector, speech):
    item = write(tmp_path / "a.flac", silence(4.0), speech, silence(4.0))
    chunks = find_chunks(item, SegmentationOptions(always=True), detector)
    assert 3.5 < chunks[0][0] < 5.5 and 12.0 < chunks[-1][1] < 13.7


def test_times_count_from_the_beginning_of_the_item(tmp_path, detector, speech):
    item = write(tmp_path / "a.flac", silence(50.0), speech, silence(40.0))
    whole = find_chunks(item, None, detector)
    part = find_chunks(Item("a", item.path, start=40.0), None, detector)
    torch.testing.assert_close(torch.tensor(part), torch.tensor(whole) - 40.0, atol=0.1, rtol=0)


@pytest.mark.parametrize("seconds", [0.01, 5.0, 95.0])
def test_digital_silence_has_no_chunk(tmp_path, detector, seconds):
    item = write(tmp_path / "a.wav", silence(seconds))
    assert find_chunks(item, None, detector) == []
    assert find_chunks(item, SegmentationOptions(always=True), detector) == []


def test_noise_has_no_chunk(tmp_path, detector):
    noise = torch.randn(40 * RATE, generator=torch.Generator().manual_seed(1)) * 0.01
    assert find_chunks(write(tmp_path / "a.wav", noise), None, detector) == []


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="no /proc/self/status")
def test_memory_does_not_grow_with_the_recording(tmp_path, detector, speech):
    """The greatest memory of a process, after a recording and after one eight times longer."""
    code = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from gatedrnn.tasks.asr.segmentation import find_chunks\n"
        "from gatedrnn.tasks.asr.inputs import Item\n"
        "for path in map(Path, sys.argv[1:]):\n"
        "    assert len(find_chunks(Item('a', path))) > 1\n"
        "    status = Path('/proc/self/status').read_text()\n"
        "    print(re.search(r'VmHWM:\\s+(\\d+) kB', status)[1])\n"
    )
    part = torch.cat([speech, silence(2.0)])
    paths = [write(tmp_path / f"{n}.flac", *[part] * n).path for n in (5, 40)]
    command = [sys.executable, "-c", code, *map(str, paths)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    short, long = map(int, found.stdout.split())
    # The samples of the longer one alone take 25 MB more.
    assert long - short < 12_000


# ---- cutting and joining --------------------------------------------------------------------


def test_stretches_are_joined_up_to_the_maximum():
    spans = [(0.0, 4.0), (4.5, 8.0), (8.2, 11.0), (13.0, 14.0), (14.9, 15.0)]
    options = SegmentationOptions(max_seconds=10.0, max_gap=1.0)
    assert pack(spans, torch.ones(500), options) == [(0.0, 8.0), (8.2, 11.0), (13.0, 15.0)]
    assert pack(spans, torch.ones(500), SegmentationOptions(max_gap=0.0)) == spans
    assert pack([], torch.ones(0), options) == []


def test_long_stretches_are_cut_where_speech_is_least_likely():
    probabilities = torch.ones(4000)
    for pause in (9.0, 17.0, 31.0):
        probabilities[round((pause - 0.2) * SECOND) : round((pause + 0.2) * SECOND)] = 0.2
    probabilities[round(14.0 * SECOND)] = 0.0  # a single frame is no pause
    chunks = pack([(0.0, 45.0)], probabilities, SegmentationOptions(max_seconds=20.0))
    assert [(round(a), round(b)) for a, b in chunks] == [(0, 17), (17, 31), (31, 45)]


def test_speech_without_any_pause_is_cut_nevertheless():
    rng = np.random.default_rng(1)
    for most in (1.0, 7.3, 30.0):
        options = SegmentationOptions(max_seconds=most, max_gap=0.0)
        for _ in range(50):
            start = rng.uniform(0, 5)
            end = start + rng.uniform(0.1, 90)
            frames = int((end + 1) * SECOND)
            flat = torch.ones(frames)
            for probabilities in (flat, torch.from_numpy(rng.uniform(0, 1, frames)).float()):
                chunks = pack([(start, end)], probabilities, options)
                assert chunks[0][0] == start and chunks[-1][1] == end
                assert all(a[1] == b[0] for a, b in zip(chunks, chunks[1:], strict=False))
                assert all(b - a <= most + 1e-9 for a, b in chunks)
                if len(chunks) > 1:
                    assert all(b - a > 0.49 for a, b in chunks)


@pytest.mark.parametrize(
    "wrong",
    [{"max_seconds": 0.5}, {"threshold": 1.0}, {"padding": -0.1}, {"max_gap": -1.0}],
)
def test_impossible_options(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)).replace("max_seconds", "chunks")):
        SegmentationOptions(**wrong)
