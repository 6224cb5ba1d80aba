"""Training of classifiers of sequences."""

from __future__ import annotations

import copy
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import speechbrain as sb
import torch
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger
from speechbrain.utils.seed import seed_everything
from torch import nn

from gatedrnn.bundle.kind import arguments_of
from gatedrnn.cells.registry import find
from gatedrnn.data.files import write_atomically
from gatedrnn.data.report import Report
from gatedrnn.modules.network_options import parameters
from gatedrnn.tasks.classification.bundle import (
    TRAINING_ONLY,
    ClassifierConfig,
    ClassifierSpec,
    EmbeddingSpec,
)
from gatedrnn.tasks.classification.corpora.sentences import read_vectors
from gatedrnn.tasks.classification.data import LabelledSet, SequenceDataset, Splits, collate
from gatedrnn.tasks.classification.decode import accuracy, confusion_matrix
from gatedrnn.tasks.classification.model import Classified, SequenceClassifier, WordEmbedding
from gatedrnn.tokens import EOS_NAME, Tokens, Words, learn_once, read_text_tokens, save
from gatedrnn.training.batching import Batch
from gatedrnn.training.brain import Brain, Objective
from gatedrnn.training.fit import Training, on_main_first, size_within_budget, write_report
from gatedrnn.training.launch import run_recipe
from gatedrnn.training.log import Curve

logger = get_logger(__name__)

Stage = sb.Stage

TOKENS = "tokens.json"

#: Distance of the seeds of two trainings, so that no fold of one is a fold of the other.
_SEEDS_OF_FOLDS = 1000


class ClassifierBrain(Brain):
    """Trains a :class:`~gatedrnn.tasks.classification.model.SequenceClassifier`."""

    valid_metric = "accuracy"
    unit = " %"
    higher_is_better = True
    collate = staticmethod(collate)

    def __init__(self, classes: Sequence[str], hparams: Mapping[str, Any], **kwargs: Any) -> None:
        # What bounds a batch of utterances bounds one of sequences.
        bounds = {
            "max_batch_seconds": float(hparams.get("max_batch_frames") or "inf"),
            "max_batch_size": int(hparams["batch_size"]),
        }
        super().__init__(hparams={**hparams, **bounds}, **kwargs)
        self.classes = tuple(classes)
        self.smoothing = float(getattr(self.hparams, "label_smoothing", 0.0))
        if not 0.0 <= self.smoothing < 1.0:
            raise ValueError(f"label_smoothing must be in [0, 1), not {self.smoothing}")

    # ---- one batch --------------------------------------------------------------------------

    def compute_forward(self, batch: Batch, stage: Stage) -> Classified:
        """Scores the classes."""
        batch = batch.to(self.device)
        return self.network("model", stage)(batch.inputs, batch.lengths)

    def compute_objectives(self, predictions: Classified, batch: Batch, stage: Stage) -> Objective:
        """Sum of the losses over the sequences; outside training it also collects the
        predictions."""
        training = stage == Stage.TRAIN
        scores = predictions.scores.float()
        total = torch.nn.functional.cross_entropy(
            scores,
            batch.labels,
            reduction="sum",
            label_smoothing=self.smoothing if training else 0.0,
        )
        if predictions.auxiliary is not None:
            total = total + predictions.auxiliary
        if not training:
            best = scores.softmax(dim=1).max(dim=1)
            rows = (batch.id, batch.labels.tolist(), best.indices.tolist(), best.values.tolist())
            self.results += [
                dict(zip(("id", "label", "prediction", "probability"), row, strict=True))
                for row in zip(*rows, strict=True)
            ]
        return Objective(total, float(len(batch)))

    # ---- a stage ----------------------------------------------------------------------------

    def validation_metrics(self) -> dict[str, float]:
        """Loss per sequence, and accuracy in per cent."""
        loss, results = self.gathered()
        return {"loss": loss, self.valid_metric: accuracy(results)}

    def test(self, name: str, loader: Any, folder: Path) -> dict[str, float]:
        """Tests the best checkpoint on a set.

        Writes ``confusion_NAME.tsv``, whose rows are the true classes, and ``predictions_NAME.tsv``
        into the folder."""
        loss, results = self.evaluate_best(loader)
        errors = sum(result["label"] != result["prediction"] for result in results)
        metrics = {
            "accuracy": accuracy(results),
            "loss": loss,
            "errors": errors,
            "sequences": len(results),
        }
        if if_main_process():
            path = folder / f"confusion_{name}.tsv"
            write_atomically(path, confusion_matrix(results, self.classes))
            head = "id\tclass\tfound\tprobability\n"
            lines = [
                f"{r['id']}\t{self.classes[r['label']]}\t{self.classes[r['prediction']]}\t"
                f"{r['probability']:.4f}\n"
                for r in results
            ]
            write_atomically(folder / f"predictions_{name}.tsv", head + "".join(lines))
            print(
                f"{name}: accuracy {metrics['accuracy']:.2f} %, {errors} errors in {len(results)} "
                f"({path})"
            )
        return metrics


