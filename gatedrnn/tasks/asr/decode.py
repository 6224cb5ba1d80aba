"""Search: its options, one entry point for all heads, CTC's searches, times of words."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, NamedTuple, Protocol

import torch
from torch import nn
from torchaudio.functional import forced_align

from gatedrnn.data.config import Range, from_mapping
from gatedrnn.tasks.asr.language_model import Fusion, Prefix, internal_log_probs
from gatedrnn.tasks.language_modeling.bundle import LanguageModel
from gatedrnn.tasks.language_modeling.prefix_scores import score_texts
from gatedrnn.tasks.language_modeling.rescoring import LMWeights
from gatedrnn.tokens import BLANK, Tokens
from gatedrnn.tokens.hypotheses import Hypothesis, Word, distinct, log_add

#: Use of a language model: in the beam search, or on the n-best lists that it returns.
FUSION, RESCORING = "fusion", "rescoring"
LM_MODES = (FUSION, RESCORING)


@dataclass(frozen=True)
class SearchOptions:
    """Options of the search of a speech recognizer, for training's test, transcription and streams.

    Arguments
    ---------
    beam_size : int
        Hypotheses kept from frame to frame, or from token to token; 1 for greedy search.
    n_best : int or None
        Maximum length of n-best lists, after hypotheses of the same text were merged; None for
        all hypotheses that are in the beam.
    min_log_prob : float
        Prefix beam search of CTC: tokens less probable than this in a frame (natural logarithm)
        are pruned there, except the most probable one.
    lm_mode : str or None
        ``"fusion"``: the language model is combined with the recognizer in the beam search, for
        head ``ctc``; ``"rescoring"``: it rescores the n-best lists; None: there is none.
    lm_weight : float
        Weight of the language model's log-probabilities, at least 0.
    lm_insertion : float
        Added to the score for each word.
    lm_internal : float
        Weight of the log-probabilities of the recognizer's internal language model, which are
        subtracted.

    Example
    -------
    >>> SearchOptions(beam_size=8, lm_mode="rescoring", lm_weight=0.5).lm_weights
    LMWeights(weight=0.5, insertion=0.0, internal=0.0)
    """

    beam_size: Annotated[int, Range(1, 10_000)] = 1
    n_best: Annotated[int | None, Range(1, 10_000)] = None
    min_log_prob: float = -8.0
    lm_mode: str | None = None
    lm_weight: float = 0.0
    lm_insertion: float = 0.0
    lm_internal: float = 0.0

    def __post_init__(self) -> None:
        for name in ("beam_size", "n_best"):
            value = getattr(self, name)
            if value is None and name == "n_best":
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a whole number from 1, not {value!r}")
        for name in ("min_log_prob", "lm_weight", "lm_insertion", "lm_internal"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value):
                raise ValueError(f"{name} must be a finite number, not {value!r}")
        if self.lm_mode is not None and self.lm_mode not in LM_MODES:
            raise ValueError(f"lm_mode must be {' or '.join(LM_MODES)}, not {self.lm_mode!r}")
        if self.lm_weight < 0:
            raise ValueError(f"lm_weight must be at least 0, not {self.lm_weight}")

    @classmethod
    def from_hparams(cls, hparams: Any) -> SearchOptions:
        """Reads ``beam_size``, ``n_best``, ``lm_*``, and ``search`` with any option by its name.

        ``lm_weight`` adds a language model to the search (fusion). Without it, ``lm_insertion`` and
        ``lm_internal`` have no meaning and are refused.
        """

        def value(name: str) -> Any:
            if isinstance(hparams, Mapping):
                return hparams.get(name)
            return getattr(hparams, name, None)

        n_best = value("n_best")
        lm = {name: value(name) for name in ("lm_weight", "lm_insertion", "lm_internal")}
        if lm["lm_weight"] is None and any(lm.values()):
            raise ValueError(
                "lm_insertion and lm_internal are for a language model in the search: give its "
                "lm_weight, too"
            )
        options = cls(
            int(value("beam_size") or 1),
            None if n_best is None else int(n_best),
            lm_mode=None if lm["lm_weight"] is None else FUSION,
            **{name: float(weight or 0) for name, weight in lm.items()},
        )
        return options.updated(value("search") or {}, "search")

    def updated(self, changes: Any, place: str) -> SearchOptions:
        """These options with those of a mapping; ``place`` names it in the messages of errors."""
        if not isinstance(changes, Mapping):
            raise ValueError(f"{place}: must be options with values, not {changes!r}")
        return from_mapping(SearchOptions, {**dataclasses.asdict(self), **changes}, place)

    @property
    def lm_weights(self) -> LMWeights:
        """Weights of the language model, as rescoring takes them."""
        return LMWeights(self.lm_weight, self.lm_insertion, self.lm_internal)

    def check_language_model(self, head: str) -> None:
        """Raises a ValueError if a recognizer with this head cannot use a language model so."""
        if self.lm_mode == FUSION and head != "ctc":
            raise ValueError(f"mode {FUSION} is for head ctc; for {head} use mode {RESCORING}")
        if self.lm_internal and (head == "ctc" or self.lm_mode == FUSION):
            raise ValueError(
                "an internal language model is subtracted for heads attention and transducer, in "
                f"mode {RESCORING} only: choose the weights with --internal 0"
            )
        if self.beam_size < 2:
            raise ValueError(
                f"a language model needs a beam_size of at least 2, not {self.beam_size}: the "
                "greedy search leaves it nothing to choose from"
            )


class Scores(NamedTuple):
    """Input of the search.

    log_probs: of CTC, (batch, frames, tokens); None if the model was trained without CTC
    counts: frames of each utterance, (batch,)
    encoded: encoder output, (batch, frames, width); None for head ``ctc``
    """

    log_probs: torch.Tensor | None
    counts: torch.Tensor
    encoded: torch.Tensor | None = None


class IncrementalSearch(Protocol):
    """A search that takes the frames of one utterance piece by piece."""

    def advance(self, log_probs: torch.Tensor | None, encoded: torch.Tensor) -> None:
        """Takes CTC log-probabilities (frames, tokens), or None, and encoder output."""

    @property
    def best(self) -> tuple[int, ...]:
        """Tokens of the best partial hypothesis."""

    def hypotheses(self) -> list[Hypothesis]:
        """The hypotheses of all frames so far, the best first."""


def search(
    model: nn.Module,
    scores: Scores,
    options: SearchOptions = SearchOptions(),
    fusion: Fusion | None = None,
) -> list[list[Hypothesis]]:
    """Searches hypotheses of each utterance; the best is first."""
    if fusion is not None:
        check_fusion(model, options.beam_size)
        return model.search(scores, options, fusion)
    return model.search(scores, options)


def incremental_search(
    model: nn.Module, options: SearchOptions = SearchOptions(), fusion: Fusion | None = None
) -> IncrementalSearch:
    """The search of one utterance, frames at a time; it ends where :func:`search` does.

    Raises a ValueError if the head, its beam search or fusion needs the whole utterance.
    """
    if fusion is not None:
        check_fusion(model, options.beam_size)
    return model.incremental_search(options, fusion)


def check_fusion(model: nn.Module, beam_size: int) -> None:
    """Raises a ValueError if a language model cannot be combined with the model's search."""
    if model.head != "ctc":
        raise ValueError(
            "a language model in the search (fusion) is for head ctc alone: for other heads, "
            "rescore the n-best lists of their search"
        )
    if beam_size < 2:
        raise ValueError(
            f"a language model in the search needs a beam_size of at least 2, not {beam_size}: "
            "the greedy search has nothing to choose from"
        )


