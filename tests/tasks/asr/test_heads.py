"""Attention and transducer heads: their losses and searches against sums, and their training."""

from __future__ import annotations

import itertools
import json
import math
import re
import signal

import pytest
import torch

from gatedrnn.tasks.asr.decode import SearchOptions
from gatedrnn.tasks.asr.heads import attention, transducer
from gatedrnn.tasks.asr.heads.attention import AttentionModel
from gatedrnn.tasks.asr.heads.transducer import TransducerModel, transducer_losses
from gatedrnn.tasks.asr.model import CTCModel
from gatedrnn.tasks.asr.train import load_encoder
from tests.tasks.asr.tiny import launch, train

VOCABULARY = 4


def acoustic(**options) -> CTCModel:
    sizes = {"num_layers": 1, "hidden_size": 6, "proj_size": 5, "factor": 2, "input_size": 3}
    return CTCModel(VOCABULARY, **sizes | options)


def lively(model: torch.nn.Module, scale: float = 1.5) -> torch.nn.Module:
    """Random weights with which outputs differ from each other."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def heard(model: torch.nn.Module, frames: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Output of the stack, of utterances of so many feature frames."""
    features = 2.0 * torch.randn(len(frames), max(frames), 3, generator=torch.manual_seed(5))
    with torch.no_grad():
        encoded, counts, _ = model.acoustic.encode(features, torch.tensor(frames) / max(frames))
    return encoded, counts


# ---- losses ---------------------------------------------------------------------------------


def sum_over_alignments(logits: torch.Tensor, tokens: list[int]) -> float:
    """Log-probability of a transcript: (frames, tokens + 1, vocabulary) taken path by path."""
    log_probs = logits.double().log_softmax(-1)
    frames = len(log_probs)
    total = 0.0
    # After which frames the tokens come: not decreasing.
    for places in itertools.combinations_with_replacement(range(frames), len(tokens)):
        path = 0.0
        said = 0
        for frame in range(frames):
            while said < len(tokens) and places[said] == frame:
                path += float(log_probs[frame, said, tokens[said]])
                said += 1
            path += float(log_probs[frame, said, 0])
        total += math.exp(path)
    return math.log(total)


def test_the_transducer_loss_is_the_sum_over_alignments():
    torch.manual_seed(1)
    logits = torch.randn(4, 4, 4, VOCABULARY)
    targets = torch.tensor([[1, 2, 2], [3, 0, 0], [0, 0, 0], [2, 1, 0]])
    counts, sizes = torch.tensor([4, 3, 2, 1]), torch.tensor([3, 1, 0, 2])
    losses = transducer_losses(logits, targets, counts, sizes)
    alone = transducer_losses(logits[2:3], targets[2:3], counts[2:3], sizes[2:3])
    for i, (count, size) in enumerate(zip(counts.tolist(), sizes.tolist(), strict=True)):
        exact = sum_over_alignments(logits[i, :count, : size + 1], targets[i, :size].tolist())
        assert float(losses[i]) == pytest.approx(-exact, rel=1e-5)
    assert float(alone) == pytest.approx(float(losses[2]), rel=1e-6)


def test_the_transducer_gradient_is_that_of_the_sum():
    torch.manual_seed(2)
    logits = torch.randn(1, 3, 3, VOCABULARY, requires_grad=True)
    targets, counts, sizes = torch.tensor([[2, 1]]), torch.tensor([3]), torch.tensor([2])
    transducer_losses(logits, targets, counts, sizes).sum().backward()
    step = 1e-4
    for place in [(0, 0, 2), (1, 1, 1), (2, 2, 0), (0, 2, 3)]:
        ends = []
        for sign in (1, -1):
            moved = logits.detach()[0].double().clone()
            moved[place] += sign * step
            ends.append(-sum_over_alignments(moved, [2, 1]))
        slope = (ends[0] - ends[1]) / (2 * step)
        assert float(logits.grad[0][place]) == pytest.approx(slope, abs=1e-4)


def test_the_attention_loss_counts_every_token_and_the_end():
    model = lively(AttentionModel(acoustic(), VOCABULARY, hidden_size=6, attention_size=4))
    features, lengths = torch.randn(2, 10, 3), torch.tensor([1.0, 0.6])
    targets, sizes = torch.tensor([[1, 3, 2], [2, 0, 0]]), torch.tensor([3, 1])
    output = model(features, lengths, targets)
    losses = model.head_losses(output, targets, sizes)
    log_probs = output.logits.log_softmax(-1)
    for i, wanted in enumerate([[1, 3, 2, model.end], [2, model.end]]):
        expected = -sum(float(log_probs[i, step, token]) for step, token in enumerate(wanted))
        assert float(losses[i]) == pytest.approx(expected, rel=1e-5)
    alone = model(features[1:, :6], torch.ones(1), targets[1:, :1])
    assert float(model.head_losses(alone, targets[1:, :1], sizes[1:])) == pytest.approx(
        float(losses[1]), rel=1e-4
    )


