"""From a training's folder to a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from speechbrain.processing.features import InputNormalization

from gatedrnn.bundle.from_training import TRAINING_KEYS, read_object
from gatedrnn.tasks.asr.bundle import write_bundle
from gatedrnn.tasks.asr.bundle_config import BundleConfig
from gatedrnn.tasks.asr.card import model_card
from gatedrnn.tasks.asr.decode import FUSION, RESCORING, SearchOptions
from gatedrnn.tasks.asr.lm_integration import ExternalLM
from gatedrnn.tasks.asr.onnx.export import export_encoder, export_step
from gatedrnn.tasks.asr.onnx.graph import need
from gatedrnn.tasks.asr.specification import RecogniserSpec
from gatedrnn.tasks.asr.speechbrain_export import HYPERPARAMS
from gatedrnn.tasks.captioning.bundle import CaptionerConfig
from gatedrnn.tasks.captioning.export import export_captioner
from gatedrnn.tasks.language_modeling.bundle import LanguageModel, LanguageModelConfig
from gatedrnn.tasks.language_modeling.export import export_language_model, load_language_model
from gatedrnn.tasks.language_modeling.rescoring import LMWeights
from gatedrnn.tasks.translation.bundle import TranslatorConfig
from gatedrnn.tasks.translation.export import export_translator
from gatedrnn.tokens import BLANK_NAME, load
from gatedrnn.training.checkpoints import SafeCheckpointer
from gatedrnn.training.model_description import CAPTIONS, TEXT, TRANSLATIONS
from gatedrnn.training.model_description import FILE as DESCRIPTION

#: The acoustic model as ONNX: of whole signals, and of one frame of a stream.
ENCODER, STEP = "encoder.onnx", "step.onnx"

#: What the best checkpoint is the best by, as in the training's own test.
CRITERION = "WER"

#: Kind of training that is not a recogniser's -> what it trains, and what makes a bundle of it.
_OTHERS = {
    TEXT: ("language model", export_language_model),
    CAPTIONS: ("captioner", export_captioner),
    TRANSLATIONS: ("translator", export_translator),
}


@dataclass(frozen=True)
class WithLanguage:
    """A language model that goes into a recogniser's bundle.

    Arguments
    ---------
    folder : str or Path
        Its bundle, or the output folder of its training.
    weights : LMWeights
        Its weights.
    mode : str or None
        ``lm_mode`` of :class:`~gatedrnn.tasks.asr.decode.SearchOptions`; None: fusion for head
        ``ctc``, rescoring for others.
    beam_size : int or None
        Width of the beam; None for that of the training's test.
    """

    folder: str | Path
    weights: LMWeights = LMWeights()
    mode: str | None = None
    beam_size: int | None = None


def export(
    results: str | Path,
    bundle: str | Path,
    overwrite: bool = False,
    onnx: bool = False,
    language: WithLanguage | None = None,
) -> BundleConfig | LanguageModelConfig | CaptionerConfig | TranslatorConfig:
    """Makes a bundle of what a training has left in its output folder.

    It takes the checkpoint with which the training's own test was done: that of the lowest
    validation error rate, perplexity of a language model, or highest CIDEr-D of a captioner or BLEU
    of a translator; the average of several if that is better.

    Arguments
    ---------
    results : str or Path
        Output folder of a training.
    bundle : str or Path
        Folder to write.
    overwrite : bool
        Whether a bundle that is there already may be replaced.
    onnx : bool
        Whether to write the acoustic model as ONNX, too: ``encoder.onnx``, and ``step.onnx`` if the
        network is unidirectional.
    language : WithLanguage or None
        A language model to be used with the recogniser.

    Returns
    -------
    BundleConfig or LanguageModelConfig or CaptionerConfig or TranslatorConfig

    Raises
    ------
    FileNotFoundError
        If the folder is not a training's, or there is no checkpoint in it.
    FileExistsError
        If there is something in the bundle's folder that may not be replaced.
    ValueError
        If the training's model is not described by plain data, ONNX or a language model is wanted
        of what is no recogniser, or the recogniser cannot use the language model so.
    ImportError
        If ONNX is wanted and not installed; then nothing is written.
    """
    if onnx:
        need("onnx")
        need("onnxruntime")
    results = Path(results)
    description = _read(results / DESCRIPTION, results)
    if description.get("kind") in _OTHERS:
        what, write = _OTHERS[description["kind"]]
        for option, given in (("onnx", onnx), ("lm", language is not None)):
            if given:
                raise ValueError(f"{results}: --{option} is for recognisers, and this is a {what}")
        return write(results, description, bundle, overwrite)
    if "problem" in description:
        raise ValueError(f"the model of {results} cannot be exported: {description['problem']}")
    beam_size = description.pop("beam_size", 1)
    known = {key: value for key, value in description.items() if key not in TRAINING_KEYS}
    spec = RecogniserSpec.from_dict(known)
    tokens = load(results / "tokens.json", BLANK_NAME)
    model = spec.build()
    normalize = InputNormalization(norm_type=spec.normalisation)
    checkpointer = SafeCheckpointer(results / "save", {"model": model, "normalize": normalize})
    checkpoint = checkpointer.load_undamaged(min_key=CRITERION)
    if checkpoint is None:
        raise FileNotFoundError(
            f"{results / 'save'} has no undamaged checkpoint with a validation {CRITERION}"
        )
    statistics = None
    if spec.normalisation == "global":
        statistics = normalize.glob_mean, normalize.glob_std
    training = _training(results, checkpoint.meta)
    config = BundleConfig(spec, SearchOptions(beam_size), training=training)
    language_model = None
    if language is not None:
        language_model = load_language_model(language.folder)
        config = _with_language(config, language, language_model, tokens)
    more = {
        "README.md": model_card(Path(bundle).name, config, _parameters(model), language_model),
        "hyperparams.yaml": HYPERPARAMS.format(
            name=Path(bundle).name, sample_rate=spec.build_features().options["sample_rate"]
        ),
    }
    if spec.head != "ctc":
        del more["hyperparams.yaml"]
    written = write_bundle(
        bundle, config, tokens, model, statistics, more, overwrite, language_model
    )
    if onnx:
        acoustic = getattr(model, "acoustic", model).eval()
        export_encoder(acoustic, Path(bundle) / ENCODER, spec.features.get("n_mels"))
        if not acoustic.encoder.bidirectional:
            export_step(acoustic, Path(bundle) / STEP)
    return written


def _with_language(
    config: BundleConfig, language: WithLanguage, language_model: LanguageModel, tokens: Any
) -> BundleConfig:
    weights, beam_size = language.weights, language.beam_size
    options = replace(
        config.search,
        beam_size=config.search.beam_size if beam_size is None else beam_size,
        lm_mode=language.mode or (FUSION if config.model.head == "ctc" else RESCORING),
        lm_weight=weights.weight,
        lm_insertion=weights.insertion,
        lm_internal=weights.internal,
    )
    try:
        ExternalLM(language_model, options, tokens)
    except ValueError as error:
        raise ValueError(f"{language.folder}: {error}") from error
    return replace(config, search=options)


def _parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def _training(results: Path, meta: Mapping[str, Any]) -> dict[str, Any]:
    """What the training's own files say about it."""
    training: dict[str, Any] = {"validation_wer": float(meta[CRITERION])}
    path = results / "results.json"
    if path.is_file():
        found = read_object(path)
        training |= {key: found[key] for key in ("seed", "epochs", "sets") if key in found}
    return training


def _read(path: Path, results: Path) -> dict[str, Any]:
    if not results.is_dir():
        raise FileNotFoundError(f"{results}: no such folder of a training")
    if not path.is_file():
        raise FileNotFoundError(
            f"{results} has no {path.name}: either it is not the output folder of a training, or "
            "an older version trained it; then the command of that training with --test_only "
            "writes the file"
        )
    return read_object(path)
