"""Training of captioners: cross-entropy, scheduled sampling, then self-critical training."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import speechbrain as sb
import torch
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger
from torch import nn

from gatedrnn.data.files import write_atomically
from gatedrnn.modules.dropout import DropoutSwitch
from gatedrnn.modules.parameter_budget import parameters
from gatedrnn.seq2seq.decoder import Decoder
from gatedrnn.seq2seq.model import TeacherForcingOutput
from gatedrnn.seq2seq.search import SampledSequences, SearchOptions, greedy, search
from gatedrnn.tasks.asr.pretrained import load_parts
from gatedrnn.tasks.captioning.corpora.items import CaptionItem
from gatedrnn.tasks.captioning.corpora.media import MediaOptions, load_media
from gatedrnn.tasks.captioning.data import CaptionDataset, CaptionSets, MediaCache, collate
from gatedrnn.tasks.captioning.encoders import ENCODERS
from gatedrnn.tasks.captioning.metrics.measures import CIDER_D
from gatedrnn.tasks.captioning.model import Captioner
from gatedrnn.tasks.captioning.self_critical import (
    BASELINES,
    CaptionReward,
    advantages,
    policy_loss,
)
from gatedrnn.tasks.captioning.specification import TRAINING_ONLY, CaptionerSpec
from gatedrnn.tasks.captioning.test_report import figures_of, report_of, scored
from gatedrnn.tokens import EOS, IGNORE, Vocabulary, load_vocabulary, save
from gatedrnn.tokens.ptb_tokenizer import tokenize
from gatedrnn.training.batching import Batch
from gatedrnn.training.brain import Brain, Objective
from gatedrnn.training.distributed import sum_over_ranks
from gatedrnn.training.fit import Training, on_main_first, size_within_budget
from gatedrnn.training.launch import run_recipe
from gatedrnn.training.log import Curve
from gatedrnn.training.model_description import CAPTIONS

logger = get_logger(__name__)

Stage = sb.Stage


class CaptionBrain(Brain):
    """Trains a :class:`~gatedrnn.tasks.captioning.model.Captioner`.

    First by cross-entropy of the references' words; from the epoch ``self_critical_from`` on by
    how much better CIDEr-D finds sampled captions than a baseline. The best checkpoint is that
    with the highest CIDEr-D of greedy captions of the validation items.

    Arguments
    ---------
    vocabulary : Vocabulary
        The captions' words.
    train, dev : sequence of CaptionItem
        What is learnt from and what is chosen by, as in the datasets.
    modules : Mapping
        ``model``, a :class:`~gatedrnn.tasks.captioning.model.Captioner`.
    hparams : Mapping
        Besides those of :class:`~gatedrnn.training.brain.Brain`:

        - ``label_smoothing``: part of the probability that is spread over all words;
        - ``scheduled_sampling``: a
          :class:`~gatedrnn.seq2seq.scheduled_sampling.ScheduledSampling`;
        - ``self_critical_from``: epoch, or null for never; ``self_critical_samples`` of each item;
          ``self_critical_baseline``: ``"greedy"`` (of the captioner without dropout) or
          ``"others"`` (mean of the other samples); ``self_critical_rate``: what part of the
          learning rate is left; ``self_critical_dropout``: whether to drop then;
        - ``beam_size`` and ``search``: of the tests, see
          :class:`~gatedrnn.seq2seq.search.SearchOptions`;
        - ``java``: METEOR and SPICE of the tests: ``"never"``, ``"auto"``, ``"always"``.
    **kwargs : Any
        The other arguments of :class:`~gatedrnn.training.brain.Brain`.

    Raises
    ------
    ValueError
        If a value is out of its range.
    """

    valid_metric = CIDER_D
    higher_is_better = True
    collate = staticmethod(collate)

    def __init__(
        self,
        vocabulary: Vocabulary,
        train: Sequence[CaptionItem],
        dev: Sequence[CaptionItem],
        hparams: Mapping[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(hparams=hparams, **kwargs)
        self.vocabulary = vocabulary
        options = self.hparams
        if not 0.0 <= options.label_smoothing < 1.0:
            raise ValueError(f"label_smoothing must be in [0, 1), not {options.label_smoothing}")
        self.critical_from = options.self_critical_from
        if self.critical_from is not None and self.critical_from < 1:
            raise ValueError(f"self_critical_from must be 1 at least, not {self.critical_from}")
        if options.self_critical_baseline not in BASELINES:
            raise ValueError(
                f"self_critical_baseline must be {' or '.join(BASELINES)}, not "
                f"{options.self_critical_baseline!r}"
            )
        least = 1 if options.self_critical_baseline == "greedy" else 2
        if options.self_critical_samples < least:
            raise ValueError(
                f"self_critical_samples must be at least {least} with the baseline "
                f"{options.self_critical_baseline}, not {options.self_critical_samples}"
            )
        self.search = SearchOptions(**{
            "max_length": vocabulary.max_length, "beam_size": options.beam_size,
            **(options.search or {}),
        })  # fmt: skip
        self._train, self._dev = train, dev
        self._reward: CaptionReward | None = None
        self._validation: CaptionReward | None = None
        self._dropout = DropoutSwitch(self.network("model", Stage.TEST))

    # ---- one batch --------------------------------------------------------------------------

    @property
    def critical(self) -> bool:
        """Whether this epoch's training is self-critical."""
        return self.critical_from is not None and self.epoch >= self.critical_from

    def compute_forward(
        self, batch: Batch, stage: Stage
    ) -> TeacherForcingOutput | SampledSequences:
        """Runs the captioner over references, or has it draw captions.

        Arguments
        ---------
        batch : Batch
            The items.
        stage : Stage
            Training, validation or test.

        Returns
        -------
        TeacherForcingOutput or SampledSequences
        """
        batch = batch.to(self.device)
        network = self.network("model", stage)
        if stage == Stage.TRAIN and self.critical:
            return network(
                batch.media,
                batch.lengths,
                samples=self.hparams.self_critical_samples,
                options=self.search,
            )
        share = self.hparams.scheduled_sampling(self.epoch) if stage == Stage.TRAIN else 0.0
        return network(batch.media, batch.lengths, batch.targets, batch.rows, share)

    def compute_objectives(
        self,
        predictions: TeacherForcingOutput | SampledSequences,
        batch: Batch,
        stage: Stage,
    ) -> Objective:
        """The loss; outside training also captions.

        Arguments
        ---------
        predictions : TeacherForcingOutput or SampledSequences
            Of :meth:`compute_forward`.
        batch : Batch
            The items.
        stage : Stage
            Training, validation or test.

        Returns
        -------
        Objective
            Of references the sum over their words, and the number of these; of drawn captions the
            sum over captions, and their number.
        """
        if isinstance(predictions, SampledSequences):
            return self._critical_objective(predictions, batch)
        training = stage == Stage.TRAIN
        smoothing = self.hparams.label_smoothing if training else 0.0
        total = predictions.cross_entropy(batch.targets, smoothing)
        if not training:
            self.results += self._describe(predictions, batch, stage)
        return Objective(total, float((batch.targets != IGNORE).sum()))

    def _critical_objective(self, drawn: SampledSequences, batch: Batch) -> Objective:
        if self._reward is None:
            words = self.vocabulary.split
            self._reward = CaptionReward(
                [[words(text) for text in item.references] for item in self._train]
            )
        count = self.hparams.self_critical_samples
        rewards = torch.tensor(
            [
                self._rewarded(batch.numbers[i // count], tokens[: tokens.index(EOS)])
                for i, tokens in enumerate(drawn.tokens.tolist())
            ]
        ).reshape(-1, count)
        baseline = None
        if self.hparams.self_critical_baseline == "greedy":
            baseline = torch.tensor(self._greedy_rewards(batch))
        gains = advantages(rewards, baseline).flatten().to(drawn.log_probs.device)
        total, number = sum_over_ranks([float(rewards.sum()), float(rewards.numel())], self.device)
        self.log.running.setdefault("rewards", []).append(total / number)
        return Objective(policy_loss(drawn.log_probs, gains), float(rewards.numel()))

    def _greedy_rewards(self, batch: Batch) -> list[float]:
        """Rewards of what the captioner would say."""
        captioner = self.network("model", Stage.TEST).eval()
        try:
            with torch.no_grad():
                encoded = captioner.encode(batch.media, batch.lengths)
                found = greedy(captioner, encoded, self.search)
        finally:
            captioner.train()
        return [
            self._rewarded(number, hypothesis.tokens)
            for number, hypothesis in zip(batch.numbers, found, strict=True)
        ]

    def _rewarded(self, number: int, tokens: Sequence[int]) -> float:
        words = [self.vocabulary.names[token] for token in tokens]
        # After so many words only the end may come: it is no merit.
        return self._reward(number, words, cut=len(words) == self.search.max_length)

    def _describe(
        self, predictions: TeacherForcingOutput, batch: Batch, stage: Stage
    ) -> list[dict[str, Any]]:
        """Captions as plain data that ranks can send each other."""
        captioner = self.network("model", Stage.TEST)
        found = greedy(captioner, predictions.encoded, self.search)
        results = [
            {"id": name, "number": number, "greedy": self.vocabulary.decode(hypothesis.tokens)}
            for name, number, hypothesis in zip(batch.id, batch.numbers, found, strict=True)
        ]
        if stage == Stage.TEST and self.search.beam_size > 1:
            found = [lists[0] for lists in search(captioner, predictions.encoded, self.search)]
        for result, hypothesis in zip(results, found, strict=True):
            result["caption"] = self.vocabulary.decode(hypothesis.tokens)
        return results

    # ---- rates ------------------------------------------------------------------------------

    @property
    def scheduled_epochs(self) -> int:
        """Epochs of cross-entropy: ``schedule`` goes over these."""
        if self.critical_from is None:
            return self.counter.limit
        return max(1, min(self.counter.limit, self.critical_from - 1))

    def on_fit_batch_start(self, batch: Batch, should_step: bool) -> None:
        """Sets the learning rate, one that does not change in self-critical training.

        Arguments
        ---------
        batch : Batch
            The batch.
        should_step : bool
            Whether the optimiser will make a step.
        """
        if not self.critical:
            super().on_fit_batch_start(batch, should_step)
            return
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * self.hparams.self_critical_rate

    # ---- a stage ----------------------------------------------------------------------------

    def on_stage_start(self, stage: Stage, epoch: int | None = None) -> None:
        """Begins a stage, without dropout if it is self-critical and nothing is to be dropped.

        Arguments
        ---------
        stage : Stage
            Training, validation or test.
        epoch : int or None
            Number of the epoch.
        """
        super().on_stage_start(stage, epoch)
        if stage == Stage.TRAIN:
            self._dropout.switch(not self.critical or self.hparams.self_critical_dropout)

    def on_stage_end(self, stage: Stage, stage_loss: float, epoch: int | None = None) -> None:
        """Ends a stage; of a self-critical epoch also the mean reward is logged.

        Arguments
        ---------
        stage : Stage
            Training, validation or test.
        stage_loss : float
            Mean loss of the batches.
        epoch : int or None
            Number of the epoch.
        """
        super().on_stage_end(stage, stage_loss, epoch)
        rewards = self.log.running.get("rewards")
        if stage == Stage.TRAIN and rewards:
            self.train_metrics["reward"] = sum(rewards) / len(rewards)

    def validation_metrics(self) -> dict[str, float]:
        """Loss per word, and CIDEr-D of the greedy captions, as the tests compute it.

        Returns
        -------
        dict
        """
        loss, results = self.gathered()
        if self._validation is None:
            words = [[tokenize(text) for text in item.references] for item in self._dev]
            self._validation = CaptionReward(words, ended=False)
        found = [self._validation(r["number"], tokenize(r["greedy"])) for r in results]
        return {"loss": loss, self.valid_metric: sum(found) / max(1, len(found))}

    def test(
        self,
        name: str,
        loader: Any,
        items: Sequence[CaptionItem],
        folder: Path,
        true: Mapping[str, frozenset[str]] | None = None,
    ) -> dict[str, float]:
        """Tests the best checkpoint.

        Arguments
        ---------
        name : str
            Name of the set, for the files.
        loader : DataLoader
            From :meth:`~gatedrnn.training.brain.Brain.evaluation_loader`.
        items : sequence of CaptionItem
            What the loader loads.
        folder : Path
            Where ``captions_NAME.json``, as COCO's server wants results, and ``caption_NAME.txt``,
            to be read, go.
        true : Mapping or None
            Item -> all captions that are true of it.

        Returns
        -------
        dict
            Figures.

        Raises
        ------
        FileNotFoundError
            If nothing has been trained.
        """
        self.find_best()
        self.evaluate(loader, **self.best_key)
        loss, results = self.gathered()
        path = folder / f"captions_{name}.json"
        java = getattr(self.hparams, "java", "never")
        score = scored(items, results, path, java)
        figures = figures_of(score, items, results, self.vocabulary, true) | {"loss": loss}
        if if_main_process():
            made = [{"image_id": r["id"], "caption": r["caption"]} for r in results]
            write_atomically(path, json.dumps(made, indent=1, ensure_ascii=False) + "\n")
            report = folder / f"caption_{name}.txt"
            write_atomically(report, report_of(score, figures, results))
            print(
                f"{name}: CIDEr-D {figures[CIDER_D]:.3f}, BLEU-4 {figures['BLEU-4']:.3f}, exact "
                f"{100 * figures['exact match']:.1f} % ({report})"
            )
        return figures


class CaptionTraining(Training):
    """A training on :class:`~gatedrnn.tasks.captioning.data.CaptionSets`.

    Of the YAML it takes ``more_than``, ``words`` and ``max_length`` of the vocabulary, ``media``,
    ``cache_mb``, ``captions_per_item``, what :func:`make_captioner` takes, and optionally
    ``train_tested``: how many of the training items are tested as the set ``train``,
    ``pretrained_encoder``: the output folder of a training whose encoder is taken, and
    ``freeze_encoder``: whether it stays as it is.
    """

    task = "captioning"
    kind = CAPTIONS
    brain_class = CaptionBrain
    curve = Curve("CIDEr-D", "CIDEr-D of greedy captions", (0, 10))

    def make_tokens(self) -> None:
        """Learns the vocabulary of the training captions."""
        _make_vocabulary(self.hparams, self.data, self.folder / "tokens.json")

    def prepare(self) -> None:
        """Loads the vocabulary, and picks the items that are tested."""
        self.vocabulary = load_vocabulary(self.folder / "tokens.json")
        self.media = MediaOptions(kind=self.data.kind, **(self.hparams.get("media") or {}))
        self.cache = MediaCache(float(self.hparams.get("cache_mb", 0)))
        self.tests = {"dev": self.data.dev, **self.data.tests}
        count = int(self.hparams.get("train_tested") or 0)
        if count:
            # What is recalled, beside what is recognised.
            step = max(1, len(self.data.train) // count)
            self.tests["train"] = self.data.train[::step][:count]
        if if_main_process():
            _report_words(self.vocabulary, self.data)

    def make_model(self) -> nn.Module:
        """Makes the captioner, with the pretrained encoder."""
        vocabulary = len(self.vocabulary)
        model, self.spec = make_captioner(self.hparams, vocabulary, self.data, self.media)
        if self.hparams.get("pretrained_encoder"):
            remedy = "Give the encoder and the encoder_options that it was trained with"
            source, best = (
                self.hparams["pretrained_encoder"],
                {"max_key": CaptionBrain.valid_metric},
            )
            load_parts(model, source, ("encoder.",), best, remedy)
        if self.hparams.get("freeze_encoder"):
            model.freeze_encoder()
        return model

    def brain_options(self) -> dict[str, Any]:
        """The vocabulary, and the items with their references."""
        return {"vocabulary": self.vocabulary, "train": self.data.train, "dev": self.data.dev}

    def describe(self) -> dict[str, Any]:
        """The captioner, what it is given, and the beam of its tests."""
        return {
            "model": self.spec.to_dict(),
            "media": self.media.to_dict(),
            "beam_size": int(self.hparams["beam_size"]),
        }

    def valid_loader(self, brain: CaptionBrain) -> Any:
        """Loader of the validation items."""
        return self._loader(self.data.dev, brain.evaluation_loader)

    def train_loader(self, brain: CaptionBrain) -> Any:
        """Loader of the training items."""
        captions = int(self.hparams["captions_per_item"])
        return self._loader(self.data.train, brain.training_loader, captions)

    def _loader(
        self, items: Sequence[CaptionItem], make: Callable[..., Any], captions: int | None = None
    ) -> Any:
        seed = int(self.hparams["seed"])
        dataset = CaptionDataset(items, self.vocabulary, self.media, captions, self.cache, seed)
        return make(dataset, dataset.sizes)

    def test(self, brain: CaptionBrain, valid_loader: Any) -> dict[str, dict[str, Any]]:
        """Tests the validation and the test items, and optionally some training items."""
        loaders = {
            name: self._loader(items, brain.evaluation_loader)
            for name, items in self.tests.items()
            if name != "dev"
        } | {"dev": valid_loader}
        return {
            name: brain.test(name, loaders[name], items, self.folder, self.data.true)
            for name, items in self.tests.items()
        }

    def results(self) -> dict[str, Any]:
        """Sizes and kind of the recurrence."""
        return {
            "vocabulary": len(self.vocabulary),
            "parameters of the decoder": parameters(self.model.decoder),
            "hidden_size": self.spec.decoder.get("hidden_size"),
            "model": str(self.model.decoder.core.stack.layer(0).cell),
        }


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

    decoder |= size_within_budget(hparams, make)
    spec = CaptionerSpec(vocabulary, kind, _lasting(options), _lasting(decoder))
    return make(), spec


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
        found = vocabulary.statistics(text for item in items for text in item.references)
        logger.info(
            f"{name}: {len(items)} items, {found['captions']} captions, {found['words']} words, "
            f"{found['unknown']} unknown, {found['cut']} captions longer than "
            f"{vocabulary.max_length} words"
        )


def train_captioner(
    arguments: Sequence[str], read: Callable[[Mapping[str, Any]], CaptionSets]
) -> dict[str, Any]:
    """Trains and tests a captioner.

    Arguments
    ---------
    arguments : sequence of str
        Of the command line: a YAML file, and what to override in it.
    read : callable
        Prepares and reads the items, given the YAML's values.

    Returns
    -------
    dict
        Test set -> its metrics.
    """

    def work(hparams: dict[str, Any], run_opts: Any) -> dict[str, Any]:
        return CaptionTraining(hparams, run_opts, on_main_first(read, hparams)).run()

    return run_recipe(arguments, work)
