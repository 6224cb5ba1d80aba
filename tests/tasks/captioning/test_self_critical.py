"""Self-critical training: its gradient is that of the expected reward, which then rises."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from gatedrnn.seq2seq.brain import ScheduledSampling
from gatedrnn.seq2seq.decoder import Decoder
from gatedrnn.seq2seq.search import SearchOptions, sampled_log_probs
from gatedrnn.tasks.captioning.model import Captioner, FeatureEncoder
from gatedrnn.tasks.captioning.ngrams import Cider, DocumentFrequencies
from gatedrnn.tasks.captioning.train import CaptionReward, advantages, policy_loss
from gatedrnn.tokens import EOS

NAMES = ("<eos>", "<unk>", "a", "dog", "cat")
SEARCH = SearchOptions(max_length=2)
MEDIA = torch.rand(2, 3, 4, dtype=torch.double, generator=torch.Generator().manual_seed(1))


def captioner(seed=0):
    torch.manual_seed(seed)
    decoder = Decoder(
        len(NAMES), 4, "ran", hidden_size=5, embedding_size=4, attention={"kind": "soft", "size": 3}
    )
    model = Captioner(FeatureEncoder(4, 4), decoder).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3.0)
    return model


def every_caption():
    """All captions that may be sampled, as a batch of them is sampled: of at most two words."""
    words = range(2, len(NAMES))
    result = [(), *((w,) for w in words), *product(words, words)]
    return result, torch.tensor([[*c, *[EOS] * (3 - len(c))] for c in result])


def log_probs(model, tokens):
    """Of all captions, for each of the two items."""
    encoded = model.encode(MEDIA)
    count = len(tokens)
    both = tokens.repeat(2, 1)
    read = torch.nn.functional.pad(both[:, :-1], (1, 0), value=EOS)
    scores = model.decoder(read, encoded.repeat(count)).scores
    return sampled_log_probs(scores, both, SEARCH).reshape(2, count)


REWARD = CaptionReward([[["a", "dog"], ["dog"]], [["a", "cat"]], [["cat", "dog"]]])


def rewards(captions):
    return torch.tensor(
        [[REWARD(i, [NAMES[w] for w in c]) for c in captions] for i in range(2)],
        dtype=torch.double,
    )


def gradient(model, total):
    model.zero_grad()
    total.backward()
    return torch.cat([w.grad.flatten() for w in model.parameters() if w.grad is not None])


@pytest.mark.parametrize("baseline", ["greedy", "others"])
def test_its_gradient_is_on_average_that_of_the_expected_reward(baseline):
    model = captioner()
    captions, tokens = every_caption()
    reward = rewards(captions)
    result = log_probs(model, tokens)
    assert result.exp().sum(1).tolist() == pytest.approx([1.0, 1.0])
    expected = gradient(model, -(result.exp() * reward).sum())
    assert expected.abs().max() > 1e-3
    probabilities = result.exp().detach()
    if baseline == "greedy":
        best = reward.gather(1, probabilities.argmax(1, keepdim=True)).squeeze(1)
        gains = advantages(reward, best) * probabilities
    else:
        # Two samples, each any of the captions: the mean over all pairs of the pair's mean loss.
        n = len(captions)
        pairs = torch.stack(
            [reward.unsqueeze(2).expand(-1, n, n), reward.unsqueeze(1).expand(-1, n, n)], -1
        )
        both = torch.stack([advantages(one.reshape(-1, 2)).reshape(n, n, 2) for one in pairs])
        weight = probabilities.unsqueeze(2) * probabilities.unsqueeze(1)
        first, second = ((both[..., i] * weight) for i in (0, 1))
        gains = (first.sum(2) + second.sum(1)) / 2
    model_again = log_probs(model, tokens)
    assert torch.allclose(gradient(model, policy_loss(model_again, gains)), expected, atol=1e-10)


def test_sampled_captions_become_better():
    """What training does with them, on the tiny case: also on average, by sampling."""
    model = captioner()
    captions, tokens = every_caption()
    reward = rewards(captions)
    optimiser = torch.optim.Adam(model.parameters(), 0.03)

    def expected():
        with torch.no_grad():
            return float((log_probs(model, tokens).exp() * reward).sum() / 2)

    before = expected()
    torch.manual_seed(2)
    for _ in range(40):
        sampled = model(MEDIA, None, samples=8, options=SEARCH)
        texts = [row[: row.index(EOS)] for row in sampled.tokens.tolist()]
        result = torch.tensor(
            [REWARD(i // 8, [NAMES[w] for w in text]) for i, text in enumerate(texts)]
        ).reshape(2, 8)
        optimiser.zero_grad()
        (policy_loss(sampled.log_probs, advantages(result).flatten()) / 16).backward()
        optimiser.step()
    assert expected() > before + 1.5


def test_rewards_are_cider_d_with_ends_and_by_the_training_references():
    references = [["a dog runs".split()], ["two cats sleep".split(), "cats".split()]]
    ended = [[[*words, "<eos>"] for words in item] for item in references]
    cider = Cider(DocumentFrequencies.of(ended))
    reward = CaptionReward(references)
    caption = "the dog runs".split()
    expected = cider.score(
        cider.vector([*caption, "<eos>"]), [cider.vector(words) for words in ended[0]]
    )
    assert reward(0, caption) == expected > reward(0, caption, cut=True)
    plain = CaptionReward(references, ended=False)
    assert plain(0, caption) == plain(0, caption, cut=True)
    # Of another set, n-grams keep the weights of the training's.
    other = CaptionReward([["a dog runs".split()]], True, reward.cider.frequencies)
    assert other(0, caption) == reward(0, caption)
    assert CaptionReward([["a dog runs".split()]])(0, caption) == 0


def test_baselines_and_schedules_that_are_wrong():
    with pytest.raises(ValueError, match="needs at least 2 samples of each item"):
        advantages(torch.ones(3, 1))
    assert advantages(torch.rand(4, 5)).sum(1).abs().max() < 1e-6
    for wrong in ({"first": 0}, {"every": 0}, {"step": 0.0}, {"most": 1.5}):
        with pytest.raises(ValueError, match="must be"):
            ScheduledSampling(**wrong)
    schedule = ScheduledSampling(first=1, every=5, step=0.05, most=0.25)
    result = [schedule(epoch) for epoch in (1, 5, 6, 11, 40)]
    assert result == pytest.approx([0.05, 0.05, 0.1, 0.15, 0.25])
