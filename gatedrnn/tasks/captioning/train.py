"""Training of captioners: cross-entropy, scheduled sampling, then self-critical training."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import speechbrain as sb
import torch
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger
from torch import nn

from gatedrnn.data.config import Choices, Config, Range
from gatedrnn.data.files import write_atomically
from gatedrnn.data.result_table import render
from gatedrnn.modules.network_options import DropoutSwitch, parameters
from gatedrnn.seq2seq.brain import Seq2SeqBrain
from gatedrnn.seq2seq.decoder import Decoder
from gatedrnn.seq2seq.search import SampledSequences, greedy
from gatedrnn.tasks.captioning.bundle import TRAINING_ONLY, CaptionerConfig, CaptionerSpec
from gatedrnn.tasks.captioning.corpora.items import CaptionItem, MediaOptions, load_media
from gatedrnn.tasks.captioning.data import CaptionDataset, CaptionSets, MediaCache
from gatedrnn.tasks.captioning.decode import search_options
from gatedrnn.tasks.captioning.metrics import (
    CIDER_D,
    Captions,
    CaptionScore,
    CaptionScoreOptions,
    report_sections,
    score_captions,
)
from gatedrnn.tasks.captioning.model import ENCODERS, Captioner
from gatedrnn.tasks.captioning.ngrams import (
    Cider,
    CiderVector,
    DocumentFrequencies,
    Words,
)
from gatedrnn.tokens import EOS, Vocabulary, load_vocabulary, save
from gatedrnn.tokens.ptb_tokenizer import tokenize
from gatedrnn.training.batching import Batch
from gatedrnn.training.brain import Objective
from gatedrnn.training.checkpoints import load_parts
from gatedrnn.training.distributed import sum_over_ranks
from gatedrnn.training.fit import Training, on_main_first, size_within_budget
from gatedrnn.training.launch import run_recipe
from gatedrnn.training.log import Curve

logger = get_logger(__name__)


#: Rewarded like a word: otherwise captions that stop in the middle of a phrase pay.
END = "<eos>"
Stage = sb.Stage


@dataclass(frozen=True)
class SelfCriticalOptions(Config):
    """Options of self-critical training; keys of a YAML have ``self_critical_`` before them.

    ``first_epoch`` is ``self_critical_from``, None for never; ``baseline`` is ``"greedy"`` (the
    greedy caption, without dropout) or ``"others"`` (mean of the other ``samples``); ``rate``
    multiplies the learning rate.
    """

    first_epoch: Annotated[int, Range(1, 1 << 31)] | None
    samples: Annotated[int, Range(1, 1000)]
    baseline: Annotated[str, Choices("greedy", "others")]
    rate: float
    dropout: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.baseline == "others" and self.samples < 2:
            raise ValueError(
                "samples must be at least 2 with the baseline others, of which there would be "
                f"none, not {self.samples}"
            )

    @classmethod
    def of_training(cls, hparams: Mapping[str, Any]) -> SelfCriticalOptions:
        """The options of a YAML."""
        keys = {name: f"self_critical_{name}" for name in cls.__dataclass_fields__}
        keys["first_epoch"] = "self_critical_from"
        values = {name: hparams[key] for name, key in keys.items()}
        return cls.from_dict(values, "self_critical")


class CaptionReward:
    """CIDEr-D of single captions, as a reward; ``ended``: the end of a caption counts as a word.

    ``frequencies`` are by default those of ``references``, the words of each item's references.
    """

    def __init__(
        self,
        references: Sequence[Sequence[Words]],
        ended: bool = True,
        frequencies: DocumentFrequencies | None = None,
    ) -> None:
        self.ended = ended
        self._references = [[self._words(words) for words in item] for item in references]
        self.cider = Cider(frequencies or DocumentFrequencies.of(self._references))
        # Filled when items occur: those of a large corpus take seconds.
        self._vectors: dict[int, list[CiderVector]] = {}

    def _words(self, words: Words, cut: bool = False) -> Words:
        return (*words, END) if self.ended and not cut else tuple(words)

    def __call__(self, number: int, words: Words, cut: bool = False) -> float:
        """Reward from 0 to 10 of a caption of an item; ``cut``: it did not end by itself."""
        vectors = self._vectors.get(number)
        if vectors is None:
            vectors = [self.cider.vector(words) for words in self._references[number]]
            self._vectors[number] = vectors
        return self.cider.score(self.cider.vector(self._words(words, cut)), vectors)


def advantages(rewards: torch.Tensor, greedy: torch.Tensor | None = None) -> torch.Tensor:
    """Differences between the samples' rewards and their baseline, (items, samples).

    rewards: Of the samples of each item, (items, samples).
    greedy: Of each item's greedy caption, (items,); None for the mean of the item's other samples.
    """
    if greedy is not None:
        return rewards - greedy.unsqueeze(1)
    count = rewards.shape[1]
    if count < 2:
        raise ValueError("the baseline of other samples needs at least 2 samples of each item")
    return rewards - (rewards.sum(1, keepdim=True) - rewards) / (count - 1)


def policy_loss(log_probs: torch.Tensor, gains: torch.Tensor) -> torch.Tensor:
    """Loss whose gradient is, on average, that of the negative expected reward; a sum.

    log_probs: Log-probabilities of sampled captions, with gradients, (samples,).
    gains: Of :func:`advantages`, (samples,).
    """
    return -(gains.detach() * log_probs).sum()


class CaptionBrain(Seq2SeqBrain):
    """Trains a :class:`~gatedrnn.tasks.captioning.model.Captioner`.

    First by cross-entropy of the references' words; from the epoch ``self_critical_from`` on by
    the difference between the CIDEr-D of sampled captions and that of a baseline. The best
    checkpoint is that with the highest CIDEr-D of greedy captions of the validation items.
    """

    valid_metric = CIDER_D

    def __init__(
        self,
        vocabulary: Vocabulary,
        train: Sequence[CaptionItem],
        dev: Sequence[CaptionItem],
        hparams: Mapping[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(search_options(hparams, vocabulary), hparams=hparams, **kwargs)
        self.vocabulary = vocabulary
        self.self_critical = SelfCriticalOptions.of_training(hparams)
        self._train, self._dev = train, dev
        self._reward: CaptionReward | None = None
        self._validation: CaptionReward | None = None
        self._dropout = DropoutSwitch(self.network("model", Stage.TEST))

    @property
    def critical(self) -> bool:
        """Whether the training of this epoch is self-critical."""
        first = self.self_critical.first_epoch
        return first is not None and self.epoch >= first

    def text(self, tokens: Sequence[int]) -> str:
        """The caption of tokens."""
        return self.vocabulary.decode(tokens)

    # ---- self-critical training -------------------------------------------------------------

    def compute_forward(self, batch: Batch, stage: Stage) -> Any:
        """Scores the references; in self-critical training samples captions."""
        if not (stage == Stage.TRAIN and self.critical):
            return super().compute_forward(batch, stage)
        batch, network = batch.to(self.device), self.network("model", stage)
        samples = self.self_critical.samples
        return network(batch.source, batch.lengths, samples=samples, options=self.search)

    def compute_objectives(self, predictions: Any, batch: Batch, stage: Stage) -> Objective:
        """Cross-entropy, summed over the words; of sampled captions the policy's loss."""
        if not isinstance(predictions, SampledSequences):
            return super().compute_objectives(predictions, batch, stage)
        count = self.self_critical.samples
        rewards = torch.tensor(
            [
                self._reward_of(batch.numbers[i // count], tokens[: tokens.index(EOS)])
                for i, tokens in enumerate(predictions.tokens.tolist())
            ]
        ).reshape(-1, count)
        baseline = None
        if self.self_critical.baseline == "greedy":
            baseline = torch.tensor(self._greedy_rewards(batch))
        gains = advantages(rewards, baseline).flatten().to(predictions.log_probs.device)
        total, number = sum_over_ranks([float(rewards.sum()), float(rewards.numel())], self.device)
        self.log.running.setdefault("rewards", []).append(total / number)
        return Objective(policy_loss(predictions.log_probs, gains), float(rewards.numel()))

    def _greedy_rewards(self, batch: Batch) -> list[float]:
        """Rewards of greedy captions."""
        captioner = self.network("model", Stage.TEST).eval()
        try:
            with torch.no_grad():
                encoded = captioner.encode(batch.source, batch.lengths)
                hypotheses = greedy(captioner, encoded, self.search)
        finally:
            captioner.train()
        return [
            self._reward_of(number, hypothesis.tokens)
            for number, hypothesis in zip(batch.numbers, hypotheses, strict=True)
        ]

    def _reward_of(self, number: int, tokens: Sequence[int]) -> float:
        if self._reward is None:
            words = self.vocabulary.split
            self._reward = CaptionReward(
                [[words(text) for text in item.references] for item in self._train]
            )
        words = [self.vocabulary.names[token] for token in tokens]
        # At max_length the end is forced, and is not rewarded.
        return self._reward(number, words, cut=len(words) == self.search.max_length)

    @property
    def scheduled_epochs(self) -> int:
        """Epochs of cross-entropy, over which ``schedule`` goes."""
        first = self.self_critical.first_epoch
        if first is None:
            return self.counter.limit
        return max(1, min(self.counter.limit, first - 1))

    def on_fit_batch_start(self, batch: Batch, should_step: bool) -> None:
        """Sets the learning rate, which is constant in self-critical training."""
        if not self.critical:
            super().on_fit_batch_start(batch, should_step)
            return
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * self.self_critical.rate

    def on_stage_start(self, stage: Stage, epoch: int | None = None) -> None:
        """Begins a stage; in self-critical training without dropout, unless it is asked for."""
        super().on_stage_start(stage, epoch)
        if stage == Stage.TRAIN:
            self._dropout.switch(not self.critical or self.self_critical.dropout)

    def on_stage_end(self, stage: Stage, stage_loss: float, epoch: int | None = None) -> None:
        """Ends a stage; logs the mean reward of a self-critical epoch."""
        super().on_stage_end(stage, stage_loss, epoch)
        rewards = self.log.running.get("rewards")
        if stage == Stage.TRAIN and rewards:
            self.train_metrics["reward"] = sum(rewards) / len(rewards)

    # ---- evaluation -------------------------------------------------------------------------

    def validation_metrics(self) -> dict[str, float]:
        """Loss per word, and CIDEr-D of the greedy captions, as in the tests."""
        loss, results = self.gathered()
        if self._validation is None:
            self._validation = _cider_d_of(self._dev)
        return {"loss": loss, self.valid_metric: _greedy_cider_d(self._validation, results)}

    def test(
        self,
        name: str,
        loader: Any,
        items: Sequence[CaptionItem],
        folder: Path,
        true: Mapping[str, frozenset[str]] | None = None,
    ) -> dict[str, float]:
        """Tests the best checkpoint on a set, given its loader and its items.

        It writes ``captions_NAME.json``, results for COCO's server, and the report
        ``caption_NAME.txt`` to the folder.

        true: Item -> all captions that are true of it.
        """
        loss, results = self.evaluate_best(loader)
        path = folder / f"captions_{name}.json"
        score = score_captions(
            Captions("the references", "jsonl", {item.id: item.references for item in items}),
            Captions(str(path), "coco", {r["id"]: (r["best"],) for r in results}),
            CaptionScoreOptions(java=getattr(self.hparams, "java", "never")),
        )
        references = {item.id: item.references for item in items}
        metrics = {metric: value.corpus for metric, value in score.measures.items()}
        metrics[f"greedy {CIDER_D}"] = _greedy_cider_d(_cider_d_of(items), results)
        metrics["exact match"] = self._fraction_in(results, references)
        if true is not None:
            metrics["true"] = self._fraction_in(results, true)
        metrics |= {"items": len(results), "loss": loss}
        if if_main_process():
            rows = [{"image_id": r["id"], "caption": r["best"]} for r in results]
            write_atomically(path, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
            report = folder / f"caption_{name}.txt"
            write_atomically(report, _report(score, metrics, results))
            print(
                f"{name}: CIDEr-D {metrics[CIDER_D]:.3f}, BLEU-4 {metrics['BLEU-4']:.3f}, exact "
                f"{100 * metrics['exact match']:.1f} % ({report})"
            )
        return metrics

    def _fraction_in(self, results: Sequence[Mapping[str, Any]], texts: Mapping[str, Any]) -> float:
        """Fraction of captions that are among the item's texts, punctuation ignored."""
        words = self.vocabulary.split
        hits = sum(words(r["best"]) in {words(text) for text in texts[r["id"]]} for r in results)
        return hits / max(1, len(results))


def _cider_d_of(items: Sequence[CaptionItem]) -> CaptionReward:
    return CaptionReward([[tokenize(t) for t in item.references] for item in items], ended=False)


def _greedy_cider_d(cider_d: CaptionReward, results: Sequence[Mapping[str, Any]]) -> float:
    scores = [cider_d(r["number"], tokenize(r["greedy"])) for r in results]
    return sum(scores) / max(1, len(scores))


def _report(
    score: CaptionScore, metrics: Mapping[str, float], results: Sequence[Mapping[str, Any]]
) -> str:
    """Scores, then every caption with its references."""
    cider_d = dict(zip(score.ids, score.measures[CIDER_D].each, strict=True))
    lines = [render(report_sections([score]), False), ""]
    lines += [f"{n}: {v:.4f}" for n, v in metrics.items() if n not in score.measures]
    for result in results:
        name = result["id"]
        lines += ["", f"{name} ({CIDER_D} {cider_d[name]:.3f})", f"  hypothesis {result['best']}"]
        lines += [f"  reference  {text}" for text in score.reference.texts[name]]
    return "\n".join(lines) + "\n"


class CaptionTraining(Training):
    """A training on :class:`~gatedrnn.tasks.captioning.data.CaptionSets`.

    Of the YAML it takes ``more_than``, ``words`` and ``max_length`` of the vocabulary, ``media``,
    ``cache_mb``, ``captions_per_item``, what :func:`make_captioner` takes, and optionally
    ``train_tested``: number of training items that are tested as the set ``train``,
    ``pretrained_encoder``: output folder of a training that gives the encoder's initial weights,
    and ``freeze_encoder``: whether the encoder is excluded from training.
    """

    task = "captioning"
    brain_class = CaptionBrain
    curve = Curve("CIDEr-D", "CIDEr-D of greedy captions", (0, 10))

    def make_tokens(self) -> None:
        """Learns the vocabulary of the training captions."""
        _make_vocabulary(self.hparams, self.data, self.folder / "tokens.json")

    def prepare(self) -> None:
        """Loads the vocabulary, and selects the items that are tested."""
        self.vocabulary = load_vocabulary(self.folder / "tokens.json")
        media = {"kind": self.data.kind, **(self.hparams.get("media") or {})}
        self.media = MediaOptions.from_dict(media, "media")
        self.cache = MediaCache(float(self.hparams.get("cache_mb", 0)))
        self.tests = {"dev": self.data.dev, **self.data.tests}
        count = int(self.hparams.get("train_tested") or 0)
        if count:
            # The fit to the training set, beside generalization.
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
        """The captioner, its inputs, and the search of its tests."""
        search = search_options(self.hparams, self.vocabulary)
        return CaptionerConfig(self.spec, self.media, search).description()

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
    """Makes the captioner of a YAML, and its description.

    hparams: ``encoder``, a key of ``ENCODERS``, and ``encoder_options``; ``decoder``, arguments of
        :class:`~gatedrnn.seq2seq.decoder.Decoder`; optionally the budget of parameters, which gives
        the decoder's ``hidden_size``.
    sets: The items; the width of features is taken from them.
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
    """Arguments of the trained model."""
    return {name: value for name, value in options.items() if name not in TRAINING_ONLY}


def _make_vocabulary(hparams: Mapping[str, Any], sets: CaptionSets, path: Path) -> None:
    options = {"words": hparams["words"], "max_length": int(hparams["max_length"])}
    if not path.is_file():
        texts = [text for item in sets.train for text in item.references]
        save(Vocabulary.learn(texts, int(hparams["more_than"]), **options), path)
        return
    vocabulary = load_vocabulary(path)
    for name, value in options.items():
        earlier = getattr(vocabulary, name)
        if earlier != value:
            raise ValueError(
                f"{path} is of an earlier training with {name} {earlier!r}, but it is {value!r} "
                "now: use another output_folder"
            )


def _report_words(vocabulary: Vocabulary, sets: CaptionSets) -> None:
    """Logs how many words are unknown, and how many captions are cut."""
    for name, items in {"train": sets.train, "dev": sets.dev, **sets.tests}.items():
        counts = vocabulary.statistics(text for item in items for text in item.references)
        logger.info(
            f"{name}: {len(items)} items, {counts['captions']} captions, {counts['words']} words, "
            f"{counts['unknown']} unknown, {counts['cut']} captions longer than "
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
