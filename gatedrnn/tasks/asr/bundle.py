"""Bundles of recognizers.

In a subfolder ``lm`` may lie a language model, which is a bundle by itself; ``README.md`` and
``hyperparams.yaml`` (for SpeechBrain's ``EncoderASR``) are for others and are never read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from speechbrain.processing.features import InputNormalization
from torch import nn

from gatedrnn.bundle.format import BundleConfig
from gatedrnn.bundle.kind import (
    WIDEST,
    BundleKind,
    ModelSpec,
    arguments_of,
    check_model_arguments,
    model_card,
    result_lines,
    validation_line,
)
from gatedrnn.data.config import Choices, ConfigError, Range, check_keys, from_mapping
from gatedrnn.modules.features import LogMel
from gatedrnn.modules.network_options import parameters
from gatedrnn.tasks.asr.decode import FUSION, RESCORING, ExternalLM, SearchOptions
from gatedrnn.tasks.asr.heads import HEADS, add_head, head_name
from gatedrnn.tasks.asr.model import CTCModel, Frontend
from gatedrnn.tasks.language_modeling.bundle import (
    LANGUAGE_MODEL,
    LanguageModel,
    load_language_model,
)
from gatedrnn.tasks.language_modeling.rescoring import LMWeights
from gatedrnn.tokens import BLANK_NAME, Tokens, load

__all__ = [
    "Bundle",
    "RecognizerConfig",
    "RecognizerSpec",
    "WithLanguageModel",
    "load_recognizer",
    "read_bundle",
    "write_bundle",
]

#: Subfolder of a recognizer's bundle for its language model.
LM_FOLDER = "lm"
#: The acoustic model as ONNX: of whole signals, and of one frame of a stream.
ENCODER, STEP = "encoder.onnx", "step.onnx"
#: Names of the statistics of the features among the weights.
MEAN, STD = "normalize.mean", "normalize.std"
#: Keys of ``language_model`` in a config, in :class:`SearchOptions` with ``lm_`` in front.
_LM_KEYS = ("mode", "weight", "insertion", "internal")
#: Arguments of the acoustic model and of heads that may not stand in a file.
_LEFT_OUT = ("acoustic", "vocabulary", "encoder", "start", "init")
#: ``hyperparams.yaml``, which reads the bundle it lies in and nothing else.
HYPERPARAMS = """\
# For SpeechBrain's own interface; gatedrnn itself does not read this file:
#     from speechbrain.inference.ASR import EncoderASR
#     asr = EncoderASR.from_hparams(source="{name}")
#     asr.transcribe_file("a.wav")

encoder: !new:gatedrnn.tasks.asr.speechbrain_export.BundleEncoder
tokenizer: !new:gatedrnn.tasks.asr.speechbrain_export.BundleTokenizer
decoding_function: !name:speechbrain.decoders.ctc_greedy_decode
    blank_id: 0

modules:
    encoder: !ref <encoder>

pretrainer: !new:gatedrnn.tasks.asr.speechbrain_export.BundleReader
    encoder: !ref <encoder>
    tokenizer: !ref <tokenizer>

audio_normalizer: !new:speechbrain.dataio.preprocess.AudioNormalizer
    sample_rate: {sample_rate}
