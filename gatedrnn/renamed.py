"""Dotted names of earlier releases, which YAML files, bundles and scripts of users still have."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

#: Old dotted name of a class or function -> where it is now. Names that stood in the YAML files of
#: recipes, in ``hyperparams.yaml`` of bundles, or in the README's examples.
RENAMED = {
    "gatedrnn.dataio.text.Text": "gatedrnn.data.tables.Text",
    "gatedrnn.decoding.Hypothesis": "gatedrnn.tokens.hypotheses.Hypothesis",
    "gatedrnn.decoding.TransducerBeamSearcher": (
        "gatedrnn.lobes.transducer_search.TransducerBeamSearcher"
    ),
    "gatedrnn.inference.Bundle": "gatedrnn.tasks.asr.bundle.Bundle",
    "gatedrnn.inference.Failure": "gatedrnn.tasks.asr.apply.Failure",
    "gatedrnn.inference.Item": "gatedrnn.tasks.asr.inputs.Item",
    "gatedrnn.inference.Reading": "gatedrnn.tasks.asr.apply.RecognitionResult",
    "gatedrnn.inference.Recogniser": "gatedrnn.tasks.asr.apply.Recognizer",
    "gatedrnn.inference.Segment": "gatedrnn.tasks.asr.writers.TranscriptSegment",
    "gatedrnn.inference.SegmentationOptions": (
        "gatedrnn.tasks.asr.segmentation.SegmentationOptions"
    ),
    "gatedrnn.inference.Streamer": "gatedrnn.tasks.asr.streaming.Streamer",
    "gatedrnn.inference.Transcript": "gatedrnn.tasks.asr.writers.Transcript",
    "gatedrnn.inference.TranscriptionOptions": "gatedrnn.tasks.asr.apply.TranscriptionOptions",
    "gatedrnn.inference.export": "gatedrnn.tasks.registry.export",
    "gatedrnn.inference.find_items": "gatedrnn.tasks.asr.inputs.find_items",
    "gatedrnn.inference.read_bundle": "gatedrnn.tasks.asr.bundle.read_bundle",
    "gatedrnn.inference.transcribe": "gatedrnn.tasks.asr.apply.transcribe",
    "gatedrnn.inference.transcribe_file": "gatedrnn.tasks.asr.apply.transcribe_file",
    "gatedrnn.inference.write_bundle": "gatedrnn.tasks.asr.bundle.write_bundle",
    "gatedrnn.inference.stock.BundleEncoder": (
        "gatedrnn.tasks.asr.speechbrain_export.BundleEncoder"
    ),
    "gatedrnn.inference.stock.BundleReader": "gatedrnn.tasks.asr.speechbrain_export.BundleReader",
    "gatedrnn.inference.stock.BundleTokenizer": (
        "gatedrnn.tasks.asr.speechbrain_export.BundleTokenizer"
    ),
    "gatedrnn.inference.speechbrain_lm.RNNLMRescorer": (
        "gatedrnn.tasks.language_modeling.apply.RNNLMRescorer"
    ),
    "gatedrnn.inference.speechbrain_lm.SearchModel": (
        "gatedrnn.tasks.language_modeling.apply.SearchModel"
    ),
    "gatedrnn.lobes.AttentionModel": "gatedrnn.tasks.asr.heads.attention.AttentionModel",
    "gatedrnn.lobes.CTCModel": "gatedrnn.tasks.asr.model.CTCModel",
    "gatedrnn.lobes.ConvSubsampling": "gatedrnn.modules.features.ConvSubsampling",
    "gatedrnn.lobes.FrameStacking": "gatedrnn.modules.features.FrameStacking",
    "gatedrnn.lobes.LogMel": "gatedrnn.modules.features.LogMel",
    "gatedrnn.lobes.SequenceClassifier": "gatedrnn.tasks.classification.model.SequenceClassifier",
    "gatedrnn.lobes.SequenceModel": "gatedrnn.tasks.music.model.SequenceModel",
    "gatedrnn.lobes.TextModel": "gatedrnn.tasks.language_modeling.model.TextModel",
    "gatedrnn.lobes.TransducerModel": "gatedrnn.tasks.asr.heads.transducer.TransducerModel",
    "gatedrnn.lobes.WordEmbedding": "gatedrnn.tasks.classification.model.WordEmbedding",
    "gatedrnn.training.AttentionModel": "gatedrnn.tasks.asr.heads.attention.AttentionModel",
    "gatedrnn.training.CTCBrain": "gatedrnn.tasks.asr.brain.RecogniserBrain",
    "gatedrnn.training.CTCModel": "gatedrnn.tasks.asr.model.CTCModel",
    "gatedrnn.training.ConvSubsampling": "gatedrnn.modules.features.ConvSubsampling",
    "gatedrnn.training.FrameStacking": "gatedrnn.modules.features.FrameStacking",
    "gatedrnn.training.GuardedBrain": "gatedrnn.training.brain.Brain",
    "gatedrnn.training.HeadBrain": "gatedrnn.tasks.asr.brain.RecogniserBrain",
    "gatedrnn.training.RecogniserBrain": "gatedrnn.tasks.asr.brain.RecogniserBrain",
    "gatedrnn.training.TransducerModel": "gatedrnn.tasks.asr.heads.transducer.TransducerModel",
    "gatedrnn.training.optimisers.make_decay": "gatedrnn.training.optimizers.make_decay",
    "gatedrnn.training.optimisers.make_optimiser": "gatedrnn.training.optimizers.make_optimiser",
    "gatedrnn.training.data.distant_speech": "gatedrnn.tasks.asr.corpora.distant_speech",
    "gatedrnn.training.scheduled_sampling.ScheduledSampling": (
        "gatedrnn.seq2seq.brain.ScheduledSampling"
    ),
    "gatedrnn.training.tokens.Characters": "gatedrnn.tokens.Characters",
    "gatedrnn.training.train_asr": "gatedrnn.tasks.asr.train.train_asr",
    # The README's examples.
    "gatedrnn.decoding.captions.CaptionSearch": "gatedrnn.seq2seq.search.SearchOptions",
    "gatedrnn.decoding.captions.search": "gatedrnn.seq2seq.search.search",
    "gatedrnn.decoding.nbest.Candidate": "gatedrnn.tasks.language_modeling.rescoring.Candidate",
    "gatedrnn.decoding.nbest.NBest": "gatedrnn.tasks.language_modeling.rescoring.NBest",
    "gatedrnn.decoding.rescoring.score_lists": (
        "gatedrnn.tasks.language_modeling.rescoring.score_lists"
    ),
    "gatedrnn.decoding.rescoring.tune": "gatedrnn.tasks.language_modeling.rescoring.tune",
    "gatedrnn.inference.config.BundleConfig": "gatedrnn.tasks.asr.bundle.RecognizerConfig",
    "gatedrnn.inference.frontend.Frontend": "gatedrnn.tasks.asr.model.Frontend",
    "gatedrnn.lobes.captions.CaptionDecoder": "gatedrnn.seq2seq.decoder.Decoder",
    "gatedrnn.lobes.captions.Captioner": "gatedrnn.tasks.captioning.model.Captioner",
    "gatedrnn.lobes.captions.ImageEncoder": "gatedrnn.tasks.captioning.model.ImageEncoder",
    "gatedrnn.lobes.specification.RecogniserSpec": "gatedrnn.tasks.asr.bundle.RecognizerSpec",
    "gatedrnn.scoring.captions.Captions": "gatedrnn.tasks.captioning.metrics.Captions",
    "gatedrnn.scoring.captions.Options": "gatedrnn.tasks.captioning.metrics.CaptionScoreOptions",
    "gatedrnn.scoring.captions.score": "gatedrnn.tasks.captioning.metrics.score_captions",
    "gatedrnn.training.text_tokens.TextWords": "gatedrnn.tokens.Words",
}


def resolve(name: str) -> Any:
    """The class or function that an old dotted name stands for; warns of it."""
    target = RENAMED[name]
    warnings.warn(f"{name} is now {target}", FutureWarning, stacklevel=3)
    module, _, attribute = target.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def attributes_of(module: str) -> Callable[[str], Any]:
    """A ``__getattr__`` for a package that names have left."""

    def __getattr__(name: str) -> Any:
        full = f"{module}.{name}"
        if full in RENAMED:
            return resolve(full)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return __getattr__


class _OldModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules that are gone, and gives them the names that users may have of them."""

    def __init__(self) -> None:
        self.names = {
            name[:end]
            for name in RENAMED
            for end, character in enumerate(name)
            if character == "." and end > len("gatedrnn")
        }

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        # Called only for what no other finder has: this one stands last.
        if fullname not in self.names:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def exec_module(self, module: ModuleType) -> None:
        module.__getattr__ = attributes_of(module.__name__)


def install() -> None:
    """Makes old module names importable; done by ``import gatedrnn``."""
    if not any(isinstance(finder, _OldModules) for finder in sys.meta_path):
        sys.meta_path.append(_OldModules())