@pytest.mark.parametrize("head", [AttentionModel, TransducerModel])
def test_without_a_part_in_the_loss_ctc_is_not_trained(head):
    model = head(acoustic(), VOCABULARY, ctc_weight=0.0, network="ran", hidden_size=6)
    targets = torch.tensor([[1, 2]])
    output = model(torch.randn(1, 8, 3), torch.ones(1), targets)
    assert output.log_probs is None
    model.losses(output, targets, torch.tensor([2])).sum().backward()
    without = {name for name, p in model.named_parameters() if p.requires_grad and p.grad is None}
    assert not without
    with pytest.raises(ValueError, match="below 1"):
        head(acoustic(), VOCABULARY, ctc_weight=1.0)


# ---- searches -------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["lstmp", "ran"])
def test_transducer_searches(network):
    options = {"hidden_size": 7, "embedding_size": 5, "joint_size": 6}
    model = lively(TransducerModel(acoustic(), VOCABULARY, network=network, **options))
    encoded, counts = heard(model, [9, 3, 8, 9])
    greedy = transducer.greedy(model, encoded, counts)
    assert transducer.beam_search(model, encoded, counts, SearchOptions(1)) == [
        [best] for best in greedy
    ]
    assert sum(len(best.tokens) for best in greedy) > 4
    found = transducer.beam_search(model, encoded, counts, SearchOptions(3))
    for i, count in enumerate(counts.tolist()):
        # Lengths are kept: an utterance alone, without its padding, gives the same.
        alone = transducer.greedy(model, encoded[i : i + 1, :count], counts[i : i + 1])[0]
        assert alone.tokens == greedy[i].tokens
        assert len({h.tokens for h in found[i]}) == len(found[i])
        for hypothesis in (greedy[i], *found[i]):
            if len(hypothesis.tokens) > 8:
                continue  # too many paths to go through
            targets = torch.tensor([hypothesis.tokens], dtype=torch.long)
            with torch.no_grad():
                states = model.from_acoustic(encoded[i : i + 1, :count])
                exact = sum_over_alignments(model.join(states, targets)[0], [*hypothesis.tokens])
            assert hypothesis.score == pytest.approx(exact, rel=1e-4, abs=1e-4)


def test_a_transducer_that_never_says_blank_is_stopped():
    model = lively(TransducerModel(acoustic(), VOCABULARY, hidden_size=7, joint_size=6))
    with torch.no_grad():
        model.output.bias[0] = -1e4
    encoded, counts = heard(model, [6, 4])
    for found in transducer.beam_search(model, encoded, counts, SearchOptions(2)):
        assert found
    assert len(transducer.greedy(model, encoded, counts)[0].tokens) == 6 * int(counts[0])


@pytest.mark.parametrize("kind", ["content", "location"])
def test_attention_searches(kind):
    model = AttentionModel(
        acoustic(), VOCABULARY, hidden_size=6, attention_size=4, attention=kind, ctc_weight=0.0
    )
    model = lively(model, 1.0)
    with torch.no_grad():
        # Never a sign that is no token; an end before long.
        model.output.bias += torch.tensor([-1e3, 0.0, 0.0, 0.0, 2.0, -1e3])
    encoded, counts = heard(model, [40, 24, 32])
    greedy = attention.greedy(model, encoded, counts)
    one = attention.beam_search(model, encoded, counts, SearchOptions(1))
    assert [h.tokens for h in greedy] == [found[0].tokens for found in one]
    assert sum(len(h.tokens) for h in greedy) > 3
    for i, best in enumerate(greedy):
        (alone,) = attention.greedy(model, encoded[i : i + 1], counts[i : i + 1])
        assert alone.tokens == best.tokens
        assert alone.score == pytest.approx(best.score, rel=1e-4)
    # With CTC in the beam: the score is the weighted sum of both log-probabilities.
    model.ctc_weight = 0.4
    for i, found in enumerate(attention.beam_search(model, encoded, counts, SearchOptions(4))):
        assert len(found) > 1 and any(h.tokens for h in found)
        scores = [h.score for h in found]
        assert scores == sorted(scores, reverse=True)
        for hypothesis in found:
            targets = torch.tensor([hypothesis.tokens], dtype=torch.long)
            count = int(counts[i])
            sizes = torch.tensor([len(hypothesis.tokens)])
            with torch.no_grad():
                states = encoded[i : i + 1, :count]
                logits = model.score(states, counts[i : i + 1], targets)[0].log_softmax(-1)
                steps = [*hypothesis.tokens, model.end]
                spelled = sum(float(logits[n, token]) for n, token in enumerate(steps))
                aligned = -float(
                    torch.nn.functional.ctc_loss(
                        model.acoustic.score(states).transpose(0, 1), targets,
                        counts[i : i + 1], sizes, reduction="sum",
                    )
                )  # fmt: skip
            expected = 0.6 * spelled + 0.4 * aligned
            assert hypothesis.score == pytest.approx(expected, rel=1e-3, abs=1e-3)


