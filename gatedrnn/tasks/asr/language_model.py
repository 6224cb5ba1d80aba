"""Use of a language model in recognition: shallow fusion, rescoring, internal language models.

The score of a hypothesis is ``recognizer + weight * language model + insertion * words``, minus
``internal`` times its log-probability by the recognizer's internal language model. Shallow fusion
adds it in the beam search, where it also affects which hypotheses stay in the beam; rescoring adds
it to the n-best lists that the search returns.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from speechbrain.utils.distributed import run_on_main
from torch import nn

from gatedrnn.data.files import write_atomically
from gatedrnn.scoring.alignment import error_metrics, word_errors
from gatedrnn.tasks.language_modeling.bundle import load_language_model
from gatedrnn.tasks.language_modeling.prefix_scores import Node, read_nodes
from gatedrnn.tasks.language_modeling.rescoring import (
    LM_WEIGHTS_FILE,
    LMWeights,
    Rescored,
    check_line_ends,
    describe,
    read_nbest,
    rescore_sets,
    write_lists,
    write_lm_weights,
)
from gatedrnn.tokens import BLANK, EOS, Tokens

#: Subfolder of the output folder for the files of rescored tests.
RESCORED_FOLDER = "rescored"
#: File of a label prior in a training's output folder.
LABEL_PRIOR = "label_prior.json"
_OLD_HYPOTHESES = "readings"  # old name of the key "hypotheses" of results.json
#: Minimum probability: a hypothesis must not win by a token that never occurred.
_FLOOR = 1e-8
#: Hypotheses that are scored at once, which bounds the memory.
_HYPOTHESES_AT_ONCE = 64
#: Stands for the end of a hypothesis where a token would stand.
_END = -1
#: Size of the cache of tokenized words.
_CACHED_WORDS = 1 << 16


class Fusion:
    """A language model beside a recognizer, for ``PrefixBeam``.

    Arguments
    ---------
    model : torch.nn.Module
        Called as ``model(tokens, hx)`` with one token per row, as
        :class:`~gatedrnn.tasks.language_modeling.model.TextModel`; set to evaluation mode.
    model_tokens : Tokens
        Its tokens.
    tokens : Tokens
        The recognizer's tokens.
    weights : LMWeights
        Weight of the language model, of each word, and of the recognizer's internal language model,
        which is subtracted.
    label_prior : torch.Tensor or None
        Natural logarithms of the unigram probabilities of the recognizer's tokens, (tokens,): its
        internal language model; see :class:`~gatedrnn.tasks.asr.language_model.LabelPrior`.

    Raises
    ------
    ValueError
        If the weights cannot be searched with, or no letter of the recognizer's is in the alphabet
        of the language model.

    Example
    -------
    >>> from gatedrnn.tasks.asr.decode import SearchOptions, prefix_beam_search
    >>> from gatedrnn.tasks.language_modeling.model import TextModel
    >>> from gatedrnn.tokens import EOS_NAME, Characters, Words
    >>> words, letters = Words.learn(["GO ON"], EOS_NAME), Characters.learn(["GO ON"])
    >>> model = TextModel(len(words), hidden_size=8).eval()
    >>> fusion = Fusion(model, words, letters, LMWeights(0.5, 1.0))
    >>> log_probs = torch.rand(2, 7, len(letters)).log_softmax(-1)
    >>> lists = prefix_beam_search(log_probs, torch.tensor([7, 4]), SearchOptions(8), fusion)
    >>> len(lists), sorted(lists[0][0].parts)
    (2, ['am', 'lm'])
    """

    def __init__(
        self,
        model: nn.Module,
        model_tokens: Tokens,
        tokens: Tokens,
        weights: LMWeights,
        label_prior: torch.Tensor | None = None,
    ) -> None:
        _check_weights(weights, label_prior, len(tokens))
        self.model, self.model_tokens, self.weights = model.eval(), model_tokens, weights
        self._texts = [""] + [tokens.token_text(token) for token in range(1, len(tokens))]
        letters = set("".join(self._texts)) - {" "}
        if letters and letters.isdisjoint(model_tokens.alphabet):
            raise ValueError(
                "the language model knows no letter of the recogniser, such as "
                f"{min(letters)!r}: was it trained on text of another case?"
            )
        self._by_character = model_tokens.kind == "characters"
        self._encode = lru_cache(maxsize=_CACHED_WORDS)(self._encoded)
        self._costs = [0.0] * len(tokens)
        if weights.internal:
            self._costs = (weights.internal * label_prior.double()).tolist()
        # A token may end the word before it, and contain further words.
        gain = max(0.0, weights.insertion)
        self._gains = [
            gain * (1 + len(text.split())) - cost
            for text, cost in zip(self._texts, self._costs, strict=True)
        ]
        self._root = Node(EOS, None, 0.0)

    def begin(self) -> Prefix:
        """The empty prefix, for one utterance."""
        if self.weights.weight and not self._root.is_read:
            read_nodes(self.model, [self._root])
        # The tree below the root is freed with the utterance.
        return Prefix(self._root.fresh())

    def upper_bound(self, prefix: Prefix, token: int) -> float:
        """Maximum bonus after one more token of the recognizer; nothing must be due."""
        return prefix.bonus + self._gains[token]

    def grow(self, prefix: Prefix, token: int) -> Prefix:
        """The prefix with one more token, cached; if something is due, :meth:`settle` it."""
        child = None if prefix.children is None else prefix.children.get(token)
        if child is None:
            child = self._child(prefix, token)
            child.known -= self._costs[token]
            for character in self._texts[token]:
                if character == " ":
                    self._end_word(child)
                else:
                    self._add_character(child, character)
            self._update(child)
        return child

    def ended(self, prefix: Prefix) -> Prefix:
        """The prefix as a complete hypothesis: with its last word and the end, to be settled."""
        child = None if prefix.children is None else prefix.children.get(_END)
        if child is None:
            child = self._child(prefix, _END)
            self._end_word(child)
            if self.weights.weight:
                child.due += (EOS,)
            self._update(child)
        return child

    def settle(self, prefixes: Iterable[Prefix]) -> None:
        """Scores what is due in prefixes of any utterances: one batch for each due token."""
        waiting = changed = [prefix for prefix in prefixes if prefix.due]
        while waiting:
            unread = {id(p.node): p.node for p in waiting if not p.node.is_read}
            read_nodes(self.model, list(unread.values()))
            for prefix in waiting:
                prefix.node = prefix.node.child(prefix.due[0])
                prefix.due = prefix.due[1:]
            waiting = [prefix for prefix in waiting if prefix.due]
        for prefix in changed:
            self._update(prefix)

    def parts(self, prefix: Prefix) -> dict[str, float]:
        """``lm``: log-probability of a settled hypothesis by a language model with a weight."""
        return {"lm": prefix.node.total - prefix.unknown} if self.weights.weight else {}

    def _child(self, prefix: Prefix, token: int) -> Prefix:
        child = Prefix(prefix.node)
        if prefix.children is None:
            prefix.children = {}
        prefix.children[token] = child
        child.word, child.any = prefix.word, prefix.any
        child.known, child.unknown = prefix.known, prefix.unknown
        return child

    def _update(self, prefix: Prefix) -> None:
        log_prob = prefix.node.total - prefix.unknown if self.weights.weight else 0.0
        prefix.bonus = prefix.known + self.weights.weight * log_prob

    def _add_character(self, prefix: Prefix, character: str) -> None:
        if self._by_character:
            self._add_due(prefix, character if prefix.word or not prefix.any else f" {character}")
            prefix.known += 0.0 if prefix.word else self.weights.insertion
        prefix.word += character

    def _end_word(self, prefix: Prefix) -> None:
        if prefix.word and not self._by_character:
            self._add_due(prefix, prefix.word)
            prefix.known += self.weights.insertion
        prefix.any = prefix.any or bool(prefix.word)
        prefix.word = ""

    def _add_due(self, prefix: Prefix, part: str) -> None:
        if self.weights.weight:
            tokens, unknown_nats = self._encode(part)
            prefix.due += tokens
            prefix.unknown += unknown_nats

    def _encoded(self, part: str) -> tuple[tuple[int, ...], float]:
        """Tokens of a part of a text, and nats for its unknown words."""
        tokens = self.model_tokens.encode(part)
        unknown: list[Any] = (
            self.model_tokens.unknown(part) if self.model_tokens.unk in tokens else []
        )
        return tuple(tokens), math.fsum(map(self.model_tokens.unknown_nats, unknown))


class Prefix:
    """State of fusion for a partial hypothesis.

    ``bonus`` is added to the recognizer's score; while tokens are ``due`` it is an upper bound.
    """

    __slots__ = ("any", "bonus", "children", "due", "known", "node", "unknown", "word")

    def __init__(self, node: Node) -> None:
        #: Position in the language model's prefix tree.
        self.node = node
        #: Tokens that the language model has yet to score.
        self.due: tuple[int, ...] = ()
        #: Characters of an incomplete word, and whether there is a word before it.
        self.word, self.any = "", False
        #: Score besides the language model's, and nats for characters of unknown words.
        self.known, self.unknown = 0.0, 0.0
        self.bonus = 0.0
        self.children: dict[int, Prefix] | None = None


class LabelPrior:
    """Unigram probabilities of the tokens of CTC, accumulated over posteriors."""

    def __init__(self, vocabulary: int) -> None:
        self.sums = torch.zeros(vocabulary, dtype=torch.float64)

    def add(self, log_probs: torch.Tensor, counts: torch.Tensor) -> None:
        """Adds log_probs (batch, frames, tokens) up to counts (batch,)."""
        for scores, count in zip(log_probs, counts.tolist(), strict=True):
            self.sums += scores[:count].detach().double().exp().sum(0).cpu()

    def log_probs(self) -> torch.Tensor:
        """Natural logarithms of the probabilities, (tokens,), double; minus infinity for blank."""
        if not bool(self.sums.any()):
            raise ValueError("there are no frames to estimate the probabilities of tokens from")
        sums = self.sums.index_fill(0, torch.tensor([BLANK]), 0.0)
        prior = (sums / sums.sum()).clamp(min=_FLOOR).index_fill(0, torch.tensor([BLANK]), 0.0)
        return (prior / prior.sum()).log()


def write_label_prior(path: str | Path, log_probs: torch.Tensor) -> None:
    """Writes the log-probabilities of :meth:`LabelPrior.log_probs` as JSON."""
    write_atomically(Path(path), json.dumps({"probabilities": log_probs.exp().tolist()}) + "\n")


@torch.no_grad()
def internal_log_probs(
    model: nn.Module,
    sequences: Sequence[Sequence[int]],
    label_prior: torch.Tensor | None = None,
) -> torch.Tensor:
    """Log-probabilities of token sequences by a recognizer's internal language model."""
    if model.head == "ctc":
        if label_prior is None:
            raise ValueError(
                "the internal language model of head ctc is the unigram probability of its "
                "tokens: it must be given (label_prior)"
            )
        prior = label_prior.tolist()
        sums = [math.fsum(prior[token] for token in sequence) for sequence in sequences]
        return torch.tensor(sums, dtype=torch.float64)
    training = model.training
    model.eval()
    result = torch.zeros(len(sequences), dtype=torch.float64)
    # Similar lengths in a batch.
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
    try:
        for begin in range(0, len(order), _HYPOTHESES_AT_ONCE):
            batch = order[begin : begin + _HYPOTHESES_AT_ONCE]
            result[batch] = model.internal_log_probs(*_padded(model, [sequences[i] for i in batch]))
    finally:
        model.train(training)
    return result


