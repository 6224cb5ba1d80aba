"""The transducer: SpeechBrain's training form, its joint network, and its searches."""

from __future__ import annotations

import pytest
import torch
from speechbrain.decoders.transducer import (
    TransducerBeamSearcher as StockSearcher,
)
from speechbrain.decoders.transducer import TransducerGreedySearcherStreamingContext
from speechbrain.nnet import RNN as stock
from speechbrain.nnet.embedding import Embedding
from speechbrain.nnet.linear import Linear
from speechbrain.nnet.transducer.transducer_joint import Transducer_joint
from torch import nn

from gatedrnn import nnet
from gatedrnn.lobes import RNNLM
from gatedrnn.lobes.transducer_search import TransducerBeamSearcher
from tests.lobes.networks import CASES, IDS, lively, same, swappable

VOCABULARY, BLANK, JOINT = 6, 0, 8


def parts(rnn_class, seed=0, sharp=1.0, blank=0.5):
    """Embedding, prediction network, its projection, output layer: SpeechBrain's but the second."""
    torch.manual_seed(seed)
    embedding = Embedding(
        num_embeddings=VOCABULARY, embedding_dim=5, consider_as_one_hot=True, blank_id=BLANK
    )
    network = rnn_class(4, input_size=VOCABULARY - 1, num_layers=2)
    width = getattr(network, "output_size", 4)
    modules = nn.ModuleList(
        [
            embedding,
            network,
            Linear(input_size=width, n_neurons=JOINT),
            Linear(input_size=JOINT, n_neurons=VOCABULARY),
        ]
    )
    one_hot = embedding.Embedding.weight.clone()
    lively(modules, seed)
    with torch.no_grad():
        embedding.Embedding.weight.copy_(one_hot)
        modules[3].w.weight.mul_(sharp)
        modules[3].w.bias.zero_()[BLANK] = blank * sharp
    return modules


def searcher(modules, cls=TransducerBeamSearcher, **kwargs):
    # As many beams as symbols: blank is always among the best, and so every search ends.
    return cls(
        decode_network_lst=[*modules[:3]],
        tjoint=Transducer_joint(joint="sum", nonlinearity=nn.Tanh),
        classifier_network=[modules[3]],
        blank_id=BLANK,
        **{"beam_size": VOCABULARY, "nbest": 3, "state_beam": 2.3, "expand_beam": 2.3, **kwargs},
    )


