"""How a recogniser uses a language model: in its search, or on what the search has found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import nn

from gatedrnn.bundle.files import only
from gatedrnn.tasks.asr.decode import Scores, search
from gatedrnn.tasks.asr.internal_lm import internal_log_probs
from gatedrnn.tasks.asr.lm_fusion import Fusion
from gatedrnn.tasks.language_modeling.bundle import LanguageModel
from gatedrnn.tasks.language_modeling.lm_weights import setting_of
from gatedrnn.tasks.language_modeling.prefix_scores import score_texts
from gatedrnn.tasks.language_modeling.rescoring import Setting
from gatedrnn.tokens.hypotheses import Hypothesis, distinct

#: In the search itself; or afterwards, on the readings that it has found.
FUSION, RESCORING = "fusion", "rescoring"
MODES = (FUSION, RESCORING)
#: Folder of a recogniser's bundle in which its language model lies.
FOLDER = "lm"


@dataclass(frozen=True)
class LanguageUse:
    """How a recogniser uses a language model.

    Arguments
    ---------
    mode : str
        ``"fusion"``, for head ``ctc``, or ``"rescoring"``.
    setting : Setting
        How much it counts.

    Raises
    ------
    ValueError
        If a value cannot be used.

    Example
    -------
    >>> use = LanguageUse("rescoring", Setting(0.5, 1.0))
    >>> LanguageUse.from_dict(use.to_dict()) == use
    True
    """

    mode: str = FUSION
    setting: Setting = field(default_factory=Setting)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode must be {' or '.join(MODES)}, not {self.mode!r}")
        if not self.setting.weight >= 0:
            raise ValueError(f"weight must be at least 0, not {self.setting.weight}")

    def check(self, head: str, beam_size: int) -> None:
        """Refuses a recogniser that cannot use a language model so.

        Arguments
        ---------
        head : str
            Its head.
        beam_size : int
            Width of its beam.

        Raises
        ------
        ValueError
            If it cannot.
        """
        if self.mode == FUSION and head != "ctc":
            raise ValueError(f"mode {FUSION} is for head ctc; for {head} use mode {RESCORING}")
        if self.setting.internal and (head == "ctc" or self.mode == FUSION):
            raise ValueError(
                "an internal language model is subtracted for heads attention and transducer, in "
                f"mode {RESCORING} only: choose the weights with --internal 0"
            )
        if beam_size < 2:
            raise ValueError(
                f"a language model needs a beam_size of at least 2, not {beam_size}: the greedy "
                "search leaves it nothing to choose from"
            )

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain data.

        Returns
        -------
        dict
        """
        return {"folder": FOLDER, "mode": self.mode, **asdict(self.setting)}

    @classmethod
    def from_dict(cls, data: Any) -> LanguageUse:
        """Reads what :meth:`to_dict` gave.

        Arguments
        ---------
        data : Any
            Plain data.

        Returns
        -------
        LanguageUse

        Raises
        ------
        ValueError
            If it is something else.
        """
        names = tuple(Setting.__dataclass_fields__)
        only(data, ("folder", "mode", *names), "language_model: ")
        if data.get("folder") != FOLDER:
            raise ValueError(
                f"language_model: folder must be {FOLDER!r}, in the bundle's own folder, not "
                f"{data.get('folder')!r}"
            )
        try:
            setting = setting_of({name: data[name] for name in names if name in data})
            return cls(data.get("mode"), setting)
        except ValueError as error:
            raise ValueError(f"language_model: {error}") from error


class Companion:
    """A language model beside a recogniser.

    Arguments
    ---------
    language_model : LanguageModel
        The language model.
    use : LanguageUse
        How it is used.
    tokens : Tokens
        The recogniser's.
    device : torch.device or str
        Where to compute.

    Raises
    ------
    ValueError
        If the language model knows no letter of the recogniser's, or no ends of sentences.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        use: LanguageUse,
        tokens: Any,
        device: torch.device | str = "cpu",
    ) -> None:
        if not language_model.config.model.line_ends:
            raise ValueError(
                "the language model was trained on text without ends of lines: it cannot tell how "
                "probable it is that a sentence ends"
            )
        self.model, self.model_tokens = language_model.model.to(device), language_model.tokens
        self.use, self.tokens = use, tokens
        setting = replace(use.setting, internal=0.0)
        found = Fusion(self.model, self.model_tokens, tokens, setting)
        self.fusion = found if use.mode == FUSION else None

    def search(self, model: nn.Module, scores: Scores, beam_size: int) -> list[list[Hypothesis]]:
        """Readings of each utterance.

        Arguments
        ---------
        model : nn.Module
            The recogniser.
        scores : Scores
            Of :func:`~gatedrnn.tasks.asr.decode.score`.
        beam_size : int
            Width of the beam.

        Returns
        -------
        list of list of Hypothesis
            The best reading first.

        Raises
        ------
        ValueError
            If the beam has room for one reading only.
        """
        self.check_beam(beam_size)
        return self.ranked(model, search(model, scores, beam_size, self.fusion))

    def check_beam(self, beam_size: int) -> None:
        """Refuses a beam in which a language model has nothing to choose from.

        Arguments
        ---------
        beam_size : int
            Width of the beam.

        Raises
        ------
        ValueError
            If it is less than 2.
        """
        if beam_size < 2:
            raise ValueError(
                f"a language model needs a beam_size of at least 2, not {beam_size}; --no-lm "
                "leaves it out"
            )

    def ranked(
        self, model: nn.Module, lists: Sequence[Sequence[Hypothesis]]
    ) -> list[list[Hypothesis]]:
        """What a search has found, in the order of the language model, too.

        Arguments
        ---------
        model : nn.Module
            The recogniser.
        lists : sequence of sequence of Hypothesis
            Readings of each utterance; where it had its say in the search, they stay as they are.

        Returns
        -------
        list of list of Hypothesis
            The best reading first.
        """
        if self.fusion is not None:
            return [list(found) for found in lists]
        lists = [distinct(found, self.tokens) for found in lists]
        flat = [h for found in lists for h in found]
        texts = [self.tokens.decode(h.tokens) for h in flat]
        values = score_texts(self.model, self.model_tokens, texts).log_probs.tolist()
        internal = [0.0] * len(flat)
        if self.use.setting.internal:
            internal = internal_log_probs(model, [h.tokens for h in flat]).tolist()
        scored = iter(
            [self._scored(*one) for one in zip(flat, texts, values, internal, strict=True)]
        )
        ordered = [[next(scored) for _ in found] for found in lists]
        return [sorted(found, key=lambda h: -h.score) for found in ordered]

    def _scored(self, h: Hypothesis, text: str, linguistic: float, internal: float) -> Hypothesis:
        setting = self.use.setting
        score = h.score + setting.weight * linguistic + setting.insertion * len(text.split())
        parts = {"am": h.score, "lm": linguistic}
        if setting.internal:
            parts["ilm"] = internal
        return Hypothesis(h.tokens, score - setting.internal * internal, parts)