class ClassifierTraining(Training):
    """A training on :class:`~gatedrnn.tasks.classification.data.Splits`.

    Of the YAML it takes ``model``, which makes the classifier given the number of classes and the
    width of frames or an embedding, and optionally ``parameter_budget``: the maximum number of
    parameters, without the embedding, in place of ``hidden_size``. For sentences it takes
    ``embedding``, which makes it given the number of tokens; ``tokens``, ``min_count`` and
    ``pieces`` (see :func:`gatedrnn.tokens.learn`); and ``vectors``, a file of word vectors, or
    null."""

    task = "classification"
    brain_class = ClassifierBrain
    curve = Curve("accuracy", "accuracy, %", (0, 105))

    def make_tokens(self) -> None:
        """Learns the tokens of sentences; sequences of frames have none.

        With pretrained word vectors, words of the other sets that have a vector are tokens, too."""
        if isinstance(self.data.train.inputs, torch.Tensor):
            return
        path = self.folder / TOKENS
        kind, vectors = self.hparams.get("tokens", "words"), self.hparams.get("vectors")
        if vectors and kind != "words":
            raise ValueError(f"vectors: are those of words, but tokens is {kind}; must be words")
        options = {
            "pieces": int(self.hparams.get("pieces", 1000)),
            "min_count": int(self.hparams.get("min_count", 1)),
        }
        is_learned = path.is_file()
        tokens = learn_once(path, self.data.train.inputs, kind, EOS_NAME, **options)
        if vectors and not is_learned:
            sets = (self.data.valid, *self.data.tests)
            others = {word for part in sets for text in part.inputs for word in text.split()}
            others -= set(tokens.names)
            # What has no vector stays unknown: its embedding would be one that was never trained.
            known = read_vectors(vectors, {*tokens.names, *others}).keys() & others
            save(Words([*tokens.names, *sorted(known)], tokens.alphabet), path)

    def prepare(self) -> None:
        """Loads the tokens of sentences, and makes their embedding."""
        self.tokens: Tokens | None = None
        if isinstance(self.data.train.inputs, torch.Tensor):
            self.inputs: int | nn.Module = self.data.train.inputs.shape[2]
        else:
            self.tokens = read_text_tokens(self.folder / TOKENS)
            self.inputs = self._embedding(self.tokens)

    def _embedding(self, tokens: Tokens) -> WordEmbedding:
        """The embedding of tokens, with pretrained vectors where there are any."""
        embedding = self.hparams["embedding"](len(tokens), unknown=tokens.unk)
        vectors = self.hparams.get("vectors")
        if vectors:
            filled = embedding.fill(tokens.names, read_vectors(vectors, tokens.names))
            if if_main_process():
                logger.info(f"{filled} of {len(tokens)} words start with a vector of {vectors}")
        if if_main_process():
            for part in (self.data.valid, *self.data.tests):
                unknown = sum(len(tokens.unknown(sentence)) for sentence in part.inputs)
                logger.info(f"{part.name}: {len(part)} sentences, {unknown} unknown words")
        return embedding

    def make_model(self) -> nn.Module:
        """Makes the classifier, of the size that meets the budget."""
        model = make_model(self.hparams, len(self.data.classes), self.inputs)
        self.counts = _counts(model)
        if if_main_process():
            print(
                f"{model.rnn.layer(0).cell}: {self.counts['parameters']} parameters, "
                f"{self.counts['parameters of the recurrence']} of them of the recurrence"
            )
        return model

    def brain_options(self) -> dict[str, Any]:
        """Names of the classes."""
        return {"classes": self.data.classes}

    def describe(self) -> dict[str, Any]:
        """The model's arguments, its classes and its inputs."""
        options = arguments_of(self.hparams["model"], SequenceClassifier, "model")
        options["hidden_size"] = self.model.rnn.hidden_size
        options = {name: v for name, v in options.items() if name not in TRAINING_ONLY}
        inputs: int | EmbeddingSpec = self.inputs
        if self.tokens is not None:
            if not isinstance(self.inputs, WordEmbedding):
                raise ValueError("embedding is not a WordEmbedding of this package")
            inputs = EmbeddingSpec(len(self.tokens), self.inputs.output_size, self.tokens.unk)
        spec = ClassifierSpec(tuple(self.data.classes), inputs, options)
        return ClassifierConfig(spec, self.data.images).description()

    def valid_loader(self, brain: ClassifierBrain) -> Any:
        """Loader of the validation sequences."""
        return self._loader(self.data.valid, brain.evaluation_loader)

    def train_loader(self, brain: ClassifierBrain) -> Any:
        """Loader of the training sequences."""
        return self._loader(self.data.train, brain.training_loader)

    def _loader(self, part: LabelledSet, make: Callable[..., Any]) -> Any:
        inputs = part.inputs
        if self.tokens is not None:
            encode = self.tokens.encode
            inputs = [torch.tensor(encode(text), dtype=torch.int32) for text in inputs]
        dataset = SequenceDataset(part.name, inputs, part.labels)
        return make(dataset, dataset.sizes)

    def test(self, brain: ClassifierBrain, valid_loader: Any) -> dict[str, dict[str, Any]]:
        """Tests the validation and the test sequences."""
        tests = {part.name: part for part in self.data.tests}
        loaders = {name: self._loader(p, brain.evaluation_loader) for name, p in tests.items()}
        loaders = {self.data.valid.name: valid_loader, **loaders}
        return {name: brain.test(name, loader, self.folder) for name, loader in loaders.items()}

    def results(self) -> dict[str, Any]:
        """Sizes and kind of the recurrence, and the classes."""
        return {
            **self.counts,
            "hidden_size": self.model.rnn.hidden_size,
            "vocabulary": None if self.tokens is None else len(self.tokens),
            "model": str(self.model.rnn.layer(0).cell),
            "classes": list(self.data.classes),
        }