def check_language_model(hparams: Mapping[str, Any]) -> None:
    """Checks before a training that its tests can be rescored.

    Of the YAML it takes ``beam_size`` and ``language_model``: a bundle, or the output folder of a
    training by ``recipes/LM``; ``None`` for none.
    """
    name = hparams.get("language_model")
    if name is None:
        return
    if int(hparams.get("beam_size", 1)) < 2:
        raise ValueError(
            "language_model: there are no n-best lists to rescore; beam_size must be above 1"
        )
    # Making a model uses random numbers; those of the training must not change.
    with torch.random.fork_rng(devices=[]):
        run_on_main(_load_language_model, args=[name])


def rescore_tests(
    folder: Path, name: str, tests: Mapping[str, Mapping[str, Any]], device: Any = "cpu"
) -> dict[str, Any]:
    """Rescores the tests of a training; weights are chosen on ``dev`` and reported on all.

    What ``gatedrnn rescore LM nbest_dev.jsonl nbest_*.jsonl`` does, with the alignments of the
    words, and with what it cost.
    """
    language_model = _load_language_model(name)
    language_model.model.to(device)
    names = ["dev", *(test for test in tests if test != "dev")]
    lists = [read_nbest(folder / f"nbest_{test}.jsonl") for test in names]
    rescored = rescore_sets(lists, language_model)
    write_lm_weights(folder / RESCORED_FOLDER / LM_WEIGHTS_FILE, rescored.weights)
    print(f"rescored by {name}: {rescored.choice('dev')}")
    sets = {}
    for test, scored in zip(names, rescored.sets, strict=True):
        seconds = tests[test]["search seconds"]
        write_lists(folder / RESCORED_FOLDER / f"nbest_{test}.jsonl", scored, rescored.weights)
        errors = word_errors(
            (r["id"], r["hyps"][0]["text"].split(), r["ref"].split())
            for r in scored.records(rescored.weights)
        )
        path = folder / RESCORED_FOLDER / f"wer_{test}.txt"
        alignments = io.StringIO()
        errors.write_stats(alignments)
        write_atomically(path, alignments.getvalue())
        sets[test] = {
            **error_metrics(errors),
            "oracle WER": scored.oracle().rate,
            "hypotheses": scored.hypotheses,
            "unknown": scored.cost.unknown,
            "language model seconds": scored.cost.seconds,
            "search seconds": seconds,
            "language model to search": scored.cost.seconds / seconds,
        }
        print(f"{test}, rescored: {describe(scored, rescored.weights, seconds)} ({path})")
    return {"language model": str(name), **_choice(rescored), "sets": sets}


