"""Training of recognizers with any head, and its results as text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch
from speechbrain.utils.distributed import if_main_process, run_on_main
from speechbrain.utils.logger import get_logger
from torch import nn

from gatedrnn.data.result_table import ResultTable
from gatedrnn.scoring.alignment import RULES, align
from gatedrnn.tasks.asr.brain import RecogniserBrain
from gatedrnn.tasks.asr.bundle import RecognizerConfig, describe_recognizer
from gatedrnn.tasks.asr.decode import SearchOptions
from gatedrnn.tasks.asr.heads import head_name, make_model
from gatedrnn.tasks.asr.language_model import check_language_model, rescore_tests
from gatedrnn.tokens import BLANK_NAME, learn_once, load
from gatedrnn.training.checkpoints import load_parts
from gatedrnn.training.fit import Training
from gatedrnn.training.launch import run_recipe

logger = get_logger(__name__)
#: Prefixes of the weights of the encoder, and of the acoustic model in a model with a head.
_ENCODER_PARTS, _ACOUSTIC = ("subsampling.", "encoder."), "acoustic."
#: Stands for a deleted or an inserted word.
NOTHING = "***"


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
    :func:`~gatedrnn.tasks.asr.language_model.check_language_model`.
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
        """The model, its features, and the search of its test."""
        spec = describe_recognizer(self.hparams, len(self.tokens))
        # A language model in the test's search is no part of the recognizer.
        search = replace(SearchOptions.from_hparams(self.hparams), lm_mode=None)
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
    """Trains and tests a recognizer; returns the metrics of every test set.

    Arguments
    ---------
    arguments : sequence of str
        Of the command line: a YAML file, and what to override in it.
    prepare : callable
        Prepares the corpus, on the first process; name of a set -> its list of utterances. There
        must be ``"train"`` and ``"dev"``; all others are tested.
    read : callable
        Makes the dataset of a list, given the list, the name of the set and the YAML's values.
    """

    def work(hparams: dict[str, Any], run_opts: Any) -> dict[str, Any]:
        lists = run_on_main(prepare, args=[hparams])
        missing = {"train", "dev"} - set(lists)
        if missing:
            raise ValueError(f"the preparation gave no set {' and no set '.join(sorted(missing))}")
        sets = {name: read(path, name, hparams) for name, path in lists.items()}
        return RecogniserTraining(hparams, run_opts, sets).run()

    return run_recipe(arguments, work)


def load_encoder(acoustic: nn.Module, source: str | Path) -> Path:
    """Loads subsampling and recurrent stack of another training.

    ``source`` is as in :func:`~gatedrnn.training.checkpoints.load_parts`.
    """
    remedy = "Give the network, num_layers, sizes and subsampling that it was trained with"
    best = {"min_key": "WER"}
    return load_parts(acoustic, source, _ENCODER_PARTS, best, remedy, _ACOUSTIC)


def table(
    sets: Mapping[str, Mapping[str, float]],
    rescored: Mapping[str, Mapping[str, float]] | None = None,
) -> str:
    """Word error rates of ``"sets"`` of ``results.json``, and of the ``"sets"`` after rescoring."""
    result = ResultTable(["set", "utterances", "words", "WER %", "sub", "del", "ins"])
    keys = ("utterances", "words", "WER", "substitutions", "deletions", "insertions")
    for name in sets:
        for label, rows in ((name, sets), (f"{name}, rescored", rescored or {})):
            if name in rows:
                result.add(label, *(rows[name][key] for key in keys))
    return result.text()


def read_n_best(path: str | Path) -> list[dict[str, Any]]:
    """The records of ``nbest_SET.jsonl`` of a training's folder."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def side_by_side(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[str, str]:
    """Two lines with aligned words; wrong words of the hypothesis are in lower case.

    Example
    -------
    >>> reference, hypothesis = "WE NEED A NEW BUTTON".split(), "WE NEED NEW PATTERN".split()
    >>> print("\\n".join(side_by_side(reference, hypothesis)))
    WE NEED A   NEW BUTTON
    WE NEED *** NEW pattern
    """
    columns = []
    for above, below in align(reference, hypothesis, RULES["levenshtein"]):
        shown = NOTHING if below is None else below if above == below else below.lower()
        columns.append((NOTHING if above is None else above, shown))
    widths = [max(map(len, column)) for column in columns]
    above, below = (
        " ".join(c[row].ljust(w) for c, w in zip(columns, widths, strict=True)).rstrip()
        for row in (0, 1)
    )
    return above, below


def transcripts(records: Sequence[Mapping[str, Any]], count: int = 6, words: int = 12) -> str:
    """Reference and hypothesis of some n-best records, evenly spaced over the set.

    Only those with 3 to ``words`` words are shown, so that they fit a line.

    Example
    -------
    >>> print(transcripts([{"id": "a", "ref": "GO ON NOW", "hyps": [{"text": "GO ON"}]}]))
    a
      reference   GO ON NOW
      hypothesis  GO ON ***
    """
    fitting = [r for r in records if 3 <= len(r["ref"].split()) <= words]
    fitting.sort(key=lambda r: r["id"])
    step = max(1, len(fitting) // max(1, count))
    lines = []
    for record in fitting[::step][:count]:
        above, below = side_by_side(record["ref"].split(), record["hyps"][0]["text"].split())
        lines += [record["id"], f"  reference   {above}", f"  hypothesis  {below}"]
    return "\n".join(lines)


def _report_unknown(tokens: Any, sets: Mapping[str, Speech]) -> None:
    for name, speech in sets.items():
        unknown = Counter(part for text in speech.texts for part in tokens.unknown(text))
        if unknown:
            most = ", ".join(f"{c!r} ({n} times)" for c, n in unknown.most_common(8))
            logger.warning(f"{name}: not among the tokens, and left out: {most}")
