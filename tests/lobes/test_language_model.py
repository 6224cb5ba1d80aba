"""RNNLM: ours in SpeechBrain's, and our RNNLM in SpeechBrain's scorers and rescorers."""

from __future__ import annotations

import io
import itertools

import pytest
import sentencepiece
import torch
from speechbrain.decoders.scorer import (
    RescorerBuilder,
    RNNLMRescorer,
    RNNLMScorer,
    ScorerBuilder,
)
from speechbrain.decoders.seq2seq import S2SRNNBeamSearcher
from speechbrain.lobes.models.RNNLM import RNNLM as StockRNNLM
from speechbrain.nnet import RNN as stock
from speechbrain.nnet.linear import Linear
from speechbrain.nnet.RNN import AttentionalRNNDecoder

from gatedrnn import nnet
from gatedrnn.lobes import RNNLM
from tests.lobes.networks import CASES, IDS, UNPROJECTED, UNPROJECTED_IDS, lively, same, swappable

VOCABULARY = 7
SIZES = {"dropout": 0.1, "rnn_layers": 2, "rnn_neurons": 4, "dnn_neurons": 6}


def language_model(rnn_class, **kwargs):
    kwargs = {"return_hidden": True, **SIZES, **kwargs}
    return lively(RNNLM(VOCABULARY, 5, rnn_class=rnn_class, **kwargs))


def tokens(*shape):
    return torch.randint(VOCABULARY, shape)


@pytest.mark.parametrize("case", UNPROJECTED, ids=UNPROJECTED_IDS)
def test_ours_inside_the_stock_model_is_our_model(case):
    inside = lively(
        StockRNNLM(VOCABULARY, 5, rnn_class=swappable(case), return_hidden=True, **SIZES)
    )
    ours = language_model(swappable(case))
    ours.load_state_dict(inside.state_dict())
    x = tokens(3, 6)
    (expected, expected_hidden), (logits, hidden) = inside(x), ours(x)
    same(logits, expected)
    same(hidden[0], expected_hidden[0])


@pytest.mark.parametrize("rnn_class", [stock.LSTM, stock.GRU, stock.RNN])
def test_stock_classes_give_what_the_stock_model_gives(rnn_class):
    reference = lively(StockRNNLM(VOCABULARY, 5, rnn_class=rnn_class, **SIZES))
    ours = language_model(rnn_class, return_hidden=False)
    ours.load_state_dict(reference.state_dict())
    x = tokens(3, 6)
    same(ours(x), reference(x))


@pytest.mark.parametrize("rnn_class", [stock.LiGRU, stock.SLiGRU])
def test_classes_the_stock_model_cannot_take(rnn_class):
    with pytest.raises(TypeError, match="input_size"):
        StockRNNLM(VOCABULARY, 5, rnn_class=rnn_class, **SIZES)
    ours = RNNLM(VOCABULARY, 5, rnn_class=rnn_class, return_hidden=True, **SIZES).eval()
    x = tokens(3, 6)
    whole, _ = ours(x)
    first, hidden = ours(x[:, :4])
    second, _ = ours(x[:, 4:], hidden)
    same(torch.cat([first, second], 1), whole, 1e-5)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_token_by_token_is_the_whole_sentence(case):
    name, options = case
    model = language_model(nnet.CLASSES[name], rnn_options=options)
    assert model.rnn.output_size == options.get("proj_size", 4)
    x = tokens(3, 6)
    whole, last = model(x)
    assert whole.shape == (3, 6, VOCABULARY)
    hidden = None
    for t in range(6):
        logits, hidden = model(x[:, t], hx=hidden)
        same(logits, whole[:, t])
    same(hidden[0], last[0])
    same(hidden[1], last[1])
    # The stock model forgets what a sentence is once it has seen single tokens.
    same(model(x[:, :1])[0], whole[:, :1])


def test_the_stock_model_breaks_after_a_single_token_where_ours_does_not():
    """The bug that is not copied: this fails once SpeechBrain has cured it."""
    model = lively(StockRNNLM(VOCABULARY, 5, **SIZES))
    before = model(tokens(2, 1)).shape
    model(tokens(2))
    assert model(tokens(2, 1)).shape != before


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_rnnlmscorer_scores_and_permutes(case):
    model = language_model(swappable(case))
    scorer = RNNLMScorer(model, temperature=1.25)
    history = tokens(4, 5)
    memory = None
    for t in range(4):
        scores, memory = scorer.score(history[:, t], memory, None, None)
    index = torch.tensor([2, 0, 0, 3])
    memory = scorer.permute_mem(memory, index)
    scores, _ = scorer.score(history[:, 4], memory, None, None)
    # What each beam would have got, had it had this history from the start.
    swapped = torch.cat([history[index, :4], history[:, 4:]], dim=1)
    expected = torch.log_softmax(model(swapped)[0][:, -1] / 1.25, dim=-1)
    same(scores.double(), expected, 1e-6)  # the scorer works in float32