"""


@dataclass(frozen=True)
class RecognizerSpec(ModelSpec):
    """Specification of a recognizer.

    Arguments
    ---------
    vocabulary : int
        Number of tokens, with the blank.
    acoustic : Mapping
        Arguments of :class:`~gatedrnn.tasks.asr.model.CTCModel`, without ``vocabulary``,
        ``encoder`` and initial values.
    head : str
        ``"ctc"``, ``"attention"`` or ``"transducer"``.
    head_options : Mapping
        Arguments of the head's model, without the acoustic model and the vocabulary.
    features : Mapping
        Arguments of :class:`~gatedrnn.modules.features.LogMel`.
    normalisation : str
        ``"sentence"``: by each utterance's own mean and variance; ``"global"``: by those of the
        training data.

    Raises
    ------
    ValueError
        If a key is unknown or a value is refused.

    Example
    -------
    >>> spec = RecognizerSpec(30, {"num_layers": 2, "hidden_size": 16, "proj_size": 8})
    >>> RecognizerSpec.from_dict(spec.to_dict()) == spec
    True
    >>> spec.build().output
    Linear(in_features=8, out_features=30, bias=True)
    """

    vocabulary: Annotated[int, Range(1, WIDEST)]
    acoustic: Mapping[str, Any] = field(default_factory=dict)
    head: Annotated[str, Choices(*HEADS)] = "ctc"
    head_options: Mapping[str, Any] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)
    normalisation: Annotated[str, Choices("sentence", "global")] = "sentence"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_model_arguments(CTCModel, self.acoustic, "acoustic", _LEFT_OUT)
        if HEADS[self.head] is CTCModel:
            check_keys(self.head_options, (), "head_options")
        else:
            check_model_arguments(HEADS[self.head], self.head_options, "head_options", _LEFT_OUT)
        check_model_arguments(LogMel, self.features, "features")
        bands, width = self.features.get("n_mels", 80), self.acoustic.get("input_size", 80)
        if bands != width:
            raise ValueError(f"n_mels is {bands}, but the acoustic model's input_size is {width}")

    def build(self) -> nn.Module:
        """Makes the model, with weights to be trained or loaded."""
        try:
            acoustic = CTCModel(self.vocabulary, **self.acoustic)
            return add_head(self.head, acoustic, self.vocabulary, **self.head_options)
        except TypeError as error:
            raise ValueError(f"this model cannot be built: {error}") from error

    def build_features(self) -> LogMel:
        """Makes the features."""
        return LogMel(**self.features)


def describe_recognizer(hparams: Mapping[str, Any], vocabulary: int) -> RecognizerSpec:
    """The specification of a YAML's model.

    Raises a ValueError if the model or its features are not made by this package alone, so that no
    file can describe them.
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
    return RecognizerSpec(
        vocabulary=vocabulary,
        acoustic={name: value for name, value in acoustic.items() if name not in _LEFT_OUT},
        head=head,
        head_options=options,
        features=features.describe(),
        normalisation=getattr(hparams["normalize"], "norm_type", "none"),
    )


