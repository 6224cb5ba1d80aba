"""Internal language models: what they are, computed step by step; what is subtracted."""

from __future__ import annotations

import json
import math

import pytest
import torch

from gatedrnn.tasks.asr.heads.attention import AttentionModel
from gatedrnn.tasks.asr.heads.transducer import TransducerModel
from gatedrnn.tasks.asr.language_model import (
    LabelPrior,
    internal_log_probs,
    write_label_prior,
)
from gatedrnn.tasks.asr.model import CTCModel
from gatedrnn.tasks.language_modeling.rescoring import (
    INTERNALS,
    Candidate,
    LMWeights,
    NBest,
    read_nbest,
    score_lists,
    tune,
)
from tests.tasks.language_modeling.test_rescoring import MODEL, TOKENS
from tests.tasks.language_modeling.tiny import doubled

VOCABULARY = 7
SEQUENCES = [(3, 4, 5), (), (6,), (1, 1, 2, 2, 6), (3, 4)]


def acoustic():
    return CTCModel(VOCABULARY, input_size=4, num_layers=1, hidden_size=8, proj_size=4)


@pytest.mark.parametrize("attention", ["location", "content"])
@pytest.mark.parametrize("network", ["lstmp", "ran"])
def test_attention_without_what_was_heard(network, attention):
    model = AttentionModel(
        acoustic(), VOCABULARY, network, 2, hidden_size=6, attention=attention, attention_size=5
    )
    doubled(model)
    wanted = []
    for sequence in SEQUENCES:
        total, state, context = 0.0, None, torch.zeros(1, 5, dtype=torch.float64)
        for read, said in zip((model.start, *sequence), (*sequence, model.end), strict=True):
            frame = model.embedding(torch.tensor([read]))
            hidden, state = model.decoder.rnn(torch.cat([frame, context], 1), state)
            scores = model.output(model.decoder.proj(torch.cat([context, hidden], 1)))
            # The model's scores are float32.
            total += scores.float().log_softmax(1)[0, said].item()
        wanted.append(total)
    model.train()
    found = internal_log_probs(model, SEQUENCES)
    assert model.training and found.tolist() == pytest.approx(wanted, abs=1e-5)


def test_the_attention_is_that_of_the_model():
    """With encoder outputs that attention makes zeros of, it is the model itself."""
    model = AttentionModel(
        acoustic(), VOCABULARY, hidden_size=6, attention="content", attention_size=5
    )
    doubled(model)
    with torch.no_grad():
        # The context is a linear function of the encoder's output.
        encoded = torch.zeros(1, 3, model.acoustic.encoder.output_size, dtype=torch.float64)
        model.decoder.attn.mlp_out.bias.zero_()
    targets = torch.tensor([SEQUENCES[0]])
    with torch.no_grad():
        logits = model.score(encoded, torch.tensor([3]), targets).log_softmax(-1)[0]
    said = [*SEQUENCES[0], model.end]
    wanted = sum(float(row[token]) for row, token in zip(logits, said, strict=True))
    assert float(internal_log_probs(model, SEQUENCES[:1])[0]) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("network", ["lstmp", "ran"])
def test_transducer_without_what_was_heard(network):
    model = doubled(TransducerModel(acoustic(), VOCABULARY, network, hidden_size=6, joint_size=5))
    wanted = []
    for sequence in SEQUENCES:
        total, state = 0.0, None
        for read, said in zip((0, *sequence), sequence, strict=False):
            hidden, state = model.prediction(model.embedding(torch.tensor([[read]])), state)
            # The encoder's output is zero; what remains is the bias that both networks share.
            joint = torch.tanh(model.from_acoustic.bias + model.from_prediction(hidden[0, 0]))
            odds = model.output(joint).exp()
            total += math.log((odds[said] / odds[1:].sum()).item())
        wanted.append(total)
    found = internal_log_probs(model, SEQUENCES)
    assert found.tolist() == pytest.approx(wanted, abs=1e-5)
    assert found[1] == 0.0


def test_readings_sum_to_one():
    """The decoder gives all that can be said a probability of one together, with the ends."""
    model = doubled(AttentionModel(acoustic(), 2, hidden_size=4, attention_size=3))
    with torch.no_grad():
        # Blank and start are never said; the end comes soon.
        model.output.bias.copy_(torch.tensor([-50.0, 0.0, 1.5, -50.0]))
    found = internal_log_probs(model, [(1,) * n for n in range(60)])
    assert float(found.exp().sum()) == pytest.approx(1.0, abs=1e-4)


