"""The acoustic model: padding is not seen, truncated back-propagation is exact."""

from __future__ import annotations

import pytest
import torch

from gatedrnn.modules.features import LogMel
from gatedrnn.tasks.asr.model import CTCModel, Frontend


def small(**options):
    torch.manual_seed(2)
    return CTCModel(
        **{"vocabulary": 9, "input_size": 6, "num_layers": 2, "hidden_size": 8, "proj_size": 4}
        | options
    ).double()


@pytest.mark.parametrize("subsampling", ["stack", "conv"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_utterance_comes_out_alike_in_any_company(subsampling, bidirectional):
    model = small(subsampling=subsampling, bidirectional=bidirectional)
    features = torch.randn(3, 41, 6, dtype=torch.float64)
    frames = torch.tensor([41, 17, 30])
    together, counts, _ = model(features, frames / 41)
    for i, count in enumerate(frames.tolist()):
        alone, own, _ = model(features[i : i + 1, :count], torch.ones(1))
        assert int(own) == int(counts[i]) == -(-count // model.factor)
        assert torch.allclose(alone[0], together[i, : int(own)], atol=1e-6)


@pytest.mark.parametrize("network", ["residual", "depth_gated", "beta"])
def test_truncation_changes_gradients_only(network):
    options = {"variant": "beta", "prior_weight": 0.1} if network == "beta" else {}
    whole = small(network=network, factor=1, network_options=options)
    chunks = small(network=network, factor=1, network_options=options, bptt_frames=5)
    chunks.load_state_dict(whole.state_dict())
    features = torch.randn(3, 23, 6, dtype=torch.float64)
    lengths = torch.tensor([23, 4, 12]) / 23
    if network == "beta":
        # Its gates draw noise, chunk by chunk: only look at what is kept and what is not.
        _, _, auxiliary = chunks(features, lengths)
        assert torch.isfinite(auxiliary)
        return
    results = []
    for model in (whole, chunks):
        x = features.clone().requires_grad_()
        log_probs, counts, _ = model(x, lengths)
        log_probs[0, 12].sum().backward()
        results.append((log_probs.detach(), x.grad[0]))
    for i, count in enumerate(counts.tolist()):
        assert torch.allclose(results[0][0][i, :count], results[1][0][i, :count], atol=1e-6)
    assert (results[0][1][:13] != 0).any(1).all()
    # Frame 12 lies in the chunk from 10 to 14.
    assert (results[1][1][:10] == 0).all()
    assert (results[1][1][10:13] != 0).any(1).all()


def test_a_chunk_as_long_as_the_utterance_is_no_truncation():
    whole, chunks = small(), small(bptt_frames=100)
    features = torch.randn(2, 31, 6, dtype=torch.float64)
    for model in (whole, chunks):
        model(features, torch.tensor([1.0, 0.5]))[0][:, :5].pow(2).sum().backward()
    for a, b in zip(whole.parameters(), chunks.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, atol=1e-8)


def test_truncation_needs_one_direction():
    with pytest.raises(ValueError, match="needs bidirectional: False"):
        small(bptt_frames=20, bidirectional=True)


def test_features_of_signals_of_different_lengths():
    features, lengths = Frontend(LogMel())([torch.rand(1600), torch.rand(800)])
    assert features.shape == (2, 11, 80)
    assert (lengths * 11).tolist() == [11.0, 6.0]
