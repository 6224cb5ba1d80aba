"""Search options of translators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatedrnn.seq2seq.search import SearchOptions
from gatedrnn.tokens import UNKNOWN, Tokens


def search_options(hparams: Mapping[str, Any], tokens: Tokens) -> SearchOptions:
    """Search of a training's tests: ``max_length``, ``beam_size`` and ``search`` of the YAML."""
    options = {
        "max_length": int(hparams["max_length"]),
        "beam_size": hparams["beam_size"],
        # Only word tokens have <unk> at this index; characters and pieces cover the training text
        # and do not learn to produce it.
        "unknown": tokens.unk != UNKNOWN,
        **(hparams["search"] or {}),
    }
    return SearchOptions.from_dict(options, "search")