def test_label_prior(tmp_path):
    generator = torch.Generator().manual_seed(0)
    log_probs = torch.randn(3, 5, VOCABULARY, generator=generator).log_softmax(-1)
    counts = torch.tensor([5, 2, 0])
    prior = LabelPrior(VOCABULARY)
    prior.add(log_probs[:2], counts[:2])
    prior.add(log_probs[2:], counts[2:])
    mean = torch.cat([log_probs[0], log_probs[1, :2]]).double().exp().mean(0)[1:]
    wanted = (mean / mean.sum()).log()
    found = prior.log_probs()
    assert torch.allclose(found[1:], wanted) and found[0] == -math.inf
    values = internal_log_probs(acoustic(), SEQUENCES, found)
    for value, sequence in zip(values.tolist(), SEQUENCES, strict=True):
        assert value == pytest.approx(sum(float(wanted[t - 1]) for t in sequence))
    path = tmp_path / "label_prior.json"
    write_label_prior(path, found)
    values = json.loads(path.read_text())["probabilities"]
    assert torch.allclose(torch.tensor(values, dtype=torch.float64).log(), found)
    # What was never heard is improbable, not impossible.
    never = LabelPrior(3)
    never.add(torch.tensor([[[0.5, 0.5, 0.0]]]).log(), torch.tensor([1]))
    assert never.log_probs()[1:].exp().tolist() == pytest.approx([1.0, 1e-8])
    with pytest.raises(ValueError, match="no frames"):
        LabelPrior(3).log_probs()
    with pytest.raises(ValueError, match="label_prior"):
        internal_log_probs(acoustic(), SEQUENCES)


# ---- in rescoring ---------------------------------------------------------------------------


def lists(*readings):
    return [
        NBest(f"u{i}", said, tuple(Candidate(t, s, {"ilm": v}) for t, s, v in found))
        for i, (said, found) in enumerate(readings)
    ]


#: The recogniser likes what its own transcripts were full of.
FOUND = lists(
    ("GO ON", [("GO NO", -1.0, -0.5), ("GO ON", -2.0, -4.0)]),
    ("NO", [("NO", -1.0, -1.0), ("TO", -1.2, -1.1)]),
)


def test_it_is_subtracted():
    scored = score_lists(FOUND, MODEL, TOKENS)
    setting = LMWeights(0.5, 2.0, 0.3)
    wanted = -2.0 + 0.5 * scored.model[0, 1] + 2.0 * 2 - 0.3 * -4.0
    assert scored.scores(setting)[0, 1] == pytest.approx(wanted)
    found = tune(scored, [0.0], [0.0])
    assert found.tried == len(INTERNALS) and found.weights == LMWeights(0.0, 0.0, 0.3)
    assert found.error_count.errors == 0 and scored.error_count().errors == 1
    # -1 + 0.5 w < -2 + 4 w
    for internal in INTERNALS:
        errors = scored.error_count(LMWeights(internal=internal)).errors
        assert errors == (internal <= 1 / 3.5)
    assert tune(scored, [0.0], [0.0], [0.0, 0.1]).weights.internal == 0.0
    assert tune(scored, [0.0], [0.0], [0.0, 0.5]).edges == ("internal",)


def test_only_where_it_is_there():
    some = [*FOUND, NBest("u9", "GO", (Candidate("GO", -1.0),))]
    scored = score_lists(some, MODEL, TOKENS)
    assert scored.internal is None and tune(scored).weights.internal == 0.0
    assert tune(scored).tried == 20 * 13
    with pytest.raises(ValueError, match="hypotheses of u9 .*--internal_lm=True"):
        scored.scores(LMWeights(internal=0.1))


def test_it_is_read_and_written(tmp_path):
    path = tmp_path / "nbest.jsonl"
    hyps = [{"text": "GO", "score": -1.0, "ilm": -2.0}, {"text": "NO", "score": -3, "ilm": -1}]
    path.write_text(json.dumps({"id": "u", "ref": "NO", "hyps": hyps}) + "\n")
    scored = score_lists(read_nbest(path), MODEL, TOKENS)
    assert scored.internal.tolist() == [[-2.0, -1.0]]
    (record,) = scored.records(LMWeights(0.0, 0.0, 0.5))
    assert [(h["text"], h["score"], h["ilm"]) for h in record["hyps"]] == [
        ("GO", 0.0, -2.0), ("NO", -2.5, -1.0),
    ]  # fmt: skip
    hyps[0]["ilm"] = "x"
    path.write_text(json.dumps({"id": "u", "ref": "NO", "hyps": hyps}) + "\n")
    with pytest.raises(ValueError, match="finite number, not 'x'"):
        read_nbest(path)


def test_a_language_model_that_had_its_say_is_left_out(tmp_path):
    """Lists that were rescored, or searched with a language model, are taken as they were heard."""
    path = tmp_path / "nbest.jsonl"
    scored = score_lists(FOUND, MODEL, TOKENS)
    setting = LMWeights(0.7, 1.0)
    records = scored.records(setting)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    again = score_lists(read_nbest(path), MODEL, TOKENS)
    assert again.error_count() == scored.error_count()
    assert again.records(setting) == records
