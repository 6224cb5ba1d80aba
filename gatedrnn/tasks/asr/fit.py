"""From a command line to a word error rate: what the ``train.py`` of every recipe calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from speechbrain.utils.distributed import if_main_process, run_on_main
from speechbrain.utils.logger import get_logger

from gatedrnn.tasks.asr.heads.brain import HEADS, head_name, make_model
from gatedrnn.tasks.asr.pretrained import load_encoder
from gatedrnn.tasks.asr.rescoring import check_language_model, rescore_tests
from gatedrnn.tokens import tokens as tokenization
from gatedrnn.training.checkpoints import SafeCheckpointer
from gatedrnn.training.launch import run_recipe
from gatedrnn.training.log import TrainingLog, replace_text
from gatedrnn.training.model_description import write_description

logger = get_logger(__name__)


class Speech(Protocol):
    """Utterances to train on or to recognise: a map-style dataset that knows its durations."""

    durations: Sequence[float]
    texts: Sequence[str]

    def __len__(self) -> int:
        """Number of utterances."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        """``{"id": str, "sig": (samples,) tensor, "words": list of str}``."""


class Tokenised(torch.utils.data.Dataset):
    """Utterances with the tokens of their transcripts.

    Arguments
    ---------
    speech : Speech
        The utterances.
    tokens : Tokens
        What to spell with.
    """

    def __init__(self, speech: Speech, tokens: Any) -> None:
        self.speech, self.tokens = speech, tokens

    def __len__(self) -> int:
        return len(self.speech)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.speech[index]
        found = self.tokens.encode(" ".join(item["words"]))
        return {**item, "tokens": torch.tensor(found, dtype=torch.long)}

    def set_epoch(self, epoch: int) -> None:
        """Tells the utterances which epoch begins: what is simulated differs in each.

        Arguments
        ---------
        epoch : int
            Its number.
        """
        if hasattr(self.speech, "set_epoch"):
            self.speech.set_epoch(epoch)


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
        return fit_and_test(hparams, run_opts, sets.pop("train"), sets.pop("dev"), sets)

    return run_recipe(arguments, work)


def fit_and_test(
    hparams: Mapping[str, Any],
    run_opts: Any,
    train: Speech,
    valid: Speech,
    tests: Mapping[str, Speech],
) -> dict[str, Any]:
    """Trains a recogniser, or goes on with its training, and tests the best of its checkpoints.

    Arguments
    ---------
    hparams : Mapping
        Of the YAML: ``output_folder``, ``seed``, ``tokens`` (and ``pieces``), what
        :func:`~gatedrnn.tasks.asr.heads.brain.make_model` takes, ``normalize``, ``opt_class``,
        ``epoch_counter``, what :class:`~gatedrnn.tasks.asr.train.RecogniserBrain` takes, and
        optionally ``pretrained_encoder``, for :func:`~gatedrnn.tasks.asr.pretrained.load_encoder`,
        and ``language_model``, which rescores the tests: see
        :func:`~gatedrnn.tasks.asr.rescoring.check_language_model`.
    run_opts : Mapping or RunOptions
        SpeechBrain's options of the command line.
    train : Speech
        Training utterances.
    valid : Speech
        Validation utterances.
    tests : Mapping
        Name -> test utterances; the validation utterances are tested, too.

    Returns
    -------
    dict
        Figures of every test set; also in ``results.json`` in the output folder.
    """
    folder = Path(hparams["output_folder"])
    folder.mkdir(parents=True, exist_ok=True)
    check_language_model(hparams)
    run_on_main(_make_tokens, args=[hparams, train, folder / "tokens.json"])
    tokens = tokenization.load(folder / "tokens.json")
    _report_unknown(tokens, {"train": train, "dev": valid, **tests})
    model = make_model(hparams, len(tokens))
    run_on_main(write_description, args=[hparams, len(tokens), folder])
    pretrained = hparams.get("pretrained_encoder")
    if pretrained is not None:
        # A checkpoint of this training, if there is one, takes its place when training begins.
        load_encoder(getattr(model, "acoustic", model), pretrained)
    modules = {"model": model, "normalize": hparams["normalize"]}
    brain = HEADS[head_name(hparams)].brain(
        tokens=tokens,
        hparams=hparams,
        modules=modules,
        opt_class=hparams["opt_class"],
        run_opts=run_opts,
        checkpointer=SafeCheckpointer(folder / "save", {"model": model}),
        log=TrainingLog(folder),
    )
    valid_loader = brain.evaluation_loader(Tokenised(valid, tokens), valid.durations)
    if not brain.test_only:
        train_loader = brain.training_loader(Tokenised(train, tokens), train.durations)
        brain.fit(brain.counter, train_loader, valid_loader)
        brain.log.write()
        brain.average_best(valid_loader)
    epochs = brain.counter.current
    loaders = {
        name: brain.evaluation_loader(Tokenised(speech, tokens), speech.durations)
        for name, speech in tests.items()
    }
    figures = {
        name: brain.test(name, loader, folder)
        for name, loader in {"dev": valid_loader, **loaders}.items()
    }
    if if_main_process():
        results = {
            "seed": hparams["seed"],
            "head": head_name(hparams),
            "parameters": sum(p.numel() for p in model.parameters()),
            "epochs": epochs or brain.counter.current,
            **brain.spent(),
            "vocabulary": len(tokens),
            "model": str(model.encoder.layer(0).cell)
            if hasattr(model.encoder, "layer")
            else type(model.encoder).__name__,
            "sets": figures,
        }
        path = folder / "results.json"
        replace_text(path, json.dumps(results, indent=2) + "\n")
        language_model = hparams.get("language_model")
        if language_model is not None:
            results["rescored"] = rescore_tests(folder, language_model, figures, brain.device)
            replace_text(path, json.dumps(results, indent=2) + "\n")
    return figures


def _make_tokens(hparams: Mapping[str, Any], train: Speech, path: Path) -> None:
    kind = hparams.get("tokens", "characters")
    if not path.is_file():
        learned = tokenization.learn(train.texts, kind, int(hparams.get("pieces", 500)))
        tokenization.save(learned, path)
        return
    found = tokenization.load(path)
    if found.kind != (kind if kind in tokenization.SYMBOLS else tokenization.Pieces.kind):
        raise ValueError(
            f"{path} holds {found.kind} of an earlier training, but tokens is {kind}: use another "
            "output_folder"
        )


def _report_unknown(tokens: Any, sets: Mapping[str, Speech]) -> None:
    if not if_main_process():
        return
    for name, speech in sets.items():
        unknown = tokens.unknown(speech.texts)
        if unknown:
            most = ", ".join(f"{c!r} ({n} times)" for c, n in unknown.most_common(8))
            logger.warning(f"{name}: not among the tokens, and left out: {most}")