class ExternalLM:
    """A language model beside a recognizer, as the ``lm_*`` of its search options say.

    Raises a ValueError if the language model has no letter of the recognizer's alphabet, or does
    not model ends of sentences.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        options: SearchOptions,
        tokens: Tokens,
        device: torch.device | str = "cpu",
    ) -> None:
        if not language_model.config.model.line_ends:
            raise ValueError(
                "the language model was trained on text without ends of lines: it cannot tell how "
                "probable it is that a sentence ends"
            )
        self.model, self.model_tokens = language_model.model.to(device), language_model.tokens
        self.tokens, self.weights = tokens, options.lm_weights
        fusion = Fusion(self.model, self.model_tokens, tokens, replace(self.weights, internal=0.0))
        self.fusion = fusion if options.lm_mode == FUSION else None

    def search(
        self, model: nn.Module, scores: Scores, options: SearchOptions
    ) -> list[list[Hypothesis]]:
        """Hypotheses of each utterance with the language model, the best first."""
        self.check_beam(options.beam_size)
        return self.ranked(model, search(model, scores, options, self.fusion))

    def check_beam(self, beam_size: int) -> None:
        """Raises a ValueError for greedy search, which leaves nothing to choose from."""
        if beam_size < 2:
            raise ValueError(
                f"a language model needs a beam_size of at least 2, not {beam_size}; --no-lm "
                "leaves it out"
            )

    def ranked(
        self, model: nn.Module, lists: Sequence[Sequence[Hypothesis]]
    ) -> list[list[Hypothesis]]:
        """Rescores the lists of a search; those of fusion stay as they are."""
        if self.fusion is not None:
            return [list(hypotheses) for hypotheses in lists]
        lists = [distinct(hypotheses, self.tokens) for hypotheses in lists]
        flat = [h for hypotheses in lists for h in hypotheses]
        texts = [self.tokens.decode(h.tokens) for h in flat]
        values = score_texts(self.model, self.model_tokens, texts).log_probs.tolist()
        internal = [0.0] * len(flat)
        if self.weights.internal:
            internal = internal_log_probs(model, [h.tokens for h in flat]).tolist()
        rescored = iter(
            [self._rescored(*row) for row in zip(flat, texts, values, internal, strict=True)]
        )
        ordered = [[next(rescored) for _ in hypotheses] for hypotheses in lists]
        return [sorted(hypotheses, key=lambda h: -h.score) for hypotheses in ordered]

    def _rescored(self, h: Hypothesis, text: str, log_prob: float, internal: float) -> Hypothesis:
        weights = self.weights
        score = h.score + weights.weight * log_prob + weights.insertion * len(text.split())
        parts = {"am": h.score, "lm": log_prob}
        if weights.internal:
            parts["ilm"] = internal
        return Hypothesis(h.tokens, score - weights.internal * internal, parts)


def greedy(log_probs: torch.Tensor, counts: torch.Tensor) -> list[Hypothesis]:
    """Takes the best token of each frame, collapses repetitions and removes blanks.

    The score of a hypothesis is that of the best alignment.

    log_probs: (batch, frames, tokens)
    counts: frames of each utterance, (batch,)
    """
    scores, best = (value.cpu() for value in log_probs.max(-1))
    hypotheses = []
    for score, path, count in zip(scores, best, counts.tolist(), strict=True):
        tokens = torch.unique_consecutive(path[:count]).tolist()
        hypotheses.append(
            Hypothesis(tuple(t for t in tokens if t != BLANK), float(score[:count].sum()))
        )
    return hypotheses


class GreedyCTC:
    """Greedy search of one utterance, frames at a time: an ``IncrementalSearch``.

    Example
    -------
    >>> search = GreedyCTC()
    >>> for token in (1, 1, 0, 1):
    ...     search.advance(torch.eye(2)[[token]].log())
    >>> search.hypotheses()[0].tokens
    (1, 1)
    """

    def __init__(self) -> None:
        self._tokens: list[int] = []
        self._last, self._score = BLANK, 0.0

    def advance(self, log_probs: torch.Tensor, encoded: torch.Tensor | None = None) -> None:
        """Takes (frames, tokens)."""
        scores, best = log_probs.max(-1)
        self._score += float(scores.sum())
        for token in best.tolist():
            if token not in (BLANK, self._last):
                self._tokens.append(token)
            self._last = token

    @property
    def best(self) -> tuple[int, ...]:
        """Tokens so far."""
        return tuple(self._tokens)

    def hypotheses(self) -> list[Hypothesis]:
        """The one hypothesis."""
        return [Hypothesis(self.best, self._score)]


def prefix_beam_search(
    log_probs: torch.Tensor,
    counts: torch.Tensor,
    options: SearchOptions,
    fusion: Fusion | None = None,
) -> list[list[Hypothesis]]:
    """Searches the most probable hypotheses of each utterance, summing over their alignments.

    In a beam that is wide enough it is exact. SpeechBrain's ``CTCPrefixBeamSearcher`` finds the
    same, as a test shows, but more slowly at the same pruning, and returns no tokens, without
    which there is no alignment and there are no times of words.

    log_probs: (batch, frames, tokens)
    counts: frames of each utterance, (batch,)
    """
    beams = [PrefixBeam(options, fusion) for _ in range(len(log_probs))]
    if fusion is None:
        for beam, scores, count in zip(beams, log_probs, counts.tolist(), strict=True):
            beam.advance(scores[:count])
        return [beam.hypotheses() for beam in beams]
    # Frame by frame in all utterances: the language model takes new tokens of all as one batch.
    frames = [
        _unpruned(scores[:count], options.min_log_prob)
        for scores, count in zip(log_probs, counts.tolist(), strict=True)
    ]
    for t in range(max(map(len, frames), default=0)):
        active = [
            (beam, beam.expand(*rows[t]))
            for beam, rows in zip(beams, frames, strict=True)
            if t < len(rows)
        ]
        fusion.settle([prefix for _, expansion in active for prefix in expansion.due])
        for beam, expansion in active:
            beam.keep(expansion)
    fusion.settle([prefix for beam in beams for prefix in beam.ended()])
    return [beam.hypotheses() for beam in beams]


class Expansion:
    """Candidates for the beam after one more frame."""

    __slots__ = ("due", "ends", "prefixes")

    def __init__(self) -> None:
        #: Tokens -> log-probability of the alignments that end in a blank, and in the last token.
        self.ends: dict[tuple[int, ...], tuple[float, float]] = {}
        #: Tokens -> log-probability of all alignments, and state of fusion; empty without it.
        self.prefixes: dict[tuple[int, ...], tuple[float, Prefix]] = {}
        #: Prefixes that the language model must score before :meth:`PrefixBeam.keep`.
        self.due: list[Prefix] = []


class PrefixBeam:
    """Prefix beam search of one utterance, frames at a time: an ``IncrementalSearch``."""

    def __init__(self, options: SearchOptions, fusion: Fusion | None = None) -> None:
        self.beam_size, self.min_log_prob = options.beam_size, options.min_log_prob
        self.fusion = fusion
        # Prefix -> log-probability of the alignments that end in a blank, and in its last token.
        self._beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}
        self._prefixes: dict[tuple[int, ...], Prefix] = {}
        if fusion is not None:
            self._prefixes[()] = fusion.begin()

    @property
    def best(self) -> tuple[int, ...]:
        """Tokens of the best partial hypothesis."""
        return next(iter(self._beams))

    def hypotheses(self) -> list[Hypothesis]:
        """The hypotheses of the frames so far, the best first."""
        if self.fusion is None:
            return [Hypothesis(prefix, log_add(*ends)) for prefix, ends in self._beams.items()]
        ended = self.ended()
        self.fusion.settle(ended)
        hypotheses = []
        for (tokens, ends), prefix in zip(self._beams.items(), ended, strict=True):
            score = log_add(*ends)
            parts = {"am": score, **self.fusion.parts(prefix)}
            hypotheses.append(Hypothesis(tokens, score + prefix.bonus, parts))
        return sorted(hypotheses, key=lambda h: (-h.score, h.tokens))

    def ended(self) -> list[Prefix]:
        """State of fusion of each hypothesis if it ends here; to be settled."""
        return [self.fusion.ended(self._prefixes[tokens]) for tokens in self._beams]

    def advance(self, log_probs: torch.Tensor, encoded: torch.Tensor | None = None) -> None:
        """Takes (frames, tokens)."""
        for row, tokens in _unpruned(log_probs, self.min_log_prob):
            expansion = self.expand(row, tokens)
            if expansion.due:
                self.fusion.settle(expansion.due)
            self.keep(expansion)

    def expand(self, row: torch.Tensor, candidates: list[int]) -> Expansion:
        """Extends all prefixes by the candidate tokens of a frame; :meth:`keep` prunes them."""
        nothing = -math.inf
        tokens = [(t, float(row[t])) for t in candidates if t != BLANK]
        blank = float(row[BLANK])
        expansion = Expansion()
        ends = expansion.ends
        for prefix, (in_blank, in_token) in self._beams.items():
            both = log_add(in_blank, in_token)
            last = prefix[-1] if prefix else None
            old_blank, old_token = ends.get(prefix, (nothing, nothing))
            stay = nothing if last is None else in_token + float(row[last])
            ends[prefix] = (log_add(old_blank, both + blank), log_add(old_token, stay))
            for token, score in tokens:
                # The same token is a repetition, unless there is a blank in between.
                source = in_blank if token == last else both
                if source == nothing:
                    continue
                longer = (*prefix, token)
                old_blank, old_token = ends.get(longer, (nothing, nothing))
                ends[longer] = (old_blank, log_add(old_token, source + score))
        if self.fusion is not None:
            self._add_fusion(expansion)
        return expansion

    def keep(self, expansion: Expansion) -> None:
        """Keeps the best of a settled expansion."""
        if self.fusion is None:
            ranked = sorted(expansion.ends.items(), key=lambda item: (-log_add(*item[1]), item[0]))
            self._beams = dict(ranked[: self.beam_size])
            return
        scored = [(-(score + prefix.bonus), t) for t, (score, prefix) in expansion.prefixes.items()]
        kept = [tokens for _, tokens in sorted(scored)[: self.beam_size]]
        self._beams = {tokens: expansion.ends[tokens] for tokens in kept}
        self._prefixes = {tokens: expansion.prefixes[tokens][1] for tokens in kept}

    def _add_fusion(self, expansion: Expansion) -> None:
        """Adds the state of fusion; prunes what no language model score can keep in the beam."""
        acoustic = {tokens: log_add(*ends) for tokens, ends in expansion.ends.items()}
        expansion.prefixes = {t: (acoustic[t], prefix) for t, prefix in self._prefixes.items()}
        known = [score + prefix.bonus for score, prefix in expansion.prefixes.values()]
        threshold = self._threshold(known)
        waiting = []
        for tokens, score in acoustic.items():
            if tokens in self._prefixes:
                continue
            parent = self._prefixes[tokens[:-1]]
            if score + self.fusion.upper_bound(parent, tokens[-1]) < threshold:
                continue
            prefix = self.fusion.grow(parent, tokens[-1])
            if prefix.due:
                waiting.append((tokens, score, prefix))
            else:
                known.append(score + prefix.bonus)
                expansion.prefixes[tokens] = score, prefix
        threshold = self._threshold(known)
        for tokens, score, prefix in waiting:
            if score + prefix.bonus >= threshold:
                expansion.prefixes[tokens] = score, prefix
                expansion.due.append(prefix)

    def _threshold(self, known: list[float]) -> float:
        """The lowest score with which a hypothesis can stay in the beam."""
        if len(known) < self.beam_size:
            return -math.inf
        return sorted(known, reverse=True)[self.beam_size - 1]


def word_times(
    log_probs: torch.Tensor, hypothesis: Hypothesis, tokens: Tokens, seconds_per_frame: float
) -> list[Word]:
    """Start, end and confidence of each word, by the best CTC alignment of its tokens.

    log_probs: of one utterance, without padding, (frames, tokens)

    Raises a ValueError if the utterance has too few frames.
    """
    targets = list(hypothesis.tokens)
    if not targets:
        return []
    needed = frames_needed(targets)
    if len(log_probs) < needed:
        raise ValueError(
            f"{len(targets)} tokens, {needed - len(targets)} of them repeated, do not fit into "
            f"{len(log_probs)} frames"
        )
    path, scores = forced_align(
        log_probs.float().cpu().unsqueeze(0),
        torch.tensor([targets], dtype=torch.int32),
        blank=BLANK,
    )
    spans = _spans(path[0].tolist())
    probs = scores[0].exp().tolist()
    words = []
    for word, first, after in tokens.word_spans(targets):
        frames = [f for a, b in spans[first:after] for f in range(a, b)]
        words.append(
            Word(
                word,
                spans[first][0] * seconds_per_frame,
                spans[after - 1][1] * seconds_per_frame,
                sum(probs[f] for f in frames) / len(frames),
            )
        )
    return words


def align_words(
    scores: Scores, utterance: int, hypothesis: Hypothesis, tokens: Tokens, seconds: float
) -> list[Word]:
    """:func:`word_times` of an utterance of a batch; no words if CTC cannot align them."""
    count = int(scores.counts[utterance])
    if scores.log_probs is None or count < frames_needed(hypothesis.tokens):
        return []
    return word_times(scores.log_probs[utterance, :count], hypothesis, tokens, seconds)


def frames_needed(tokens: Sequence[int]) -> int:
    """Minimum number of frames of an alignment: between two equal tokens there is a blank.

    Example
    -------
    >>> frames_needed([3, 3, 1])
    4
    """
    return len(tokens) + sum(a == b for a, b in zip(tokens, tokens[1:], strict=False))


def _unpruned(log_probs: torch.Tensor, min_log_prob: float) -> list[tuple[torch.Tensor, list[int]]]:
    """Each frame with its tokens that are not pruned."""
    scores = log_probs.detach().double().cpu()
    kept = scores > min_log_prob
    kept.scatter_(1, scores.argmax(1, keepdim=True), True)
    return [
        (row, mask.nonzero().squeeze(1).tolist()) for row, mask in zip(scores, kept, strict=True)
    ]


def _spans(path: list[int]) -> list[tuple[int, int]]:
    """First frame, and frame after the last, of each token of an alignment."""
    spans: list[tuple[int, int]] = []
    previous = BLANK
    for frame, token in enumerate(path):
        if token != BLANK:
            if token == previous:
                spans[-1] = (spans[-1][0], frame + 1)
            else:
                spans.append((frame, frame + 1))
        previous = token
    return spans