# ---- training -------------------------------------------------------------------------------

BY_HEART = {
    "train": 3, "valid": 1, "test": 3, "valid_is_train": True, "test_is_train": True,
    "hidden_size": 32, "proj_size": 16, "bidirectional": True, "augment": False,
    "max_batch_size": 3, "max_batch_seconds": 30.0, "lr": 0.02, "beam_size": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def ctc(tmp_path_factory):
    """A training with CTC alone, for heads to begin with."""
    folder = tmp_path_factory.mktemp("ctc")
    figures = train(folder, repeat=8, epochs=4, **BY_HEART)
    assert figures["test"]["WER"] == 0.0
    return folder


@pytest.mark.parametrize(("head", "repeat"), [("attention", 4), ("transducer", 14)])
def test_a_head_learns_by_heart_from_a_trained_encoder(tmp_path, ctc, head, repeat):
    figures = train(
        tmp_path, head=head, repeat=repeat, epochs=8, pretrained_encoder=str(ctc), **BY_HEART
    )
    assert figures["test"]["WER"] == 0.0
    log = (tmp_path / "train_log.txt").read_text()
    losses = [float(x) for x in re.findall(r"train loss: (\S+),", log)]
    assert losses[-1] < 0.7 * losses[0]
    assert json.loads((tmp_path / "results.json").read_text())["head"] == head
    for line in (tmp_path / "nbest_test.jsonl").open():
        record = json.loads(line)
        assert record["hyps"][0]["text"] == record["ref"]
        assert [w["word"] for w in record["words"]] == record["ref"].split()


def test_encoders_that_do_not_fit_are_refused(tmp_path, ctc):
    fitting = {"num_layers": 1, "hidden_size": 32, "proj_size": 16, "bidirectional": True}
    fitting |= {"input_size": 20, "network": "lstmp", "factor": 3}
    model = CTCModel(11, **fitting)
    assert load_encoder(model, ctc).parent.parent == ctc / "save"
    assert load_encoder(model, next((ctc / "save").glob("CKPT*"))).name == "model.ckpt"
    with pytest.raises(ValueError, match="it lacks encoder.layers.1"):
        load_encoder(CTCModel(11, **fitting | {"num_layers": 2}), ctc)
    with pytest.raises(ValueError, match=r"here \(.*Give the network, num_layers"):
        load_encoder(CTCModel(11, **fitting | {"proj_size": 8}), ctc)
    with pytest.raises(ValueError, match="which is not here"):
        load_encoder(CTCModel(11, **fitting | {"bidirectional": False}), ctc)
    with pytest.raises(FileNotFoundError, match="neither the output folder"):
        load_encoder(model, tmp_path)


def test_an_unknown_head_is_named(tmp_path):
    with pytest.raises(ValueError, match="head must be ctc, attention, transducer, not 'rnnt'"):
        train(tmp_path, head="rnnt")


def test_two_processes_equal_one_with_the_double_batch(tmp_path):
    case = {"epochs": 1, "augment": False, "train": 7, "valid": 3, "test": 1, "head": "transducer"}
    pair = launch(tmp_path / "two", world=2, max_batch_seconds=3.0, max_batch_size=2, **case)
    assert [o.code for o in pair] == [0, 0], pair[0].said + pair[1].said
    (one,) = launch(tmp_path / "one", max_batch_seconds=6.0, max_batch_size=4, **case)
    assert pair[0].losses == pytest.approx(one.losses, abs=1e-5)
    for name, weight in one.weights.items():
        assert torch.equal(pair[0].weights[name], pair[1].weights[name]), name
        assert torch.allclose(pair[0].weights[name], weight, atol=1e-5), name
    assert pair[0].figures == pair[1].figures


def test_a_killed_training_ends_with_the_same_weights(tmp_path):
    case = {"epochs": 2, "train": 6, "valid": 2, "test": 1, "max_batch_size": 2, "dropout": 0.1}
    case |= {"head": "attention", "run_opts": {"ckpt_interval_steps": 2}}
    (unbroken,) = launch(tmp_path / "unbroken", **case)
    (killed,) = launch(tmp_path / "killed", environment={"KILL_AT": "2.2"}, **case)
    assert killed.code == -signal.SIGKILL, killed.said
    (resumed,) = launch(tmp_path / "killed", **case)
    assert resumed.code == 0, resumed.said
    assert 0 < len(resumed.losses) < len(unbroken.losses)
    assert resumed.losses == unbroken.losses[-len(resumed.losses) :]
    for name, weight in unbroken.weights.items():
        assert torch.equal(resumed.weights[name], weight), name
