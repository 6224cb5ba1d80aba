"""From a command line to captions: what the ``train.py`` of captioning recipes calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from speechbrain.utils.distributed import if_main_process, run_on_main
from speechbrain.utils.logger import get_logger

from gatedrnn.modules.parameter_budget import parameters, size_for
from gatedrnn.seq2seq.decoder import Decoder
from gatedrnn.tasks.asr.pretrained import load_parts
from gatedrnn.tasks.captioning.corpora.loading import MediaOptions, load_media
from gatedrnn.tasks.captioning.data import CaptionDataset, CaptionSets, MediaCache
from gatedrnn.tasks.captioning.encoders import ENCODERS
from gatedrnn.tasks.captioning.model import Captioner
from gatedrnn.tasks.captioning.specification import TRAINING_ONLY, CaptionerSpec
from gatedrnn.tasks.captioning.train import CaptionBrain
from gatedrnn.tokens.tokens import save
from gatedrnn.tokens.vocabulary import Vocabulary
from gatedrnn.training.checkpoints import SafeCheckpointer
from gatedrnn.training.launch import run_recipe
from gatedrnn.training.log import Curve, TrainingLog, replace_text
from gatedrnn.training.model_description import write_caption_description

logger = get_logger(__name__)

CURVE = Curve("CIDEr-D", "CIDEr-D of greedy captions", (0, 10))


def train_captioner(
    arguments: Sequence[str], read: Callable[[Mapping[str, Any]], CaptionSets]
) -> dict[str, Any]:
    """Trains and tests a captioner.

    Arguments
    ---------
    arguments : sequence of str
        Of the command line: a YAML file, and what to override in it.
    read : callable
        Prepares and reads the items, given the YAML's values: on the first process before the
        others, so that what it writes is there for these.

    Returns
    -------
    dict
        Figures of every test set.
    """

    def work(hparams: dict[str, Any], run_opts: Any) -> dict[str, Any]:
        run_on_main(read, args=[hparams])
        return fit_captioner(hparams, run_opts, read(hparams))

    return run_recipe(arguments, work)


def fit_captioner(hparams: Mapping[str, Any], run_opts: Any, sets: CaptionSets) -> dict[str, Any]:
    """Trains a captioner, or goes on with its training, and tests the best of its checkpoints.

    Arguments
    ---------
    hparams : Mapping
        Of the YAML: ``output_folder``, ``seed``, ``more_than``, ``words`` and ``max_length`` of
        the vocabulary, ``media``, ``cache_mb``, ``captions_per_item``, what :func:`make_captioner`
        takes, ``opt_class``, ``epoch_counter``, optionally ``train_tested``: how many of the
        training items are tested as the set ``train``, ``pretrained_encoder``: the output folder of
        a training whose encoder is taken, ``freeze_encoder``: whether it stays as it is; and what
        :class:`~gatedrnn.tasks.captioning.train.CaptionBrain` takes.
    run_opts : Mapping or RunOptions
        SpeechBrain's options of the command line.
    sets : CaptionSets
        The items.

    Returns
    -------
    dict
        Figures of every test set; also in ``results.json`` in the output folder.
    """
    folder = Path(hparams["output_folder"])
    folder.mkdir(parents=True, exist_ok=True)
    run_on_main(_make_vocabulary, args=[hparams, sets, folder / "tokens.json"])
    vocabulary = load_vocabulary(folder / "tokens.json")
    media = MediaOptions(kind=sets.kind, **(hparams.get("media") or {}))
    model, spec = make_captioner(hparams, len(vocabulary), sets, media)
    if hparams.get("pretrained_encoder"):
        remedy = "Give the encoder and the encoder_options that it was trained with"
        source, best = hparams["pretrained_encoder"], {"max_key": CaptionBrain.criterion}
        load_parts(model, source, ("encoder.",), best, remedy)
    if hparams.get("freeze_encoder"):
        model.freeze_encoder()
    if if_main_process():
        _report_words(vocabulary, sets)
        write_caption_description(spec, media, int(hparams["beam_size"]), folder)
    cache = MediaCache(float(hparams.get("cache_mb", 0)))

    def dataset(items: Sequence[Any], captions: int | None = None) -> CaptionDataset:
        return CaptionDataset(items, vocabulary, media, captions, cache, int(hparams["seed"]))

    brain = CaptionBrain(
        vocabulary=vocabulary,
        train=sets.train,
        dev=sets.dev,
        hparams=hparams,
        modules={"model": model},
        opt_class=hparams["opt_class"],
        run_opts=run_opts,
        checkpointer=SafeCheckpointer(folder / "save", {"model": model}),
        log=TrainingLog(folder, CURVE),
    )
    tests = {"dev": sets.dev, **sets.tests}
    count = int(hparams.get("train_tested") or 0)
    if count:
        # What is recalled, beside what is recognised.
        tests["train"] = sets.train[:: max(1, len(sets.train) // count)][:count]
    found = {name: dataset(items) for name, items in tests.items()}
    loaders = {name: brain.evaluation_loader(one, one.sizes) for name, one in found.items()}
    if not brain.test_only:
        train = dataset(sets.train, int(hparams["captions_per_item"]))
        brain.fit(brain.counter, brain.training_loader(train, train.sizes), loaders["dev"])
        brain.log.write()
        brain.average_best(loaders["dev"])
    epochs = brain.counter.current
    figures = {
        name: brain.test(name, loaders[name], items, folder, sets.true)
        for name, items in tests.items()
    }
    if if_main_process():
        results = {
            "seed": hparams["seed"],
            "vocabulary": len(vocabulary),
            "parameters": parameters(model),
            "parameters of the decoder": parameters(model.decoder),
            "hidden_size": spec.decoder.get("hidden_size"),
            "epochs": epochs or brain.counter.current,
            **brain.spent(),
            "model": str(model.decoder.core.stack.layer(0).cell),
            "sets": figures,
        }
        replace_text(folder / "results.json", json.dumps(results, indent=2) + "\n")
    return figures


def make_captioner(
    hparams: Mapping[str, Any], vocabulary: int, sets: CaptionSets, media: MediaOptions
) -> tuple[Captioner, CaptionerSpec]:
    """Makes the captioner that a YAML describes, with the size that meets its budget.

    Arguments
    ---------
    hparams : Mapping
        ``encoder``: a key of :data:`~gatedrnn.tasks.captioning.encoders.ENCODERS`;
        ``encoder_options``: its arguments; ``decoder``: those of
        :class:`~gatedrnn.seq2seq.decoder.Decoder`; optionally ``parameters``: the most that
        the whole captioner may have, in place of the decoder's ``hidden_size``.
    vocabulary : int
        Number of words.
    sets : CaptionSets
        The items: features say themselves how wide they are.
    media : MediaOptions
        What the captioner is given.

    Returns
    -------
    captioner : Captioner
        The captioner.
    spec : CaptionerSpec
        What it is built of.

    Raises
    ------
    ValueError
        If the encoder reads other items than these, or an argument is wrong.
    """
    kind, options = hparams["encoder"], dict(hparams.get("encoder_options") or {})
    if kind not in ENCODERS:
        raise ValueError(f"encoder must be {', '.join(ENCODERS)}, not {kind!r}")
    media_kind = ENCODERS[kind].media
    if media_kind != sets.kind:
        raise ValueError(f"the encoder {kind} reads {media_kind}, but the items are {sets.kind}")
    if kind == "features":
        options.setdefault("input_size", load_media(sets.train[0].path, media).shape[1])
    if sets.kind == "audio":
        rate = {"sample_rate": media.sample_rate}
        options["features"] = {**rate, **(options.get("features") or {})}
    decoder = dict(hparams["decoder"])

    def make(hidden_size: int | None = None) -> Captioner:
        encoder = ENCODERS[kind](**options)
        sized = decoder if hidden_size is None else {**decoder, "hidden_size": hidden_size}
        return Captioner(encoder, Decoder(vocabulary, encoder.output_size, **sized))

    budget = hparams.get("parameters")
    if budget:
        size, count = size_for(make, int(budget))
        decoder["hidden_size"] = size
        logger.info(f"hidden_size {size}: {count:,} of {int(budget):,} parameters")
    spec = CaptionerSpec(vocabulary, kind, _lasting(options), _lasting(decoder))
    return make(), spec


def load_vocabulary(path: str | Path) -> Vocabulary:
    """Reads the vocabulary of a training or a bundle.

    Arguments
    ---------
    path : str or Path
        ``tokens.json``.

    Returns
    -------
    Vocabulary

    Raises
    ------
    ValueError
        If it is something else.
    """
    try:
        return Vocabulary.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} does not hold the words of captions: {error}") from error


def _lasting(options: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that do not only matter in training."""
    return {name: value for name, value in options.items() if name not in TRAINING_ONLY}


def _make_vocabulary(hparams: Mapping[str, Any], sets: CaptionSets, path: Path) -> None:
    wanted = {"words": hparams["words"], "max_length": int(hparams["max_length"])}
    if not path.is_file():
        texts = [text for item in sets.train for text in item.references]
        save(Vocabulary.learn(texts, int(hparams["more_than"]), **wanted), path)
        return
    found = load_vocabulary(path)
    for name, value in wanted.items():
        if getattr(found, name) != value:
            raise ValueError(
                f"{path} is of an earlier training with {name} {getattr(found, name)!r}, but it is "
                f"{value!r} now: use another output_folder"
            )


def _report_words(vocabulary: Vocabulary, sets: CaptionSets) -> None:
    """Says how much of the captions is unknown or cut."""
    for name, items in {"train": sets.train, "dev": sets.dev, **sets.tests}.items():
        found = vocabulary.figures(text for item in items for text in item.references)
        logger.info(
            f"{name}: {len(items)} items, {found['captions']} captions, {found['words']} words, "
            f"{found['unknown']} unknown, {found['cut']} captions longer than "
            f"{vocabulary.max_length} words"
        )
