"""Training of speech recognizers, whatever their head."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from speechbrain.utils.distributed import if_main_process, run_on_main
from speechbrain.utils.logger import get_logger
from torch import nn

from gatedrnn.tasks.asr.brain import RecogniserBrain
from gatedrnn.tasks.asr.bundle import RecognizerConfig, describe_recognizer
from gatedrnn.tasks.asr.decode import SearchOptions
from gatedrnn.tasks.asr.heads import head_name, make_model
from gatedrnn.tasks.asr.rescoring import check_language_model, rescore_tests
from gatedrnn.tokens import BLANK_NAME, learn_once, load
from gatedrnn.training.checkpoints import load_parts
from gatedrnn.training.fit import Training
from gatedrnn.training.launch import run_recipe

logger = get_logger(__name__)

#: Prefixes of the weights of the encoder, and of the acoustic model in a model with a head.
_ENCODER_PARTS, _ACOUSTIC = ("subsampling.", "encoder."), "acoustic."


def load_encoder(acoustic: nn.Module, source: str | Path) -> Path:
    """Loads subsampling and recurrent stack of another training.

    ``source`` is as in :func:`~gatedrnn.training.checkpoints.load_parts`.
    """
    remedy = "Give the network, num_layers, sizes and subsampling that it was trained with"
    best = {"min_key": "WER"}
    return load_parts(acoustic, source, _ENCODER_PARTS, best, remedy, _ACOUSTIC)


class Speech(Protocol):
    """Utterances to train on or to recognise: a map-style dataset that knows its durations."""

    durations: Sequence[float]
    texts: Sequence[str]

    def __len__(self) -> int:
        """Number of utterances."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        """``{"id": str, "sig": (samples,) tensor, "words": list of str}``."""


class Tokenised(torch.utils.data.Dataset):
    """Utterances with the tokens of their transcripts."""

    def __init__(self, speech: Speech, tokens: Any) -> None:
        self.speech, self.tokens = speech, tokens

    def __len__(self) -> int:
        return len(self.speech)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.speech[index]
        tokens = self.tokens.encode(" ".join(item["words"]))
        return {**item, "tokens": torch.tensor(tokens, dtype=torch.long)}

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch of the utterances: simulated distortions differ from epoch to epoch."""
        if hasattr(self.speech, "set_epoch"):
            self.speech.set_epoch(epoch)


