"""The attention decoder: any recurrence, any depth, three kinds of attention."""

from __future__ import annotations

import pytest
import torch

from gatedrnn.cells.registry import REGISTRY
from gatedrnn.seq2seq.decoder import Decoder, select_state
from gatedrnn.seq2seq.decoder_cells import KINDS
from gatedrnn.seq2seq.encoder import EncoderOutput
from gatedrnn.seq2seq.model import EncoderDecoder
from gatedrnn.tasks.captioning.model import FeatureEncoder

VOCABULARY, WIDTH = 11, 6
CAPTIONS = torch.tensor([[0, 3, 7, 2, 9], [0, 5, 4, 0, 0], [0, 10, 0, 0, 0]])


def decoder(network="lstmp", kind="soft", layers=2, **options):
    torch.manual_seed(0)
    module = Decoder(
        VOCABULARY,
        WIDTH,
        network,
        layers,
        hidden_size=5,
        embedding_size=4,
        **{"attention": {"kind": kind, "size": 3}, **options},
    ).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(-0.8, 0.8)
    return module.eval()


def encoded(regions=7, batch=3, lengths=None):
    torch.manual_seed(1)
    features = torch.randn(batch, regions, WIDTH, dtype=torch.float64)
    if lengths is not None:
        lengths = torch.tensor(lengths, dtype=torch.float64)
        valid = EncoderOutput(features, lengths).valid()
        features = features * valid.unsqueeze(2)
    return EncoderOutput(features, lengths)


def stepwise(module, tokens, source):
    state, scores, attention = module.initial_state(source), [], []
    for t in range(tokens.shape[1]):
        one, state, where = module.step(tokens[:, t], state, source)
        scores.append(one)
        attention.append(where)
    return torch.stack(scores, 1), torch.stack(attention, 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("network", REGISTRY)
def test_word_by_word_is_the_whole_caption(network, kind):
    module = decoder(network, kind)
    source = encoded(lengths=[1.0, 4 / 7, 1 / 7])
    output = module(CAPTIONS, source)
    scores, attention = stepwise(module, CAPTIONS, source)
    assert output.auxiliary is None
    assert torch.allclose(output.scores, scores, rtol=0, atol=1e-9)
    assert torch.allclose(output.attention, attention, rtol=0, atol=1e-9)
    assert torch.allclose(attention.sum(2), torch.ones(3, 5).double())
    assert not attention[1, :, 4:].any() and (attention[2, :, 0] == 1).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("network", "layers"), [*((n, 2) for n in REGISTRY), ("residual", 10)])
