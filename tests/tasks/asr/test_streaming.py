"""A streamed signal gives what the whole signal gives, whatever the size of the pieces."""

from __future__ import annotations

import pytest
import torch

from gatedrnn.modules.features import ConvSubsampling, FrameStacking
from gatedrnn.tasks.asr.decode import SearchOptions
from gatedrnn.tasks.asr.streaming import Streamer, StreamingFeatures, streaming_subsampling
from tests.tasks.asr import models

#: Seconds, from 10 ms to more than the signal, and some that fit no frame.
PIECES = (0.01, 0.0137, 0.1, 0.5, 10.0)


def stream(streamer: Streamer, signal: torch.Tensor, seconds: float):
    streamer.reset()
    for piece in signal.split(round(seconds * 16000)):
        streamer.accept(piece)
    return streamer.finish()


@pytest.mark.parametrize("samples", [1, 159, 160, 200, 201, 4000, 16001])
@pytest.mark.parametrize("size", [1, 7, 160, 399, 16000])
def test_features(samples, size):
    if samples > 5000 and size < 100:
        pytest.skip("many small pieces take long, and test nothing more")
    recogniser = models.recogniser()
    signal = models.signal(2.0)[:samples]
    features = StreamingFeatures(recogniser.frontend)
    pieces = [features.accept(piece) for piece in signal.split(size)] + [features.finish()]
    whole, _ = recogniser.frontend([signal])
    assert torch.cat(pieces).shape == whole[0].shape
    torch.testing.assert_close(torch.cat(pieces), whole[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("frames", range(1, 14))
@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize(
    "module", [FrameStacking(8, 3), FrameStacking(8, 1), ConvSubsampling(8, 2, 5)], ids=str
)
def test_subsampling(module, frames, size):
    x = torch.rand(frames, 8)
    part = streaming_subsampling(module)
    with torch.no_grad():
        pieces = [part.accept(piece) for piece in x.split(size)] + [part.finish()]
        whole, _ = module(x.unsqueeze(0), torch.tensor([frames]))
    torch.testing.assert_close(torch.cat(pieces), whole[0])


@pytest.mark.parametrize("network", models.NETWORKS)
def test_every_recurrence(network):
    recogniser = models.recogniser(models.spec(network))
    signal = models.signal(1.3)
    whole = recogniser.recognize([signal], SearchOptions())[0]
    assert whole.text
    for seconds in PIECES:
        found = stream(Streamer(recogniser), signal, seconds)
        assert found.text == whole.text
        assert [w.word for w in found.words] == [w.word for w in whole.words]
        for a, b in zip(found.words, whole.words, strict=True):
            assert (a.start, a.end) == (b.start, b.end)
            assert a.confidence == pytest.approx(b.confidence, abs=1e-4)


@pytest.mark.parametrize("network", models.NETWORKS)
def test_scores(network):
    """Not the text only, which could be the same by chance."""
    recogniser = models.recogniser(models.spec(network))
    signal = models.signal(1.1)
    streamer = Streamer(recogniser)
    stream(streamer, signal, 0.05)
    log_probs = recogniser.score([signal]).log_probs[0]
    torch.testing.assert_close(torch.cat(streamer._log_probs), log_probs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("subsampling", ["stack", "conv"])
def test_beam(subsampling):
    recogniser = models.recogniser(models.spec(acoustic={"subsampling": subsampling}))
    signal = models.signal(1.0)
    whole = recogniser.recognize([signal], SearchOptions(4, n_best=3))[0]
    for seconds in PIECES:
        found = stream(Streamer(recogniser, SearchOptions(4, n_best=3)), signal, seconds)
        assert [text for text, _ in found.n_best] == [text for text, _ in whole.n_best]
        scores = [score for _, score in whole.n_best]
        # The tests' models magnify differences of rounding forty times.
        assert [score for _, score in found.n_best] == pytest.approx(scores, abs=5e-3)


def test_transducer():
    described = models.spec(
        head="transducer",
        head_options={"hidden_size": 8, "joint_size": 8, "embedding_size": 4},
    )
    recogniser = models.recogniser(described)
    recogniser.model.output.weight.mul_(30.0)
    signal = models.signal(1.0)
    whole = recogniser.recognize([signal], SearchOptions())[0]
    assert whole.text
    for seconds in PIECES:
        found = stream(Streamer(recogniser), signal, seconds)
        assert found.text == whole.text
        assert found.n_best[0][1] == pytest.approx(whole.n_best[0][1], abs=1e-3)


def test_int8():
    recogniser = models.recogniser(models.spec(), quantize="int8")
    signal = models.signal(1.0)
    whole = recogniser.recognize([signal], SearchOptions())[0]
    for seconds in PIECES:
        assert stream(Streamer(recogniser), signal, seconds).text == whole.text


def test_reference_stack_streams_too(monkeypatch):
    """Where there is no compiler, the state goes from chunk to chunk through the stack itself."""
    monkeypatch.setattr("gatedrnn.tasks.asr.streaming.obstacle", lambda *_: "no compiler")
    recogniser = models.recogniser()
    signal = models.signal(1.0)
    whole = recogniser.recognize([signal], SearchOptions())[0]
    for seconds in PIECES:
        assert stream(Streamer(recogniser), signal, seconds).text == whole.text


def test_text_grows_and_a_stream_can_begin_anew():
    recogniser = models.recogniser()
    signal = models.signal(1.0)
    streamer = Streamer(recogniser)
    texts = [streamer.accept(piece) for piece in signal.split(800)]
    assert len(texts[-1]) > len(texts[2]) and texts[-1].startswith(texts[2].rstrip())
    first = streamer.finish()
    streamer.reset()
    assert streamer.text == ""
    assert stream(streamer, signal, 0.3) == first or first.text == stream(streamer, signal, 1).text


def test_nothing():
    streamer = Streamer(models.recogniser())
    assert streamer.finish().text == ""
    streamer.reset()
    assert streamer.accept(torch.zeros(0)) == ""
    assert streamer.finish().text == ""


def test_timing():
    streamer = Streamer(models.recogniser())
    stream(streamer, models.signal(1.0), 0.1)
    timing = streamer.timing
    assert timing.audio == 1.0 and 0 < timing.longest <= timing.busy
    assert timing.real_time_factor == timing.busy
    assert timing.look_ahead == pytest.approx(0.0125 + 0.03)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"acoustic": {"bidirectional": True}}, "bidirectional: False"),
        ({"normalisation": "sentence"}, "norm_type: global"),
        ({"features": {}}, "dynamic_range: 0"),
        ({"head": "attention"}, "head: ctc or transducer"),
    ],
)
def test_models_that_cannot_stream_say_so(changes, wanted):
    recogniser = models.recogniser(models.spec(**changes))
    with pytest.raises(ValueError, match=wanted):
        Streamer(recogniser)


def test_shape_is_checked():
    with pytest.raises(ValueError, match=r"must be \(samples,\)"):
        Streamer(models.recogniser()).accept(torch.zeros(1, 160))