@dataclass(frozen=True)
class RecognizerConfig(BundleConfig):
    """Config of a recognizer's bundle; see also :class:`~gatedrnn.bundle.format.BundleConfig`.

    Arguments
    ---------
    model : RecognizerSpec
        The recognizer.
    search : SearchOptions
        Search of the training's test; ``lm_mode`` is None if there is no language model in the
        subfolder ``lm``. A ValueError if such a recognizer cannot use a language model so.
    """

    model: RecognizerSpec
    search: SearchOptions = field(default_factory=SearchOptions)

    FORMAT = "gatedrnn-recogniser"
    VERSION = 2
    MORE_KEYS = ("language_model",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.search.lm_mode is not None:
            try:
                self.search.check_language_model(self.model.head)
            except ValueError as error:
                raise ValueError(f"language_model: {error}") from error

    def version(self) -> int:
        """Older programs read a bundle without a language model."""
        return 1 if self.search.lm_mode is None else 2

    def description(self) -> dict[str, Any]:
        """The search without options at their defaults, which older programs do not know."""
        values = asdict(self.search)
        language_model = {name: values.pop(f"lm_{name}") for name in _LM_KEYS}
        options = {name: v for name, v in values.items() if v != getattr(SearchOptions, name)}
        own = {
            "model": self.model.to_dict(),
            "search": {"beam_size": self.search.beam_size, **options},
        }
        if self.search.lm_mode is not None:
            own["language_model"] = {"folder": LM_FOLDER, **language_model}
        return own

    @classmethod
    def upgraded(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Puts ``language_model`` of the file into the search."""
        options = data.get("search", {})
        known = [name for name in SearchOptions.__dataclass_fields__ if not name.startswith("lm_")]
        if isinstance(options, Mapping):
            check_keys(options, known, "search")
        search = from_mapping(SearchOptions, options, "search")
        if "language_model" in data:
            search = _with_lm_options(search, data.pop("language_model"))
        return data | {"search": search}


def _with_lm_options(search: SearchOptions, options: Any) -> SearchOptions:
    if not isinstance(options, Mapping):
        raise ConfigError(
            f"language_model: must be an object with named values, not {options!r:.80}"
        )
    check_keys(options, ("folder", *_LM_KEYS), "language_model")
    if options.get("folder") != LM_FOLDER:
        raise ConfigError(
            f"language_model: folder must be {LM_FOLDER!r}, in the bundle's own folder, not "
            f"{options.get('folder')!r:.80}"
        )
    if options.get("mode") is None:
        raise ConfigError("language_model: mode must be fusion or rescoring, not None")
    values = {f"lm_{name}": options[name] for name in _LM_KEYS if name in options}
    try:
        return replace(search, **values)
    except ValueError as error:
        raise ConfigError(f"language_model: {str(error).removeprefix('lm_')}") from error


@dataclass(frozen=True)
class Bundle:
    """A recognizer, ready to run; ``config.search`` has the options of its language model."""

    config: RecognizerConfig
    tokens: Tokens
    frontend: Frontend
    model: nn.Module
    language_model: LanguageModel | None = None

    def with_language_model(self, language_model: LanguageModel, options: SearchOptions) -> Bundle:
        """The same recognizer with a language model, instead of its own if it has one.

        language_model: the language model
        options: options of the search, with ``lm_mode``, width of the beam and weights

        Raises a ValueError if the recognizer cannot use the language model so.
        """
        ExternalLM(language_model, options, self.tokens)
        config = replace(self.config, search=options)
        return replace(self, config=config, language_model=language_model)

    def without_language_model(self) -> Bundle:
        """The same recognizer without a language model."""
        config = replace(self.config, search=replace(self.config.search, lm_mode=None))
        return replace(self, config=config, language_model=None)


@dataclass(frozen=True)
class WithLanguageModel:
    """A language model that is exported with a recognizer.

    folder: its bundle, or the output folder of its training
    mode: ``lm_mode`` of :class:`~gatedrnn.tasks.asr.decode.SearchOptions`; None: fusion for head
        ``ctc``, rescoring for others
    beam_size: None for that of the training's test
    """

    folder: str | Path
    weights: LMWeights = LMWeights()
    mode: str | None = None
    beam_size: int | None = None


class RecognizerKind(BundleKind[Bundle]):
    """Bundles of recognizers."""

    task, noun, config = "asr", "recogniser", RecognizerConfig
    old_metric = ("WER", False)
    export_options = ("onnx", "lm")
    command = "transcribe {} FILE_OR_FOLDER_OR_MANIFEST..."
    result = "WER {[WER]:.2f} %"

    def describes(self, description: Mapping[str, Any]) -> bool:
        """See :meth:`BundleKind.describes`; older ones have no ``kind``."""
        if "task" in description:
            return description["task"] == self.task
        return "kind" not in description

    def load_tokens(self, name: str, path: Path, config: Any, model_file: str) -> Tokens:
        return load(path, BLANK_NAME, config.model.vocabulary, model_file)

    def make(self, config: Any, model: nn.Module, tokens: Any, tensors: Any) -> Bundle:
        statistics = (tensors[MEAN], tensors[STD]) if tensors else None
        frontend = Frontend(config.model.build_features(), statistics)
        return Bundle(config, tokens["tokens"], frontend, model)

    def tensor_shapes(self, config: RecognizerConfig) -> dict[str, tuple[int, ...]]:
        """Mean and standard deviation of the features, if they are those of the training data."""
        if config.model.normalisation != "global":
            return {}
        bands = (config.model.features.get("n_mels", 80),)
        return {MEAN: bands, STD: bands}

    def tensors(self, bundle: Bundle) -> dict[str, torch.Tensor]:
        statistics = bundle.frontend.statistics
        return {} if statistics is None else dict(zip((MEAN, STD), statistics, strict=True))

    def read_more(self, folder: Path, bundle: Bundle) -> Bundle:
        """Reads the language model."""
        if bundle.config.search.lm_mode is None:
            return bundle
        language_model = LANGUAGE_MODEL.read(folder / LM_FOLDER)
        try:
            return bundle.with_language_model(language_model, bundle.config.search)
        except ValueError as error:
            raise ValueError(f"{folder / LM_FOLDER}: {error}") from error

    def write_more(self, draft: Path, bundle: Bundle) -> None:
        """Writes the language model."""
        if bundle.language_model is not None:
            LANGUAGE_MODEL.write(draft / LM_FOLDER, bundle.language_model)

    def more_texts(self, name: str, bundle: Bundle) -> dict[str, str]:
        """The card, and for CTC the YAML of SpeechBrain's ``EncoderASR``."""
        texts = super().more_texts(name, bundle)
        if bundle.config.model.head == CTCModel.head:
            rate = bundle.frontend.sample_rate
            texts["hyperparams.yaml"] = HYPERPARAMS.format(name=name, sample_rate=rate)
        return texts

    def upgraded_description(self, description: dict[str, Any]) -> dict[str, Any]:
        """Older ones have the keys of ``model`` at the top, and a ``beam_size``."""
        beam_size = description.pop("beam_size", 1)
        return {"model": description, "search": {"beam_size": beam_size}}

    def recoverables(self, config: RecognizerConfig) -> dict[str, Any]:
        """The normalization of the features."""
        return {"normalize": InputNormalization(norm_type=config.model.normalisation)}

    def recovered_tensors(
        self, config: RecognizerConfig, recoverables: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Mean and standard deviation of the features."""
        if config.model.normalisation != "global":
            return {}
        normalize = recoverables["normalize"]
        return {MEAN: normalize.glob_mean, STD: normalize.glob_std}

    def export(
        self,
        results: str | Path,
        description: Mapping[str, Any],
        folder: str | Path,
        overwrite: bool = False,
        onnx: bool = False,
        lm: WithLanguageModel | None = None,
    ) -> Bundle:
        """See :meth:`BundleKind.export`; optionally with a language model, and as ONNX."""
        from gatedrnn.tasks.asr.onnx_export import export_encoder, export_step
        from gatedrnn.tasks.asr.onnx_graph import need

        if onnx:
            need("onnx")
            need("onnxruntime")
        bundle = self.from_training(results, description)
        if lm is not None:
            bundle = _with_language_model(bundle, lm)
        texts = self.more_texts(Path(folder).name, bundle)
        bundle = replace(bundle, config=self.write(folder, bundle, texts, overwrite))
        if onnx:
            acoustic = getattr(bundle.model, "acoustic", bundle.model).eval()
            bands = bundle.config.model.features.get("n_mels")
            export_encoder(acoustic, Path(folder) / ENCODER, bands)
            if not acoustic.encoder.bidirectional:
                export_step(acoustic, Path(folder) / STEP)
        return bundle

    def headline(self, config: RecognizerConfig) -> str:
        return f"head {config.model.head}, {config.model.vocabulary} tokens"

    def details(self, config: RecognizerConfig) -> list[str]:
        """The language model."""
        search = config.search
        if search.lm_mode is None:
            return []
        return [
            f"language model: {search.lm_mode}, weight {search.lm_weight:g}, insertion "
            f"{search.lm_insertion:g}, a beam of {search.beam_size}"
        ]

    def card(self, name: str, bundle: Bundle) -> str:
        spec, training = bundle.config.model, bundle.config.training
        acoustic = {"network": "residual", "num_layers": 10, "hidden_size": 256, **spec.acoustic}
        direction = "in both directions"
        if not acoustic.get("bidirectional", False):
            direction = "in one direction: it can stream"
            if not _streams(spec):
                direction = "in one direction, but its features or head need the whole utterance"
        summary = (
            f"A speech recognizer: {acoustic['num_layers']} layers of `{acoustic['network']}`, "
            f"{acoustic['hidden_size']} cells each, {direction}; head `{spec.head}`, "
            f"{spec.vocabulary} tokens, {parameters(bundle.model):,} parameters."
        )
        if bundle.language_model is not None:
            summary += f"\n\n{_lm_summary(bundle.config.search, bundle.language_model)}"
        columns = {
            "set": "",
            "utterances": "{[utterances]}",
            "words": "{[words]}",
            "WER %": "{[WER]:.2f}",
            "greedy WER %": "{[greedy WER]:.2f}",
            "sub": "{[substitutions]}",
            "del": "{[deletions]}",
            "ins": "{[insertions]}",
        }
        return model_card(
            name,
            summary,
            [
                f"    gatedrnn transcribe {name} a.wav folder/",
                "",
                "```python",
                "from gatedrnn.tasks.asr import Recognizer, transcribe_file",
                "",
                f'recognizer = Recognizer.load("{name}")',
                'print(transcribe_file(recognizer, "a.wav").text)',
                "```",
            ],
            result_lines(
                training,
                "Word error rates of the training's own test, with its beam search:",
                columns,
                validation_line(training, "Word error rate of the validation set, in %"),
            ),
        )


def _with_language_model(bundle: Bundle, lm: WithLanguageModel) -> Bundle:
    search, weights = bundle.config.search, lm.weights
    language_model = load_language_model(lm.folder)
    options = replace(
        search,
        beam_size=search.beam_size if lm.beam_size is None else lm.beam_size,
        lm_mode=lm.mode or (FUSION if bundle.config.model.head == CTCModel.head else RESCORING),
        lm_weight=weights.weight,
        lm_insertion=weights.insertion,
        lm_internal=weights.internal,
    )
    try:
        return bundle.with_language_model(language_model, options)
    except ValueError as error:
        raise ValueError(f"{lm.folder}: {error}") from error


def _streams(spec: RecognizerSpec) -> bool:
    no_floor = spec.features.get("dynamic_range", 80.0) == 0
    return spec.head in ("ctc", "transducer") and spec.normalisation == "global" and no_floor


def _lm_summary(search: SearchOptions, lm: LanguageModel) -> str:
    spec = lm.config.model
    options = {"network": "lstmp", "num_layers": 2, "hidden_size": 650, **spec.model}
    where = "in its search" if search.lm_mode == FUSION else "on the n-best lists of its search"
    internal = f", internal {-search.lm_internal:g}" if search.lm_internal else ""
    return (
        f"With a language model (`{LM_FOLDER}`: {options['num_layers']} layers of "
        f"`{options['network']}`, {options['hidden_size']} cells each; {spec.vocabulary} tokens "
        f"({lm.tokens.kind}), {parameters(lm.model):,} parameters), used {where}: weight "
        f"{search.lm_weight:g}, insertion {search.lm_insertion:g}{internal}, a beam of "
        f"{search.beam_size}. `--no-lm` leaves it out. The error rates below are without it."
    )


RECOGNIZER = RecognizerKind()
BUNDLE_KINDS = (RECOGNIZER,)
read_bundle, load_recognizer = RECOGNIZER.read, RECOGNIZER.load


def write_bundle(
    folder: str | Path,
    config: RecognizerConfig,
    tokens: Tokens,
    model: nn.Module,
    statistics: tuple[torch.Tensor, torch.Tensor] | None = None,
    more: Mapping[str, str] | None = None,
    overwrite: bool = False,
    language_model: LanguageModel | None = None,
) -> RecognizerConfig:
    """Writes a bundle of a recognizer; see :meth:`~gatedrnn.bundle.kind.BundleKind.write`.

    ``statistics`` are mean and standard deviation of the features, each (features,), for
    ``normalisation: global``; ``language_model`` is the one that ``config.search`` has the options
    of.

    Example
    -------
    >>> from gatedrnn.tokens import Characters
    >>> tokens = Characters.learn(["GO ON"])
    >>> spec = RecognizerSpec(len(tokens), {"num_layers": 1, "hidden_size": 4, "proj_size": 2})
    >>> folder = getfixture("tmp_path") / "bundle"
    >>> _ = write_bundle(folder, RecognizerConfig(spec), tokens, spec.build())
    >>> sorted(path.name for path in folder.iterdir())
    ['config.json', 'model.safetensors', 'tokens.json']
    >>> read_bundle(folder).tokens.names
    ['<blank>', ' ', 'G', 'N', 'O']
    """
    if (language_model is None) != (config.search.lm_mode is None):
        raise ValueError("a language model and its options (config.search.lm_mode) go together")
    frontend = Frontend(config.model.build_features(), statistics)
    bundle = Bundle(config, tokens, frontend, model, language_model)
    return RECOGNIZER.write(folder, bundle, more, overwrite)