def encoded(batch=3, frames=6, seed=1):
    return 2.0 * torch.randn(
        batch, frames, JOINT, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


def step(modules, symbol, hidden):
    """The prediction network by one symbol, written out."""
    out, hidden = modules[1](modules[0](torch.tensor([[symbol]])).double(), hidden)
    return modules[2](out)[0, 0], hidden


@torch.no_grad()
def greedy_by_hand(modules, frames, most=6):
    """One utterance, one symbol after the other; and whether it was sure, and blank at the end."""
    symbols, sure, (out, hidden) = [], True, step(modules, BLANK, None)
    for frame in frames:
        for count in range(most + 1):
            scores, order = modules[3](torch.tanh(frame + out)).topk(2)
            sure = sure and bool(scores[0] - scores[1] > 20.0)
            best = int(order[0])
            if best == BLANK or count == most:
                break
            symbols.append(best)
            out, hidden = step(modules, best, hidden)
        sure = sure and best == BLANK
    return symbols, sure


@torch.no_grad()
def log_probabilities(modules, frames, symbols):
    """Log-probability of every alignment of a sentence with two frames."""
    outs, (out, hidden) = [], step(modules, BLANK, None)
    for symbol in symbols:
        outs.append(out)
        out, hidden = step(modules, symbol, hidden)
    joint = torch.tanh(frames.unsqueeze(1) + torch.stack([*outs, out]))
    logp = torch.log_softmax(modules[3](joint), -1)
    emit = logp[:, torch.arange(len(symbols)), symbols]
    blank = logp[:, :, BLANK]
    return [
        float(emit[0, :u].sum() + blank[0, u] + emit[1, u:].sum() + blank[1, -1])
        for u in range(len(symbols) + 1)
    ]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_training_form_is_the_decoding_form(case):
    """``h, _ = dec(e_in)`` over the whole sentence = one symbol at a time with the state kept."""
    modules = parts(swappable(case))
    symbols = torch.tensor([[BLANK, 3, 1, 1, 5]])
    h, _ = modules[1](modules[0](symbols).double())
    joint = Transducer_joint(joint="sum")(encoded(1).unsqueeze(2), modules[2](h).unsqueeze(1))
    assert modules[3](joint).shape == (1, 6, 5, VOCABULARY)
    hidden = None
    for u, symbol in enumerate(symbols[0].tolist()):
        out, hidden = step(modules, symbol, hidden)
        same(out, modules[2](h)[0, u])


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_greedy_batch_is_each_utterance_by_hand(case):
    """Utterances emit at different times: states are picked out and written back in place."""
    modules = parts(swappable(case), sharp=3.0)
    frames = encoded(4)
    best, _, _, _ = searcher(modules, beam_size=1)(frames)
    expected = [greedy_by_hand(modules, utterance)[0] for utterance in frames]
    assert best == expected
    assert len({len(symbols) for symbols in best}) > 1


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_greedy_is_the_best_of_the_beam_where_the_model_is_sure(case):
    """The beam finds at most ``beam_size - 1`` symbols at a frame, greedy search 6: within both."""
    compared = 0
    for seed in range(40):
        modules = parts(swappable(case), seed, sharp=3000.0)
        with torch.no_grad():
            modules[2].w.weight.mul_(4.0)  # let the last symbols matter more than the frame
        frames = 0.25 * encoded(8, frames=2, seed=seed)
        by_hand = [greedy_by_hand(modules, u, most=VOCABULARY - 1) for u in frames]
        chosen = [i for i, (symbols, sure) in enumerate(by_hand) if symbols and sure]
        if chosen:
            greedy, _, _, _ = searcher(modules, beam_size=1)(frames[chosen])
            assert greedy == [by_hand[i][0] for i in chosen]
            assert searcher(modules)(frames[chosen])[0] == greedy
        compared += len(chosen)
        if compared >= 3:
            break
    assert compared >= 3


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_beam_scores_are_log_probabilities_of_alignments(case):
    modules = parts(swappable(case), blank=0.0)
    frames = encoded(2, frames=2)
    _, _, nbest, scores = searcher(modules, state_beam=10.0, expand_beam=10.0)(frames)
    for i in range(2):
        assert len(nbest[i]) == 3 and any(nbest[i])
        for symbols, score in zip(nbest[i], scores[i], strict=True):
            exact = log_probabilities(modules, frames[i], symbols)
            assert float(score) * (len(symbols) + 1) in [pytest.approx(x, abs=1e-9) for x in exact]


@pytest.mark.parametrize("beam_size", [1, VOCABULARY])
@pytest.mark.parametrize("rnn_class", [stock.LSTM, stock.GRU, stock.RNN])
def test_for_stock_classes_it_is_the_stock_search(rnn_class, beam_size):
    modules = parts(rnn_class, sharp=2.0)
    frames = encoded(3)
    with torch.no_grad():
        expected = searcher(modules, StockSearcher, beam_size=beam_size)(frames)
        result = searcher(modules, beam_size=beam_size)(frames)
    assert result[0] == expected[0] and any(result[0])
    assert torch.equal(result[1], expected[1])
    assert result[2:] == expected[2:]


def test_the_stock_search_cannot_take_our_classes():
    """Why there is a search of ours: this fails once SpeechBrain takes any recurrent layer."""
    modules = parts(nnet.LSTMP)
    with pytest.raises(AttributeError, match="'tuple' object has no attribute"):
        searcher(modules, StockSearcher, beam_size=1)(encoded())


def test_it_takes_torchs_own_classes():
    modules = parts(stock.LSTM, sharp=3.0)
    expected = searcher(modules, beam_size=1)(encoded())[0]
    modules[1] = modules[1].rnn
    assert type(modules[1]) is nn.LSTM
    assert searcher(modules, beam_size=1)(encoded())[0] == expected


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_streaming_in_pieces_is_one_pass(case):
    modules = parts(swappable(case), sharp=3.0)
    search = searcher(modules, beam_size=1)
    frames = encoded(3)
    whole = search(frames)[0]
    context = TransducerGreedySearcherStreamingContext()
    pieces = [search.transducer_greedy_decode_streaming(x, context) for x in frames.split(2, 1)]
    assert [sum(parts_of_one, []) for parts_of_one in zip(*pieces, strict=True)] == whole
    assert context.hidden[1][0].shape[-1] == case[1].get("proj_size", 4)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_fusion_adds_our_language_model(case):
    modules = parts(swappable(case), blank=0.0)
    model = RNNLM(
        VOCABULARY,
        5,
        rnn_class=swappable(case),
        rnn_layers=1,
        rnn_neurons=4,
        dnn_neurons=4,
        return_hidden=True,
    )
    lively(model)
    weight = 0.6
    frames = encoded(1, frames=2)
    wide = {"state_beam": 10.0, "expand_beam": 10.0}
    _, _, nbest, scores = searcher(modules, lm_module=model, lm_weight=weight, **wide)(frames)
    assert scores != searcher(modules, **wide)(frames)[3] and any(nbest[0])
    for symbols, score in zip(nbest[0], scores[0], strict=True):
        history = torch.tensor([[BLANK, *symbols]])
        logp = torch.log_softmax(model(history)[0][0], -1).detach()
        linguistic = float(sum(logp[u, symbol] for u, symbol in enumerate(symbols)))
        exact = log_probabilities(modules, frames[0], symbols)
        assert float(score) * (len(symbols) + 1) in [
            pytest.approx(x + weight * linguistic, abs=1e-9) for x in exact
        ]


def test_searching_keeps_no_graph():
    search = searcher(parts(nnet.RAN), beam_size=1)
    hidden = search.transducer_greedy_decode(encoded(), return_hidden=True)[4][1]
    assert not hidden[0].requires_grad


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda m: (m.insert(2, nnet.RAN(4, input_size=4)), {})[1],
            r"several recurrent layers \(LSTMP, RAN\).*num_layers=2",
        ),
        (
            lambda m: {
                "lm_weight": 0.1,
                "lm_module": RNNLM(VOCABULARY, 5, rnn_neurons=4, dnn_neurons=4),
            },
            "return_hidden=True",
        ),
    ],
    ids=["two recurrent layers", "language model without state"],
)
def test_errors(change, message):
    modules = parts(nnet.LSTMP)
    kwargs = change(modules)
    with pytest.raises(ValueError, match=message):
        searcher(modules, **kwargs)


def test_a_bidirectional_prediction_network_is_refused():
    modules = parts(nnet.LSTMP)
    modules[1] = nnet.LSTMP(4, input_size=5, bidirectional=True)
    with pytest.raises(ValueError, match="LSTMP is bidirectional.*bidirectional=False"):
        searcher(modules)
