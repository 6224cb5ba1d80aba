#!/usr/bin/env python3
"""Trains and tests a deep CTC recogniser of a made-up tone language.

To run it: ``python train.py hparams/ctc.yaml --device=cpu``; every top-level key of the YAML can be
given on the command line, e.g. ``--network=highway --num_layers=3``.
"""

import sys

import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.utils.distributed import ddp_init_group, if_main_process

from gatedrnn.simulation.tones import WORDS, make_utterance

BLANK = 0


class Recogniser(sb.Brain):
    """Log-mel frames, stacked; a recurrent stack; CTC over words."""

    def compute_forward(self, batch, stage):
        """Log-probabilities of the words in every stacked frame."""
        batch = batch.to(self.device)
        signal, lengths = batch.sig
        features = self.hparams.compute_features(signal)
        features = self.modules.normalize(features, lengths)
        frames = features.shape[1] - features.shape[1] % self.hparams.stack
        stacked = features[:, :frames].unflatten(1, (-1, self.hparams.stack)).flatten(2)
        encoded, _ = self.modules.encoder(stacked, lengths=lengths)
        return self.modules.output(encoded).log_softmax(-1), lengths

    def compute_objectives(self, predictions, batch, stage):
        """CTC loss; on validation and test utterances also the error rate."""
        log_probs, lengths = predictions
        tokens, token_lengths = batch.tokens
        loss = sb.nnet.losses.ctc_loss(log_probs, tokens, lengths, token_lengths, BLANK)
        if stage != sb.Stage.TRAIN:
            found = sb.decoders.ctc_greedy_decode(log_probs, lengths, blank_id=BLANK)
            self.errors.append(
                batch.id, [[WORDS[i - 1] for i in line] for line in found], batch.words
            )
        return loss

    def on_stage_start(self, stage, epoch=None):
        """Begins to count errors."""
        if stage != sb.Stage.TRAIN:
            self.errors = self.hparams.error_rate_computer()

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Logs, and keeps the checkpoint with the lowest validation error."""
        if stage == sb.Stage.TRAIN:
            self.train_loss = stage_loss
            return
        stats = {"loss": float(stage_loss), "WER": float(self.errors.summarize("error_rate"))}
        if stage == sb.Stage.VALID:
            self.hparams.train_logger.log_stats(
                {"epoch": epoch}, {"loss": self.train_loss}, valid_stats=stats
            )
            self.checkpointer.save_and_keep_only(meta={"WER": stats["WER"]}, min_keys=["WER"])
            return
        self.hparams.train_logger.log_stats(
            {"epoch loaded": self.hparams.epoch_counter.current}, test_stats=stats
        )
        if if_main_process():
            with open(self.hparams.wer_file, "w", encoding="utf-8") as file:
                self.errors.write_stats(file)
            print(f"test WER {stats['WER']:.2f} % ({self.hparams.wer_file})")


class Tones(torch.utils.data.Dataset):
    """Utterances of a range of speakers, made when they are asked for."""

    def __init__(self, name: str, count: int, speakers: range) -> None:
        self.name, self.count, self.speakers = name, count, speakers

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict:
        speaker = self.speakers[index % len(self.speakers)]
        seed = 1_000_003 * self.speakers.start + index
        utterance = make_utterance(seed, speaker=speaker)
        tokens = torch.tensor([WORDS.index(word) + 1 for word in utterance.words])
        return {
            "id": f"{self.name}-{index}", "sig": utterance.samples, "tokens": tokens,
            "words": list(utterance.words),
        }  # fmt: skip


if __name__ == "__main__":
    hparams_file, run_opts, overrides = sb.parse_arguments(sys.argv[1:])
    ddp_init_group(run_opts)
    with open(hparams_file, encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, overrides)
    sb.create_experiment_directory(hparams["output_folder"], hparams_file, overrides)
    brain = Recogniser(
        hparams["modules"], hparams["opt_class"], hparams, run_opts, hparams["checkpointer"]
    )
    loader = {"batch_size": hparams["batch_size"], "collate_fn": PaddedBatch}
    brain.fit(
        hparams["epoch_counter"],
        Tones("train", hparams["train_utterances"], range(30)),
        Tones("valid", hparams["valid_utterances"], range(30, 35)),
        train_loader_kwargs=loader | {"shuffle": True},
        valid_loader_kwargs=loader,
    )
    test = Tones("test", hparams["test_utterances"], range(35, 40))
    brain.evaluate(test, min_key="WER", test_loader_kwargs=loader)