def notes(rescored: Mapping[str, Any]) -> str:
    """Weights and cost of the rescored rows of a table."""
    chosen = f"language model weight {rescored['weight']:g}, insertion {rescored['insertion']:g}"
    if rescored["internal"]:
        chosen += f", internal {rescored['internal']:g}"
    lines = [f"rescored: {chosen}, chosen on dev among {rescored['tried']}"]
    if rescored["edges"]:
        lines.append(
            f"at the end of what was tried, so that there may be a better one: "
            f"{', '.join(rescored['edges'])}"
        )
    for name, f in rescored["sets"].items():
        spent, search = f["language model seconds"], f["search seconds"]
        hypotheses = f["hypotheses"] if "hypotheses" in f else f[_OLD_HYPOTHESES]
        lines.append(
            f"{name}: oracle WER {f['oracle WER']:.2f} %, {hypotheses} hypotheses, "
            f"{spent:.1f} s of language model, {search:.1f} s of search ({spent / search:.2f})"
        )
    return "\n".join(lines)


def _check_weights(weights: LMWeights, label_prior: torch.Tensor | None, vocabulary: int) -> None:
    values = (weights.weight, weights.insertion, weights.internal)
    if not all(map(math.isfinite, values)) or weights.weight < 0:
        raise ValueError(
            "the language model's weight must be a number from 0, and insertion and internal must "
            f"be numbers, not {', '.join(f'{value:g}' for value in values)}"
        )
    if weights.internal and label_prior is None:
        raise ValueError(
            "to subtract the internal language model in the search, the unigram probabilities of "
            "the tokens are needed (label_prior)"
        )
    if label_prior is not None and label_prior.shape != (vocabulary,):
        raise ValueError(
            f"label_prior must be ({vocabulary},), as the recogniser has tokens, not "
            f"{tuple(label_prior.shape)}"
        )


def _padded(
    model: nn.Module, sequences: Sequence[Sequence[int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens padded by one that is not the blank, (batch, tokens), and lengths, (batch,)."""
    device = next(model.parameters()).device
    sizes = torch.tensor([len(sequence) for sequence in sequences], device=device)
    targets = torch.full((len(sequences), int(sizes.max())), BLANK + 1, device=device)
    for row, sequence in zip(targets, sequences, strict=True):
        row[: len(sequence)] = torch.tensor(sequence, dtype=torch.long, device=device)
    return targets, sizes


def _choice(rescored: Rescored) -> dict[str, Any]:
    weights, tuning = rescored.weights, rescored.tuning
    edges: Sequence[str] = () if tuning is None else tuning.edges
    return {
        "weight": weights.weight,
        "insertion": weights.insertion,
        "internal": weights.internal,
        "tried": 1 if tuning is None else tuning.tried,
        "edges": list(edges),
    }


def _load_language_model(name: str | Path) -> Any:
    language_model = load_language_model(name)
    check_line_ends(language_model, name)
    return language_model