def make_model(hparams: Mapping[str, Any], classes: int, inputs: int | nn.Module) -> nn.Module:
    """Makes the classifier of a YAML for frames of a width or for an embedding."""
    make = hparams["model"]
    width = inputs.output_size if isinstance(inputs, nn.Module) else inputs
    size = size_within_budget(hparams, lambda n: make(classes, width, hidden_size=n))
    return make(classes, inputs, **size)


def _counts(model: nn.Module) -> dict[str, int]:
    whole, embedding = parameters(model), getattr(model, "embedding", None)
    return {
        "parameters": whole,
        "parameters without embedding": whole - (parameters(embedding) if embedding else 0),
        "parameters of the recurrence": parameters(model.rnn),
    }


def train_classifier(
    arguments: Sequence[str], read: Callable[[Mapping[str, Any], Report], Sequence[Splits]]
) -> dict[str, Any]:
    """Trains and tests a classifier, or one for each fold of a corpus.

    Arguments
    ---------
    arguments : sequence of str
        Command line: a YAML file, and values that override it.
    read : callable
        Reads the corpus, given the YAML's values and a report for issues: one
        :class:`~gatedrnn.tasks.classification.data.Splits`, or one for each fold.

    Returns
    -------
    dict
        Set -> its metrics.
    """

    def work(hparams: dict[str, Any], run_opts: Any) -> dict[str, Any]:
        report = Report(str(hparams.get("dataset", "sequences")))
        divisions = on_main_first(read, hparams, report)
        if if_main_process():
            write_report(report, Path(hparams["output_folder"]))
        if hparams.get("count_only"):
            return _count(hparams, divisions[0])
        if len(divisions) == 1:
            return ClassifierTraining(hparams, run_opts, divisions[0]).run()
        return fit_folds(hparams, run_opts, divisions)

    return run_recipe(arguments, work)