def searcher(scorer, beam_size=4):
    torch.manual_seed(1)
    embedding = torch.nn.Embedding(VOCABULARY, 3)
    decoder = AttentionalRNNDecoder("gru", "content", 4, 3, 1, enc_dim=5, input_size=3)
    linear = Linear(input_size=4, n_neurons=VOCABULARY)
    modules = torch.nn.ModuleList([embedding, decoder, linear]).eval()
    for parameter in modules.parameters():
        torch.nn.init.uniform_(parameter, -1.5, 1.5)
    return S2SRNNBeamSearcher(
        embedding=embedding,
        decoder=decoder,
        linear=linear,
        bos_index=0,
        eos_index=1,
        min_decode_ratio=0.0,
        max_decode_ratio=1.0,
        beam_size=beam_size,
        topk=beam_size,
        using_eos_threshold=False,
        length_normalization=False,
        return_topk=True,
        scorer=scorer,
    )


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_beam_search_adds_our_log_probabilities(case):
    """The score of a hypothesis = the decoder's log-probability + weight * ours, recomputed."""
    model = language_model(swappable(case)).float()
    weight = 0.7
    scorer = ScorerBuilder(full_scorers=[RNNLMScorer(model)], weights={"rnnlm": weight})
    search = searcher(scorer)
    states, lengths = torch.randn(2, 6, 5), torch.ones(2)
    hypotheses, _, scores, _ = search(states, lengths)
    for i, j in itertools.product(range(2), range(search.topk)):
        row = hypotheses[i, j].tolist()
        # Up to its end symbol; where there is none, it was cut off at the last step.
        targets = torch.tensor(row[: row.index(1) + 1] if 1 in row else row)
        history = torch.cat([torch.tensor([0]), targets[:-1]]).unsqueeze(0)
        with torch.no_grad():
            decoded, _ = search.dec(search.emb(history), states[i : i + 1], torch.ones(1))
            acoustic = torch.log_softmax(search.fc(decoded)[0], -1)
            linguistic = torch.log_softmax(model(history)[0][0], -1)
        total = (acoustic + weight * linguistic)[torch.arange(len(targets)), targets].sum()
        same(scores[i, j], total, 1e-4)
    assert len(hypotheses.unique()) > 2


@pytest.fixture(scope="module")
def tokenizer():
    """A SentencePiece model of a few sentences."""
    sentences = ["THE CAT SAT ON THE MAT", "A DOG RAN TO THE CAT", "THE DOG SAT", "ON A MAT"]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences * 5),
        model_writer=model,
        vocab_size=20,
        model_type="unigram",
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_rnnlmrescorer_sorts_by_our_log_probabilities(case, tokenizer):
    torch.manual_seed(0)
    model = RNNLM(tokenizer.vocab_size(), 5, rnn_class=swappable(case), return_hidden=True, **SIZES)
    lively(model)
    rescorer = RescorerBuilder(
        rescorers=[RNNLMRescorer(model, tokenizer, device="cpu", bos_index=1, eos_index=2)],
        weights={"rnnlm": 0.5},
    )
    rescorer.move_rescorers_to_device()
    candidates = [["the cat sat", "a mat"], ["dog", "the dog ran to a cat", "on the mat"]]
    scores = [[-2.0, -1.0], [-1.0, -1.5, -0.5]]
    expected = []
    for texts, acoustic in zip(candidates, scores, strict=True):
        totals = []
        for text, score in zip(texts, acoustic, strict=True):
            ids = torch.tensor([[1, *tokenizer.encode_as_ids(text.upper()), 2]])
            logp = torch.log_softmax(model(ids[:, :-1])[0][0], -1)
            totals.append(score + 0.5 * logp.gather(1, ids[0, 1:, None]).sum().item())
        order = sorted(range(len(texts)), key=lambda j: -totals[j])
        expected.append(([texts[j] for j in order], [totals[j] for j in order]))
    texts, totals = rescorer.rescore(candidates, [list(row) for row in scores])
    assert texts == [row[0] for row in expected]
    assert sum(totals, []) == pytest.approx(sum((row[1] for row in expected), []), abs=1e-4)


def test_tied_embedding_is_one_parameter():
    model = language_model(nnet.RAN, dnn_neurons=5, tie_embedding=True)
    assert model.embedding.Embedding.weight is model.out.w.weight
    free = language_model(nnet.RAN, dnn_neurons=5)
    count = sum(p.numel() for p in model.parameters())
    assert sum(p.numel() for p in free.parameters()) - count == VOCABULARY * 5
    model(tokens(2, 3))[0].sum().backward()
    assert model.out.w.weight.grad.abs().sum() > 0


def test_no_feed_forward_block():
    model = language_model(nnet.LSTMP, dnn_blocks=0, rnn_options={"proj_size": 3})
    x = tokens(2, 3)
    same(model(x)[0], model.out(model.rnn(model.embedding(x))[0]))


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"rnn_class": "lstm"}, TypeError, r"must be a class such as .*'lstm'"),
        ({"rnn_class": nnet.RANCell}, TypeError, "RANCell takes one frame; use RAN$"),
        ({"rnn_class": stock.LSTMCell}, TypeError, "LSTMCell takes one frame; use LSTM$"),
        ({"rnn_class": torch.nn.Identity}, TypeError, "Identity takes neither input_size"),
        ({"rnn_options": {"bidirectional": True}}, ValueError, "sees the tokens it is to predict"),
        ({"rnn_options": {"hidden_size": 3}}, ValueError, "hidden_size cannot be among rnn_opt"),
        ({"rnn_options": {"peep": 3}}, TypeError, "no option peep"),
        ({"tie_embedding": True}, ValueError, r"embedding_dim \(5\).*dnn_neurons \(6\)"),
        (
            {"tie_embedding": True, "dnn_blocks": 0},
            ValueError,
            r"embedding_dim \(5\).*that of the recurrence \(4\)",
        ),
    ],
)
def test_errors(kwargs, error, message):
    with pytest.raises(error, match=message):
        RNNLM(VOCABULARY, 5, **{**SIZES, **kwargs})
