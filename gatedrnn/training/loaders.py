"""Loaders of a Brain's utterances, of which every rank gets its share."""

from __future__ import annotations

from typing import Any

import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataloader import SaveableDataLoader

from gatedrnn.training.batches import EpochBatchSampler, EvaluationBatchSampler


class SharedLoaders:
    """The part of a Brain that makes loaders; it needs ``hparams``, ``seed``, ``ranks``."""

    #: Makes a batch of utterances.
    collate: Any = PaddedBatch

    def training_loader(self, dataset: Any, durations: list[float]) -> SaveableDataLoader:
        """Loader whose batches are made anew in every epoch, of this rank's share of each.

        Arguments
        ---------
        dataset : Dataset
            The training utterances.
        durations : list of float
            Their durations, in seconds.

        Returns
        -------
        SaveableDataLoader
        """
        options = self.hparams
        self.training_set = dataset
        self.train_sampler = EpochBatchSampler(
            durations,
            options.max_batch_seconds,
            max_size=getattr(options, "max_batch_size", None),
            spread=getattr(options, "bucket_spread", 0.1),
            ascending_epochs=getattr(options, "ascending_epochs", 0),
            seed=self.seed,
            rank=self.ranks[0],
            world=self.ranks[1],
        )
        loader = self._loader(dataset, self.train_sampler)
        self.checkpointer.add_recoverable("dataloader-TRAIN", loader)
        return loader

    def evaluation_loader(self, dataset: Any, durations: list[float]) -> SaveableDataLoader:
        """Loader of this rank's share of the batches of a validation or test set.

        Arguments
        ---------
        dataset : Dataset
            The utterances.
        durations : list of float
            Their durations, in seconds.

        Returns
        -------
        SaveableDataLoader
        """
        sampler = EvaluationBatchSampler(
            durations,
            self.hparams.max_batch_seconds,
            max_size=getattr(self.hparams, "max_batch_size", None),
            rank=self.ranks[0],
            world=self.ranks[1],
        )
        return self._loader(dataset, sampler)

    def _loader(self, dataset: Any, sampler: Any) -> SaveableDataLoader:
        return SaveableDataLoader(
            dataset,
            batch_sampler=sampler,
            collate_fn=self.collate,
            num_workers=getattr(self.hparams, "num_workers", 0),
            # A loader without a generator of its own draws from the global one whenever it is
            # iterated, and a resumed training would then go on with other random numbers.
            generator=torch.Generator().manual_seed(self.seed),
        )
