"""What a training leaves behind for those who use its model: a description without any code."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from gatedrnn.modules.features import LogMel
from gatedrnn.tasks.asr.heads import HEADS, head_name
from gatedrnn.tasks.asr.model import CTCModel
from gatedrnn.tasks.asr.specification import RecogniserSpec

#: Name of the file in a training's output folder.
FILE = "model.json"
#: Arguments of the acoustic model that only matter before training.
_INITIAL = ("init",)
#: The ``kind`` of the descriptions of language models, captioners and translators; recognisers have
#: none.
TEXT, CAPTIONS, TRANSLATIONS = "text", "captions", "translations"


def describe(hparams: Mapping[str, Any], vocabulary: int) -> RecogniserSpec:
    """The model of a YAML as plain data.

    Arguments
    ---------
    hparams : Mapping
        The YAML's values.
    vocabulary : int
        Number of tokens, with the blank.

    Returns
    -------
    RecogniserSpec

    Raises
    ------
    ValueError
        If the model or its features are not made by this package alone, so that plain data cannot
        describe them.

    Example
    -------
    >>> from functools import partial
    >>> from speechbrain.processing.features import InputNormalization
    >>> parts = {"compute_features": LogMel(), "normalize": InputNormalization()}
    >>> spec = describe({"model": partial(CTCModel, num_layers=3), **parts}, 30)
    >>> spec.acoustic, spec.normalisation
    ({'num_layers': 3}, 'global')
    """
    head = head_name(hparams)
    acoustic = arguments_of(hparams["model"], CTCModel, "model")
    if acoustic.get("encoder") is not None:
        raise ValueError("its encoder is a module of your own")
    block = hparams.get(head) or {}
    options = {}
    if HEADS[head] is not CTCModel and "head" in block:
        options = arguments_of(block["head"], HEADS[head], f"{head}: head")
    features = hparams["compute_features"]
    if not isinstance(features, LogMel):
        raise ValueError(
            f"compute_features is a {type(features).__name__}; use gatedrnn.modules.features.LogMel"
        )
    left_out = ("encoder", *_INITIAL)
    return RecogniserSpec(
        vocabulary=vocabulary,
        acoustic={name: value for name, value in acoustic.items() if name not in left_out},
        head=head,
        head_options=options,
        features=features.describe(),
        normalisation=getattr(hparams["normalize"], "norm_type", "none"),
    )


def arguments_of(made: Any, wanted: type, place: str) -> dict[str, Any]:
    """What a ``!name:`` of a YAML gives to a class of ours."""
    if made is wanted:
        return {}
    if not isinstance(made, functools.partial) or made.func is not wanted or made.args:
        raise ValueError(f"{place} is not a {wanted.__name__} of this package")
    return dict(made.keywords)
