"""What a training leaves behind for those who use its model: a description without any code."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gatedrnn.modules.features import LogMel
from gatedrnn.seq2seq.search import SearchOptions
from gatedrnn.tasks.asr.heads.brain import head_name
from gatedrnn.tasks.asr.model import CTCModel
from gatedrnn.tasks.asr.specification import HEAD_MODELS, RecogniserSpec
from gatedrnn.tasks.captioning.corpora.loading import MediaOptions
from gatedrnn.tasks.captioning.specification import CaptionerSpec
from gatedrnn.tasks.language_modeling.model import TextModel
from gatedrnn.tasks.language_modeling.specification import TRAINING_ONLY, TextModelSpec
from gatedrnn.tasks.translation.corpora.pairs import Languages
from gatedrnn.tasks.translation.model import TranslatorSpec
from gatedrnn.training.log import replace_text

#: Name of the file in a training's output folder.
FILE = "model.json"
#: Arguments of the acoustic model that only matter before training.
_BEGINNINGS = ("start",)
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
    acoustic = _arguments(hparams["model"], CTCModel, "model")
    if acoustic.get("encoder") is not None:
        raise ValueError("its encoder is a module of your own")
    block = hparams.get(head) or {}
    options = {}
    if HEAD_MODELS[head] is not None and "head" in block:
        options = _arguments(block["head"], HEAD_MODELS[head], f"{head}: head")
    features = hparams["compute_features"]
    if not isinstance(features, LogMel):
        raise ValueError(
            f"compute_features is a {type(features).__name__}; use gatedrnn.modules.features.LogMel"
        )
    left_out = ("encoder", *_BEGINNINGS)
    return RecogniserSpec(
        vocabulary=vocabulary,
        acoustic={name: value for name, value in acoustic.items() if name not in left_out},
        head=head,
        head_options=options,
        features=features.describe(),
        normalisation=getattr(hparams["normalize"], "norm_type", "none"),
    )


def write_description(hparams: Mapping[str, Any], vocabulary: int, folder: Path) -> None:
    """Writes ``model.json``, or says why it cannot be.

    Arguments
    ---------
    hparams : Mapping
        The YAML's values.
    vocabulary : int
        Number of tokens, with the blank.
    folder : Path
        The output folder.
    """
    try:
        data: dict[str, Any] = describe(hparams, vocabulary).to_dict()
        data["beam_size"] = int(hparams.get("beam_size", 1))
    except ValueError as error:
        data = {"problem": str(error)}
    replace_text(folder / FILE, json.dumps(data, indent=2) + "\n")


def write_text_description(
    hparams: Mapping[str, Any],
    vocabulary: int,
    arguments: Mapping[str, Any],
    line_ends: bool,
    folder: Path,
) -> None:
    """Writes ``model.json`` of a language model, or says why it cannot be.

    Arguments
    ---------
    hparams : Mapping
        The YAML's values: ``model`` and ``carry_state``.
    vocabulary : int
        Number of tokens.
    arguments : Mapping
        What the model was made with, besides the vocabulary.
    line_ends : bool
        Whether the training text has ends of lines to be predicted.
    folder : Path
        The output folder.
    """
    try:
        _arguments(hparams["model"], TextModel, "model")
        options = {k: v for k, v in arguments.items() if k not in TRAINING_ONLY}
        spec = TextModelSpec(vocabulary, options, bool(hparams["carry_state"]), line_ends)
        data: dict[str, Any] = {"kind": TEXT, **spec.to_dict()}
    except ValueError as error:
        data = {"kind": TEXT, "problem": str(error)}
    replace_text(folder / FILE, json.dumps(data, indent=2) + "\n")


def write_caption_description(
    spec: CaptionerSpec, media: MediaOptions, beam_size: int, folder: Path
) -> None:
    """Writes ``model.json`` of a captioner.

    Arguments
    ---------
    spec : CaptionerSpec
        What it is built of.
    media : MediaOptions
        What it is given.
    beam_size : int
        Of its tests.
    folder : Path
        The output folder.
    """
    data = {
        "kind": CAPTIONS,
        "model": spec.to_dict(),
        "media": media.to_dict(),
        "beam_size": beam_size,
    }
    replace_text(folder / FILE, json.dumps(data, indent=2) + "\n")


def write_translator_description(
    spec: TranslatorSpec, languages: Languages, search: SearchOptions, folder: Path
) -> None:
    """Writes ``model.json`` of a translator.

    Arguments
    ---------
    spec : TranslatorSpec
        What it is built of.
    languages : Languages
        What it reads and what it writes.
    search : SearchOptions
        Of its tests.
    folder : Path
        The output folder.
    """
    data = {
        "kind": TRANSLATIONS,
        "model": spec.to_dict(),
        "languages": languages.to_dict(),
        "search": asdict(search),
    }
    replace_text(folder / FILE, json.dumps(data, indent=2) + "\n")


def _arguments(made: Any, wanted: type, place: str) -> dict[str, Any]:
    """What a ``!name:`` of a YAML gives to a class of ours."""
    if made is wanted:
        return {}
    if not isinstance(made, functools.partial) or made.func is not wanted or made.args:
        raise ValueError(f"{place} is not a {wanted.__name__} of this package")
    return dict(made.keywords)