def test_every_parameter_gets_a_gradient(network, kind, layers):
    options = {"network_options": {"prior_weight": 0.1}} if network == "beta" else {}
    attention = {"kind": kind, "size": 3, "penalty": 0.5}
    module = decoder(network, kind, layers, attention=attention, **options).train()
    output = module(CAPTIONS[:, :3], encoded())
    loss = output.scores.logsumexp(2).sum() + output.scores[..., 3].sum() + output.auxiliary
    loss.backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_deep_stack_of_one_pass_is_the_same_word_by_word(kind):
    module = decoder("residual", kind, 10, proj_size=3)
    captions = CAPTIONS[:, :3]
    scores, _ = stepwise(module, captions, encoded())
    assert torch.allclose(module(captions, encoded()).scores, scores, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_and_company_change_nothing(kind):
    module = decoder("highway", kind)
    source = encoded(lengths=[1.0, 4 / 7, 1 / 7])
    together = module(CAPTIONS, source)
    for i, regions in enumerate((7, 4, 1)):
        alone = module(CAPTIONS[i : i + 1], EncoderOutput(source.features[i : i + 1, :regions]))
        assert torch.allclose(alone.scores[0], together.scores[i], rtol=0, atol=1e-12)
        assert torch.allclose(
            alone.attention[0], together.attention[i, :, :regions], rtol=0, atol=1e-12
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("network", ["lstmp", "ran"])
def test_states_are_selected_by_rows(network, kind):
    module = decoder(network, kind)
    source = encoded(lengths=[1.0, 4 / 7, 1 / 7])
    _, state, _ = module.step(CAPTIONS[:, 0], module.initial_state(source), source)
    rows = torch.tensor([2, 0, 0])
    words = torch.tensor([4, 1, 8])
    result, _, _ = module.step(words, select_state(state, rows), source.select(rows))
    for i, row in enumerate(rows):
        one = torch.tensor([int(row)])
        alone = select_state(state, one), source.select(one)
        expected, _, _ = module.step(words[i : i + 1], *alone)
        assert torch.allclose(result[i], expected[0], rtol=0, atol=1e-12)
    same = select_state(state, torch.tensor([1, 0, 2]), same_items=True)
    assert same.keys is state.keys


@pytest.mark.parametrize("kind", KINDS)
def test_scheduled_sampling(kind):
    module = decoder("lstmp", kind)
    reference = module(CAPTIONS, encoded())
    first = module(CAPTIONS, encoded(), 1.0, torch.Generator().manual_seed(4))
    again = module(CAPTIONS, encoded(), 1.0, torch.Generator().manual_seed(4))
    assert torch.equal(first.scores, again.scores)
    assert torch.allclose(first.scores[:, 0], reference.scores[:, 0], rtol=0, atol=1e-12)
    assert not torch.allclose(first.scores, reference.scores)
    # A share that is never reached: the given words, one by one.
    never = module(CAPTIONS, encoded(), 1e-12, torch.Generator().manual_seed(4))
    assert torch.allclose(never.scores, reference.scores, rtol=0, atol=1e-9)
    with pytest.raises(ValueError, match=r"sampling_probability must be in \[0, 1\], not 2"):
        module(CAPTIONS, encoded(), 2)


def test_sampled_words_have_the_models_own_frequencies():
    """The second scores tell which word was read after the first <eos>."""
    module = decoder("ran")
    one = encoded(batch=1)
    target = module(torch.tensor([[0]]), one).scores[0, 0].softmax(0)
    by_word = [module(torch.tensor([[0, w]]), one).scores[0, 1] for w in range(VOCABULARY)]
    count = 3000
    tokens = torch.tensor([[0, 3]]).expand(count, 2)
    output = module(tokens, one.repeat(count), 0.5, torch.Generator().manual_seed(0))
    read = (output.scores[:, 1, None] - torch.stack(by_word)).abs().sum(2).argmin(1)
    result = torch.bincount(read, minlength=VOCABULARY) / count
    expected = 0.5 * target + 0.5 * torch.nn.functional.one_hot(torch.tensor(3), VOCABULARY)
    assert (result - expected).abs().max() < 0.04


@pytest.mark.parametrize("kind", KINDS)
def test_loss_terms_are_those_of_the_words_there_are(kind):
    """Beta's prior and the attention's penalty: a padded batch has the sum of its items'."""
    for options in (
        {"network": "beta", "network_options": {"variant": "beta", "prior_weight": 0.3}},
        {"attention": {"kind": kind, "size": 3, "penalty": 0.7}},
    ):
        module = decoder(kind=kind, layers=1, **options).train()
        source = encoded(lengths=[1.0, 4 / 7, 1 / 7])
        if "network" in options:
            # The terms of a first layer's first step do not depend on its noise.
            captions, ends = torch.zeros(3, 2, dtype=torch.long), (1, 1, 1)
        else:
            captions, ends = CAPTIONS, (5, 3, 2)
        together = module(captions, source).auxiliary
        alone = [
            module(
                captions[i : i + 1, :end],
                EncoderOutput(source.features[i : i + 1, :regions]),
            ).auxiliary
            for i, (end, regions) in enumerate(zip(ends, (7, 4, 1), strict=True))
        ]
        if "network" in options and kind == "top_down":
            # The second stack reads the noise of the first one.
            assert float(together.detach()) > 0
        else:
            assert float((together - sum(alone)).detach()) == pytest.approx(0, abs=1e-9)


def test_the_penalty_is_that_of_the_paper():
    module = decoder(attention={"kind": "soft", "size": 3, "penalty": 2.0}).train()
    output = module(CAPTIONS[:1], encoded(batch=1))
    expected = 2.0 * ((1 - output.attention[0].sum(0)) ** 2).sum()
    assert float((output.auxiliary - expected).detach()) == pytest.approx(0, abs=1e-12)


def test_tied_words_and_dropout():
    module = decoder("lstmp", "top_down", tied=True)
    assert module.softmax.weight is module.embedding.weight and module.projection is not None
    assert module(CAPTIONS, encoded()).scores.shape == (3, 5, VOCABULARY)
    module = decoder(dropout={"embedding": 0.5, "layers": 0.5, "output": 0.5})
    quiet = module(CAPTIONS, encoded()).scores
    assert torch.equal(quiet, module(CAPTIONS, encoded()).scores)
    module.train()
    assert not torch.allclose(module(CAPTIONS, encoded()).scores, quiet)


def test_impossible_values_are_told():
    with pytest.raises(
        ValueError, match="attention: kind must be soft, top_down or late, not 'hard'"
    ):
        decoder(attention="hard")
    with pytest.raises(
        ValueError, match="attention: unknown key 'width'; known are: kind, size, penalty"
    ):
        decoder(attention={"width": 3})
    with pytest.raises(ValueError, match="neither words nor locked masks"):
        decoder(dropout={"words": 0.1})
    with pytest.raises(ValueError, match="there is no recurrence 'rann'"):
        decoder("rann")
    with pytest.raises(ValueError, match="output is 8 wide, but the decoder reads one of 6"):
        EncoderDecoder(FeatureEncoder(3, 8), decoder())


def test_each_item_is_encoded_once_for_all_its_targets():
    model = EncoderDecoder(FeatureEncoder(3, WIDTH).double(), decoder())
    source = torch.rand(2, 4, 3).double()
    lengths = torch.tensor([1.0, 0.5])
    targets = torch.tensor([[3, 7, 0], [5, 0, -100], [0, -100, -100], [10, 2, 0]])
    rows = torch.tensor([0, 0, 1, 1])
    output = model(source, lengths, targets, rows)
    expected = model(source[rows], lengths[rows], targets)
    assert torch.allclose(output.scores, expected.scores, rtol=0, atol=1e-12)
    inputs = torch.tensor([[0, 3, 7], [0, 5, 0], [0, 0, 0], [0, 10, 2]])
    scores = model.decoder(inputs, model.encode(source[rows], lengths[rows])).scores
    assert torch.equal(scores, expected.scores)
    with pytest.raises(ValueError, match="4 targets of 2 sources"):
        model(source, lengths, targets)