def fit_folds(
    hparams: Mapping[str, Any], run_opts: Any, divisions: Sequence[Splits]
) -> dict[str, Any]:
    """Trains a classifier for each fold, as a training of its own in ``fold-NUMBER``."""
    folder = Path(hparams["output_folder"])
    results = []
    for number, sets in enumerate(divisions, start=1):
        own = folder / f"fold-{number}"
        seed = int(hparams["seed"]) * _SEEDS_OF_FOLDS + number
        changes = {
            "output_folder": str(own),
            "seed": seed,
            "epoch_counter": copy.deepcopy(hparams["epoch_counter"]),
        }
        if if_main_process():
            print(f"fold {number} of {len(divisions)}")
        seed_everything(seed, False)
        ClassifierTraining({**hparams, **changes}, run_opts, sets).run()
        if if_main_process():
            results.append(json.loads((own / "results.json").read_text(encoding="utf-8")))
    if not if_main_process():
        return {}
    whole = _over_folds(results) | {"seed": hparams["seed"]}
    write_atomically(folder / "results.json", json.dumps(whole, indent=2) + "\n")
    for name, metrics in whole["sets"].items():
        print(
            f"{name}, {len(results)} folds: accuracy {metrics['accuracy']:.2f} % +- "
            f"{metrics['accuracy deviation']:.2f}"
        )
    return whole["sets"]


def _over_folds(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over the folds; sums of the costs."""
    sets = {}
    for name in results[0]["sets"]:
        folds = [result["sets"][name] for result in results]
        values = [fold["accuracy"] for fold in folds]
        sets[name] = {
            "accuracy": statistics.fmean(values),
            "accuracy deviation": statistics.stdev(values),
            "loss": statistics.fmean(fold["loss"] for fold in folds),
            "errors": sum(fold["errors"] for fold in folds),
            "sequences": sum(fold["sequences"] for fold in folds),
        }
    whole: dict[str, Any] = {
        key: round(statistics.fmean(result[key] for result in results))
        for key in results[0]
        if key.startswith("parameters") or key in ("hidden_size", "epochs")
    }
    for key in ("train seconds", "train cpu seconds", "steps"):
        values = [result[key] for result in results]
        whole[key] = None if None in values else round(sum(values), 3)
    steps = whole["steps"]
    whole["seconds per step"] = round(whole["train seconds"] / steps, 6) if steps else None
    whole["folds"] = [
        {"seed": r["seed"], **{name: s["accuracy"] for name, s in r["sets"].items()}}
        for r in results
    ]
    return {**whole, "model": results[0]["model"], "classes": results[0]["classes"], "sets": sets}


def _count(hparams: Mapping[str, Any], sets: Splits) -> dict[str, Any]:
    """Prints the numbers of parameters of every variant of the recurrence; trains nothing."""
    frames = sets.train.inputs
    width = frames.shape[2] if isinstance(frames, torch.Tensor) else hparams["embedding_size"]
    counts_of = {}
    for options in find(hparams["network"]).variants or ({},):
        with torch.device("meta"):
            model = hparams["model"](len(sets.classes), width, network_options=options, init=None)
        name = " ".join((hparams["network"], *(f"{k}={v}" for k, v in options.items())))
        counts_of[name] = {k: v for k, v in _counts(model).items() if k != "parameters"}
    if if_main_process():
        print(f"{width} -> {model.rnn.hidden_size} -> {len(sets.classes)}, whole, recurrence:")
        for name, counts in counts_of.items():
            print(f"{name:32}" + "".join(f"{count:12}" for count in counts.values()))
    return counts_of
