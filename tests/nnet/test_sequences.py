"""Padding, batching and carried states change nothing."""

from __future__ import annotations

import pytest
import torch

from tests import cases

FRAMES = 9


def grads(net, loss):
    return torch.autograd.grad(loss, list(net.parameters()))


@pytest.mark.parametrize("bidirectional", [False, True], ids=["uni", "bi"])
@pytest.mark.parametrize("case", cases.CASES, ids=cases.IDS)
def test_padding_and_batching_change_nothing(case, bidirectional):
    """Alone, in a batch, in longer padding full of garbage: same output, state and gradients."""
    name, options = case
    net = cases.build(name, options, layers=2, bidirectional=bidirectional)
    n = 5
    utterance = torch.rand(1, n, 4, dtype=torch.float64) - 0.5
    h0, c0 = cases.random_state(net, 3)
    own_state = (h0[:, 1:2].contiguous(), c0[:, 1:2].contiguous())

    alone, (h, c) = net(utterance, own_state)
    weight = torch.rand_like(alone)
    alone_grads = grads(net, (alone * weight).sum() + h.pow(2).sum() + c.pow(2).sum())

    for frames, garbage in ((FRAMES, 1e3), (n + 1, float("nan"))):
        batch = torch.rand(3, frames, 4, dtype=torch.float64)
        batch[1, :n] = utterance
        batch[1, n:] = garbage
        lengths = torch.tensor([1.0, n / frames, 2 / frames])
        batch[2, 2:] = garbage
        output, (hn, cn) = net(batch, (h0, c0), lengths)
        torch.testing.assert_close(output[1:2, :n], alone, rtol=0, atol=1e-10)
        assert output[1, n:].count_nonzero() == 0
        assert output[2, 2:].count_nonzero() == 0
        torch.testing.assert_close(hn[:, 1:2], h, rtol=0, atol=1e-10)
        torch.testing.assert_close(cn[:, 1:2], c, rtol=0, atol=1e-10)
        loss = (output[1:2, :n] * weight).sum()
        loss = loss + hn[:, 1].pow(2).sum() + cn[:, 1].pow(2).sum()
        for ours, theirs in zip(grads(net, loss), alone_grads, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("case", cases.CASES, ids=cases.IDS)
def test_carried_state_continues_exactly(case):
    """Any split of a sequence, the state handed on, equals one pass."""
    name, options = case
    net = cases.build(name, options)
    x = torch.rand(2, FRAMES, 4, dtype=torch.float64) - 0.5
    with torch.no_grad():
        whole, final = net(x)
        for split in range(1, FRAMES):
            first, state = net(x[:, :split])
            second, state = net(x[:, split:], state)
            joined = torch.cat([first, second], 1)
            torch.testing.assert_close(joined, whole, rtol=0, atol=1e-10)
            for ours, theirs in zip(state, final, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("case", cases.CASES, ids=cases.IDS)
def test_cell_twin_advances_frame_by_frame(case):
    """The twin loads the stack's weights and gives its output, one frame at a call."""
    name, options = case
    net = cases.build(name, options)
    twin = cases.build(f"{name}Cell", options, seed=1)
    twin.load_state_dict(net.state_dict())
    x = torch.rand(2, FRAMES, 4, dtype=torch.float64)
    hidden, outputs = None, []
    with torch.no_grad():
        whole, final = net(x)
        for t in range(FRAMES):
            output, hidden = twin(x[:, t], hidden)
            outputs.append(output)
    torch.testing.assert_close(torch.stack(outputs, 1), whole, rtol=0, atol=1e-10)
    torch.testing.assert_close(hidden[1], final[1], rtol=0, atol=1e-10)


def test_reverse_direction_starts_at_the_last_valid_frame():
    """The backward half equals a forward run over the flipped utterance."""
    net = cases.build("RAN", {}, layers=1, bidirectional=True)
    single = cases.build("RAN", {}, layers=1, seed=1)
    single.layer(0).load_equation_weights(net.layer(0, reverse=True).equation_weights())
    x = torch.rand(1, FRAMES, 4, dtype=torch.float64)
    n = 6
    output, (h, _) = net(x, lengths=torch.tensor([n / FRAMES]))
    flipped, (h_flipped, _) = single(x[:, :n].flip(1))
    torch.testing.assert_close(output[:, :n, 5:], flipped.flip(1), rtol=0, atol=1e-12)
    torch.testing.assert_close(h[1], h_flipped[0], rtol=0, atol=1e-12)


def test_directions_link_to_their_own_cells():
    """The reverse highway cell of layer 2 reads layer 1's reverse cells, not its forward ones."""
    net = cases.build("HighwayLSTM", {}, layers=2, bidirectional=True)
    for reverse in (False, True):
        w = net.layer(1, reverse).equation_weights()
        for weight in w.values():
            weight.zero_()
        w["b_d"].fill_(800.0)
        w["b_f"].fill_(-800.0)
    _, _, kept = net.run(torch.rand(2, FRAMES, 4, dtype=torch.float64), keep=["c"])
    assert not torch.allclose(kept[0][0]["c"], kept[0][1]["c"])
    for d in (0, 1):
        torch.testing.assert_close(kept[1][d]["c"], kept[0][d]["c"], rtol=0, atol=1e-12)


def test_relative_lengths_are_rounded_to_frames():
    """13/22 in float32 is 12.9999 frames: truncation would lose one."""
    net = cases.build("RAN", {}, layers=1)
    for frames in (22, 41, 97):
        n = torch.arange(1, frames + 1)
        x = torch.rand(frames, frames, 4, dtype=torch.float64)
        output, _ = net(x, lengths=n.float() / frames)
        assert torch.equal((output != 0).any(2).sum(1), n)
    output, _ = net(x[:1], lengths=torch.tensor([1e-6]))
    assert (output != 0).any(2).sum() == 1


def test_four_dimensional_input_is_flattened():
    net = cases.build("RAN", {}, layers=1)
    x = torch.rand(2, FRAMES, 2, 2, dtype=torch.float64)
    torch.testing.assert_close(net(x)[0], net(x.flatten(2))[0], rtol=0, atol=0)
    from gatedrnn import nnet

    assert nnet.RAN(5, input_shape=x.shape).input_size == 4
    assert nnet.RANCell(5, input_shape=(2, 7)).input_size == 7