class RecogniserTraining(Training):
    """A training on the sets ``train`` and ``dev``; all sets but ``train`` are tested.

    Of the YAML it takes ``tokens`` (and ``pieces``), what
    :func:`~gatedrnn.tasks.asr.heads.make_model` takes, ``normalize``, and optionally
    ``pretrained_encoder``, for :func:`load_encoder`, and
    ``language_model``, which rescores the tests: see
    :func:`~gatedrnn.tasks.asr.rescoring.check_language_model`.
    """

    task = "asr"
    brain_class = RecogniserBrain
    data: Mapping[str, Speech]

    def __init__(self, hparams: Mapping[str, Any], run_opts: Any, data: Mapping[str, Any]) -> None:
        super().__init__(hparams, run_opts, data)
        check_language_model(hparams)

    def make_tokens(self) -> None:
        """Learns the tokens of the training transcripts."""
        kind, pieces = self.hparams.get("tokens", "characters"), self.hparams.get("pieces", 500)
        path, texts = self.folder / "tokens.json", self.data["train"].texts
        learn_once(path, texts, kind, BLANK_NAME, pieces=int(pieces))

    def prepare(self) -> None:
        """Loads the tokens."""
        self.tokens = load(self.folder / "tokens.json", BLANK_NAME)
        if if_main_process():
            _report_unknown(self.tokens, self.data)

    def make_model(self) -> nn.Module:
        """Makes the model, with the pretrained encoder."""
        model = make_model(self.hparams, len(self.tokens))
        pretrained = self.hparams.get("pretrained_encoder")
        if pretrained is not None:
            # A checkpoint of this training, if there is one, takes its place when training begins.
            load_encoder(getattr(model, "acoustic", model), pretrained)
        return model

    def modules(self) -> dict[str, nn.Module]:
        """The model and the normalization of its features."""
        return {"model": self.model, "normalize": self.hparams["normalize"]}

    def brain_options(self) -> dict[str, Any]:
        """The tokens."""
        return {"tokens": self.tokens}

    def describe(self) -> dict[str, Any]:
        """The model and its features."""
        spec = describe_recognizer(self.hparams, len(self.tokens))
        search = SearchOptions(beam_size=int(self.hparams.get("beam_size", 1)))
        return RecognizerConfig(spec, search).description()

    def valid_loader(self, brain: RecogniserBrain) -> Any:
        """Loader of the validation utterances."""
        return self._loader("dev", brain.evaluation_loader)

    def train_loader(self, brain: RecogniserBrain) -> Any:
        """Loader of the training utterances."""
        return self._loader("train", brain.training_loader)

    def _loader(self, name: str, make: Callable[..., Any]) -> Any:
        return make(Tokenised(self.data[name], self.tokens), self.data[name].durations)

    def test(self, brain: RecogniserBrain, valid_loader: Any) -> dict[str, dict[str, Any]]:
        """Tests all sets but ``train``, ``dev`` first."""
        tests = [name for name in self.data if name not in ("train", "dev")]
        loaders = {name: self._loader(name, brain.evaluation_loader) for name in tests}
        loaders = {"dev": valid_loader, **loaders}
        metrics = {n: brain.test(n, loader, self.folder) for n, loader in loaders.items()}
        self.device = brain.device
        return metrics

    def results(self) -> dict[str, Any]:
        """Head, size of the vocabulary and kind of the recurrence."""
        encoder = self.model.encoder
        recurrence = hasattr(encoder, "layer")
        return {
            "head": head_name(self.hparams),
            "vocabulary": len(self.tokens),
            "model": str(encoder.layer(0).cell) if recurrence else type(encoder).__name__,
        }

    def write_results(self, results: dict[str, Any]) -> None:
        """Writes ``results.json``, then again with the rescored tests."""
        super().write_results(results)
        language_model = self.hparams.get("language_model")
        if language_model is not None:
            rescored = rescore_tests(self.folder, language_model, results["sets"], self.device)
            super().write_results({**results, "rescored": rescored})


def train_asr(
    arguments: Sequence[str],
    prepare: Callable[[Mapping[str, Any]], Mapping[str, Path]],
    read: Callable[[Path, str, Mapping[str, Any]], Speech],
) -> dict[str, Any]:
    """Trains and tests a recogniser.

    Arguments
    ---------
    arguments : sequence of str
        Of the command line: a YAML file, and what to override in it.
    prepare : callable
        Prepares the corpus, on the first process; name of a set -> its list of utterances. There
        must be ``"train"`` and ``"dev"``; all others are tested.
    read : callable
        Makes the dataset of a list, given the list, the name of the set and the YAML's values.

    Returns
    -------
    dict
        Figures of every test set.
    """

    def work(hparams: dict[str, Any], run_opts: Any) -> dict[str, Any]:
        lists = run_on_main(prepare, args=[hparams])
        missing = {"train", "dev"} - set(lists)
        if missing:
            raise ValueError(f"the preparation gave no set {' and no set '.join(sorted(missing))}")
        sets = {name: read(path, name, hparams) for name, path in lists.items()}
        return RecogniserTraining(hparams, run_opts, sets).run()

    return run_recipe(arguments, work)


def _report_unknown(tokens: Any, sets: Mapping[str, Speech]) -> None:
    for name, speech in sets.items():
        unknown = Counter(part for text in speech.texts for part in tokens.unknown(text))
        if unknown:
            most = ", ".join(f"{c!r} ({n} times)" for c, n in unknown.most_common(8))
            logger.warning(f"{name}: not among the tokens, and left out: {most}")
