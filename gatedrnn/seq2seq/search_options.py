"""How captions are searched for, and which words may come next."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gatedrnn.tokens.vocabulary import EOS, UNKNOWN


@dataclass(frozen=True)
class CaptionSearch:
    """How captions are searched for.

    Arguments
    ---------
    beam_size : int
        Beginnings of captions that are kept from word to word, in all groups together.
    max_length : int
        Most words of a caption; after so many only the end may come.
    min_length : int
        Fewest words of a caption.
    length_penalty : float
        Scores are divided by the number of words and end to this power: 0 for the log-probability
        itself, 1 for the mean of a word.
    groups : int
        Of a diverse search; they share the beams evenly.
    diversity : float
        What a word costs that an earlier group has just taken.
    temperature : float
        Of drawing: below 1 the probable becomes more probable.
    block_ngrams : int
        No so many words in a row come twice in a caption; 0: they may.
    unknown : bool
        Whether ``<unk>`` may come.

    Raises
    ------
    ValueError
        If a value is out of its range.

    Example
    -------
    >>> CaptionSearch(length_penalty=1.0).normalised(-6.0, 2)
    -2.0
    """

    beam_size: int = 5
    max_length: int = 16
    min_length: int = 0
    length_penalty: float = 0.0
    groups: int = 1
    diversity: float = 0.5
    temperature: float = 1.0
    block_ngrams: int = 0
    unknown: bool = False

    def __post_init__(self) -> None:
        if self.beam_size < 1 or self.groups < 1 or self.beam_size % self.groups:
            raise ValueError(
                "beam_size and groups must be at least 1, and groups share the beams evenly, not "
                f"{self.beam_size} and {self.groups}"
            )
        if not 0 <= self.min_length <= self.max_length or self.max_length < 1:
            raise ValueError(
                "min_length must be from 0 to max_length, and that at least 1, not "
                f"{self.min_length} and {self.max_length}"
            )
        for name, most in (("length_penalty", 10), ("diversity", 1e6), ("block_ngrams", 1 << 20)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be from 0 to {most:g}, not {getattr(self, name)}")
        if not self.temperature > 0.0:
            raise ValueError(f"temperature must be above 0, not {self.temperature}")

    def normalised(self, log_prob: float, words: int) -> float:
        """Score of a caption.

        Arguments
        ---------
        log_prob : float
            Of its words and its end.
        words : int
            How many words it has.

        Returns
        -------
        float
        """
        return log_prob / (words + 1) ** self.length_penalty


def allowed(words: torch.Tensor, scores: torch.Tensor, options: CaptionSearch) -> torch.Tensor:
    """Which words may come next.

    Arguments
    ---------
    words : torch.Tensor
        Those that there are, (batch, time), without the ``<eos>`` in front.
    scores : torch.Tensor
        Of the next one, (batch, vocabulary): only the shape and the device matter.
    options : CaptionSearch
        The rules. Where they leave nothing, the caption may end.

    Returns
    -------
    torch.Tensor
        Bool, (batch, vocabulary).

    Example
    -------
    >>> words, scores = torch.tensor([[2, 3, 2]]), torch.zeros(1, 5)
    >>> allowed(words, scores, CaptionSearch(block_ngrams=2, min_length=4)).int()
    tensor([[0, 0, 1, 0, 1]], dtype=torch.int32)
    """
    may = torch.ones(scores.shape, dtype=torch.bool, device=scores.device)
    count = words.shape[1]
    if count >= options.max_length:
        may[:, :] = False
    else:
        if not options.unknown:
            may[:, UNKNOWN] = False
        if count < options.min_length:
            may[:, EOS] = False
        size = options.block_ngrams
        if size and count >= size:
            # Where the last words stood before, what came after them then may not come now.
            windows = words.unfold(1, size, 1)
            same = (windows[..., :-1] == words[:, count - size + 1 :].unsqueeze(1)).all(2)
            rows, places = same.nonzero(as_tuple=True)
            taken = windows[rows, places, -1]
            may[rows[taken != EOS], taken[taken != EOS]] = False
    may[:, EOS] |= ~may.any(1)
    return may


def drawn_from(words: torch.Tensor, scores: torch.Tensor, options: CaptionSearch) -> torch.Tensor:
    """Log-probabilities from which the next word is drawn.

    Arguments
    ---------
    words : torch.Tensor
        Those that there are, (batch, time).
    scores : torch.Tensor
        Of the next one, (batch, vocabulary).
    options : CaptionSearch
        Rules and temperature.

    Returns
    -------
    torch.Tensor
        (batch, vocabulary).
    """
    scores = scores.masked_fill(~allowed(words, scores, options), -torch.inf)
    return (scores / options.temperature).log_softmax(1)
