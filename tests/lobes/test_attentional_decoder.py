"""The attentional decoder with any recurrence, and SpeechBrain's searchers on it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import speechbrain
import torch
from speechbrain.decoders.seq2seq import S2SRNNBeamSearcher, S2SRNNGreedySearcher
from speechbrain.nnet import RNN as stock
from speechbrain.nnet.linear import Linear
from torch import nn

from gatedrnn import nnet
from gatedrnn.lobes import AttentionalRNNDecoder
from tests.lobes.networks import CASES, IDS, lively, same, swappable

VOCABULARY, BOS, EOS = 7, 0, 1
SIZES = {"hidden_size": 4, "attn_dim": 3, "num_layers": 2, "enc_dim": 5, "input_size": 6}
ATTENTION = {
    "content": {},
    "location": {"channels": 2, "kernel_size": 3},
    "keyvalue": {},
}


def model(rnn_class, attn_type="content", seed=0, **kwargs):
    """Embedding, decoder and output layer."""
    decoder = AttentionalRNNDecoder(
        rnn_class, attn_type, **SIZES, **ATTENTION[attn_type], dropout=0.1, **kwargs
    )
    modules = nn.ModuleList(
        [
            nn.Embedding(VOCABULARY, 6),
            decoder,
            Linear(input_size=decoder.proj.out_features, n_neurons=VOCABULARY),
        ]
    )
    lively(modules, seed).float()
    with torch.no_grad():
        modules[2].w.weight.mul_(3.0)
    return modules


def searcher(cls, modules, **kwargs):
    return cls(
        embedding=modules[0],
        decoder=modules[1],
        linear=modules[2],
        bos_index=BOS,
        eos_index=EOS,
        min_decode_ratio=0.0,
        max_decode_ratio=1.0,
        **kwargs,
    )


def encoded(frames=8, batch=3):
    generator = torch.Generator().manual_seed(5)
    return 2.0 * torch.randn(batch, frames, 5, generator=generator), torch.ones(batch)


@pytest.mark.parametrize("attn_type", ATTENTION)
@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_with_a_stock_cell_it_is_the_stock_decoder(name, attn_type):
    cell = {"lstm": stock.LSTMCell, "gru": stock.GRUCell, "rnn": stock.RNNCell}[name]
    reference = stock.AttentionalRNNDecoder(name, attn_type, **SIZES, **ATTENTION[attn_type])
    lively(reference).float()
    options = {"nonlinearity": "relu"} if name == "rnn" else None
    ours = AttentionalRNNDecoder(
        cell, attn_type, **SIZES, **ATTENTION[attn_type], rnn_options=options
    ).eval()
    ours.load_state_dict(reference.state_dict())
    states, lengths = encoded()
    inputs = torch.randn(3, 4, 6)
    for expected, result in zip(
        reference(inputs, states, lengths), ours(inputs, states, lengths), strict=True
    ):
        assert torch.equal(result, expected)
    for attribute in ("attn_type", "attn_dim", "num_layers", "hidden_size", "re_init", "bias"):
        assert getattr(ours, attribute) == getattr(reference, attribute)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_greedy_search_is_the_argmax_of_the_training_form(case):
    name, options = case
    modules = model(nnet.CLASSES[name + "Cell"], rnn_options=options)
    assert modules[1].hidden_size == options.get("proj_size", 4)
    states, lengths = encoded()
    hypotheses, _, _, _ = searcher(S2SRNNGreedySearcher, modules)(states, lengths)
    for i, symbols in enumerate(hypotheses):
        history = torch.tensor([[BOS, *symbols]])
        with torch.no_grad():
            h, _ = modules[1](modules[0](history), states[i : i + 1], lengths[:1])
            best = modules[2](h).argmax(-1)[0].tolist()
        assert best[: len(symbols)] == symbols
        assert len(symbols) == 8 or best[len(symbols)] == EOS


@pytest.mark.parametrize("attn_type", ["content", "location"])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_beam_search_permutes_our_states(case, attn_type):
    """The score of every hypothesis is its log-probability, recomputed from its beginning."""
    modules = model(swappable(case, "Cell"), attn_type)
    states, lengths = encoded()
    search = searcher(
        S2SRNNBeamSearcher,
        modules,
        beam_size=5,
        topk=5,
        return_topk=True,
        using_eos_threshold=False,
        length_normalization=False,
    )
    hypotheses, _, scores, _ = search(states, lengths)
    for i in range(3):
        for row, score in zip(hypotheses[i].tolist(), scores[i], strict=True):
            # Up to its end symbol; where there is none, it was cut off at the last step.
            targets = torch.tensor(row[: row.index(EOS) + 1] if EOS in row else row)
            history = torch.cat([torch.tensor([BOS]), targets[:-1]]).unsqueeze(0)
            with torch.no_grad():
                h, _ = modules[1](modules[0](history), states[i : i + 1], lengths[:1])
                logp = torch.log_softmax(modules[2](h)[0], -1)
            same(score, logp[torch.arange(len(targets)), targets].sum(), 1e-4)
    assert len(hypotheses.unique()) > 2


def test_a_beam_of_one_is_greedy():
    modules = model(nnet.ResidualLSTMCell)
    states, lengths = encoded()
    greedy, _, _, _ = searcher(S2SRNNGreedySearcher, modules)(states, lengths)
    beam, _, _, _ = searcher(S2SRNNBeamSearcher, modules, beam_size=1, using_eos_threshold=False)(
        states, lengths
    )
    cut = [symbols[: len(found)] for symbols, found in zip(greedy, beam, strict=True)]
    assert beam == cut and any(len(symbols) > 2 for symbols in beam)


@pytest.fixture(scope="module")
def g2p_model():
    """SpeechBrain's G2P model; its package also imports what needs further dependencies."""
    path = Path(speechbrain.__file__).parent / "lobes" / "models" / "g2p" / "model.py"
    spec = importlib.util.spec_from_file_location("g2p_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.AttentionSeq2Seq


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_graphemes_to_phonemes(case, g2p_model):
    """SpeechBrain's G2P model: our encoder (``encoder_out, _ = enc(emb)``) and our decoder."""
    name, options = case
    encoder = nnet.CLASSES[name](4, input_size=6, num_layers=2, bidirectional=True, **options)
    torch.manual_seed(0)
    g2p = g2p_model(
        enc=encoder,
        encoder_emb=nn.Embedding(9, 6),
        emb=nn.Embedding(VOCABULARY, 6),
        dec=AttentionalRNNDecoder(
            swappable(case, "Cell"), "content", **{**SIZES, "enc_dim": encoder.output_size}
        ),
        lin=Linear(input_size=options.get("proj_size", 4), n_neurons=VOCABULARY),
        out=nn.LogSoftmax(-1),
    ).eval()
    characters, lengths = torch.randint(9, (2, 5)), torch.ones(2)
    phonemes = torch.randint(VOCABULARY, (2, 3))
    result, _, states, _ = g2p((characters, lengths), (phonemes, lengths))
    assert torch.equal(states, encoder(g2p.encoder_emb(characters))[0])
    h, _ = g2p.dec(g2p.emb(phonemes), states, lengths)
    assert torch.equal(result, torch.log_softmax(g2p.lin(h), -1))


@pytest.mark.parametrize(
    ("rnn_class", "kwargs", "error", "message"),
    [
        (nnet.LSTMP, {}, TypeError, r"LSTMP runs over sequences; use a \*Cell class"),
        (stock.LSTM, {}, TypeError, "LSTM runs over sequences"),
        (stock.LiGRU, {}, TypeError, "LiGRU"),
        ("lstm", {}, TypeError, "must be a class such as .*not 'lstm'"),
        (nnet.RANCell, {"rnn_options": {"bias": False}}, ValueError, "bias cannot be among"),
        (nnet.RANCell, {"rnn_options": {"peephole": False}}, TypeError, "no option peephole"),
    ],
)
def test_errors(rnn_class, kwargs, error, message):
    with pytest.raises(error, match=message):
        AttentionalRNNDecoder(rnn_class, "content", **SIZES, **kwargs)
