"""Search options of captioners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatedrnn.seq2seq.search import SearchOptions
from gatedrnn.tokens import Vocabulary


def search_options(hparams: Mapping[str, Any], vocabulary: Vocabulary) -> SearchOptions:
    """Search of a training's tests: ``beam_size`` and ``search`` of the YAML."""
    options = {
        "max_length": vocabulary.max_length,
        "beam_size": hparams["beam_size"],
        **(hparams["search"] or {}),
    }
    return SearchOptions.from_dict(options, "search")
