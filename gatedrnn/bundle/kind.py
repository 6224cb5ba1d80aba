"""Kinds of bundles: a task declares what its bundle holds; reading and writing are shared."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import nn

from gatedrnn import __version__
from gatedrnn.bundle.format import (
    CONFIG,
    TOKENS,
    WEIGHTS,
    BundleConfig,
    FileEntry,
    check_files,
    check_present,
    read_config,
    replacing,
)
from gatedrnn.bundle.from_training import (
    DESCRIPTION,
    TRAINING_KEYS,
    load_best,
    outdated,
    read_object,
)
from gatedrnn.bundle.weights import (
    check_shapes,
    put_weights,
    read_shapes,
    read_weights,
    weights_of,
    write_weights,
)
from gatedrnn.tokens import save

B = TypeVar("B")


class BundleKind(ABC, Generic[B]):
    """A kind of bundle. Subclasses declare what it holds; the methods read and write it.

    ``B``, what a bundle is when it is loaded, has the attributes ``config``, ``model`` and one for
    each file of tokens.
    """

    #: Name of the task: its folder in ``gatedrnn.tasks``, and ``task`` of ``model.json``.
    task: ClassVar[str]
    #: What the model is called in messages, such as "language model".
    noun: ClassVar[str]
    config: ClassVar[type[BundleConfig]]
    #: File of tokens -> attribute of the loaded bundle.
    tokens: ClassVar[Mapping[str, str]] = {TOKENS: "tokens"}
    #: Whether the model keeps tables that are not among its weights, so that it has to be built
    #: again with memory.
    has_tables: ClassVar[bool] = False
    #: Of a ``model.json`` that an older version wrote: its ``kind``, and the metric of validation.
    old_kind: ClassVar[str | None] = None
    old_metric: ClassVar[tuple[str, bool]] = ("loss", False)
    #: Options of ``gatedrnn export`` that only this kind has.
    export_options: ClassVar[tuple[str, ...]] = ()
    #: Use on the command line, with ``{}`` in place of the bundle.
    command: ClassVar[str] = ""
    #: Format of a set's results after an export.
    result: ClassVar[str]

    # ---- declared by subclasses ---------------------------------------------------------------

    @abstractmethod
    def load_tokens(self, name: str, path: Path, config: Any, model_file: str) -> Any:
        """Loads the tokens of an attribute; ``model_file`` is named if their number is wrong."""

    @abstractmethod
    def make(
        self,
        config: Any,
        model: nn.Module,
        tokens: Mapping[str, Any],
        tensors: Mapping[str, torch.Tensor],
    ) -> B:
        """Puts a loaded bundle together; ``tensors`` are those of :meth:`tensor_shapes`."""

    @abstractmethod
    def card(self, name: str, bundle: B) -> str:
        """The model card of a bundle of this name."""

    def headline(self, config: Any) -> str:
        """What ``gatedrnn export`` says of the model."""
        return f"{config.model.vocabulary} tokens"

    def details(self, config: Any) -> list[str]:
        """Further lines of ``gatedrnn export``."""
        return []

    def tied(self, config: Any) -> tuple[str, str] | None:
        """Tied weights; see :func:`~gatedrnn.bundle.weights.weights_of`."""
        return None

    def tensor_shapes(self, config: Any) -> dict[str, tuple[int, ...]]:
        """Tensors among the weights that are not the model's: name -> shape."""
        return {}

    def tensors(self, bundle: B) -> dict[str, torch.Tensor]:
        """The tensors of :meth:`tensor_shapes`."""
        return {}

    def read_more(self, folder: Path, bundle: B) -> B:
        """Reads further files of a bundle."""
        return bundle

    def write_more(self, draft: Path, bundle: B) -> None:
        """Writes further files of a bundle."""

    def more_texts(self, name: str, bundle: B) -> dict[str, str]:
        """Further texts that an export writes for others and that are never read: name -> text."""
        return {"README.md": self.card(name, bundle)}

    def upgraded_description(self, description: dict[str, Any]) -> dict[str, Any]:
        """A ``model.json`` of an older version with the keys of this one."""
        return description

    def recoverables(self, config: Any) -> dict[str, Any]:
        """What a checkpoint of the training has besides the model."""
        return {}

    def recovered_tensors(self, config: Any, recoverables: Mapping[str, Any]) -> dict[str, Any]:
        """The tensors of :meth:`tensor_shapes`, of a training."""
        return {}

    # ---- the same for all kinds ---------------------------------------------------------------

    def load(self, folder: str | Path) -> B:
        """Loads a model from its bundle, or from the output folder of its training.

        Raises
        ------
        FileNotFoundError
            If the folder is neither, or has no checkpoint.
        ValueError
            If a file is broken, or the model is of another kind.
        """
        folder = Path(folder)
        if (folder / CONFIG).is_file() or not (folder / DESCRIPTION).is_file():
            return self.read(folder)
        return self.from_training(folder, read_object(folder / DESCRIPTION))

    def read(self, folder: str | Path) -> B:
        """Reads a bundle, on the CPU; its files are compared before memory is taken for weights.

        Raises
        ------
        FileNotFoundError
            If the folder or a file of it is missing.
        ValueError
            If a file is broken, or does not fit the others.
        ImportError
            If the model needs a package that is not installed.
        """
        folder = Path(folder)
        config = read_config(folder, self.config)
        check_present(folder, config.file_names)
        path = folder / WEIGHTS
        shapes = read_shapes(path)
        check_files(folder, config.files)
        tokens = self._load_tokens(folder, config, CONFIG)
        try:
            model = config.model.build_empty()
        except ValueError as error:
            raise ValueError(f"{folder / CONFIG}: model: {error}") from error
        tied, more = self.tied(config), self.tensor_shapes(config)
        model_shapes = {name: tuple(v.shape) for name, v in weights_of(model, tied).items()}
        check_shapes(shapes, model_shapes | more, path)
        if self.has_tables:
            model = config.model.build()
        weights = read_weights(path)
        tensors = {name: weights.pop(name) for name in more}
        put_weights(model, weights, tied, assign=not self.has_tables)
        return self.read_more(folder, self.make(config, model, tokens, tensors))

    def write(
        self,
        folder: str | Path,
        bundle: B,
        more: Mapping[str, str] | None = None,
        overwrite: bool = False,
    ) -> Any:
        """Writes a bundle atomically.

        Arguments
        ---------
        folder : str or Path
            Where to.
        bundle : Any
            The bundle; sizes and checksums of its files are filled in.
        more : Mapping or None
            Name -> text of further files.
        overwrite : bool
            Whether a bundle that is there already is replaced.

        Returns
        -------
        BundleConfig
            As it was written.

        Raises
        ------
        FileExistsError
            If there is something in the folder that may not be replaced.
        """
        config = bundle.config
        with replacing(folder, overwrite) as draft:
            weights = weights_of(bundle.model, self.tied(config)) | self.tensors(bundle)
            write_weights(draft / WEIGHTS, weights)
            for file, attribute in self.tokens.items():
                if file in config.file_names:
                    save(getattr(bundle, attribute), draft / file)
            files = {name: FileEntry.of(draft / name) for name in config.file_names}
            config = replace(config, made_by=f"gatedrnn {__version__}", files=files)
            self.write_more(draft, bundle)
            content = json.dumps(config.to_dict(), indent=2, ensure_ascii=False) + "\n"
            for name, text in {**(more or {}), CONFIG: content}.items():
                (draft / name).write_text(text, encoding="utf-8")
        return config

    def from_training(self, results: str | Path, description: Mapping[str, Any]) -> B:
        """The model of a training's own test, given what ``model.json`` says.

        Raises
        ------
        FileNotFoundError
            If there is no checkpoint.
        ValueError
            If the model is of another kind, or no file can describe it.
        """
        results = Path(results)
        if not self.describes(description):
            raise ValueError(f"{results} is the training of another model, not of a {self.noun}")
        if "problem" in description:
            raise ValueError(f"the model of {results} cannot be exported: {description['problem']}")
        own = {k: v for k, v in description.items() if k not in ("kind", *TRAINING_KEYS)}
        try:
            own = own if "task" in description else self.upgraded_description(own)
            config = self.config.from_description(own, str(results / DESCRIPTION))
            for name in config.description():
                if name not in own:
                    raise ValueError(f"{results / DESCRIPTION}: there is no key {name!r}")
        except ValueError as error:
            raise outdated(results, error) from error
        tokens = self._load_tokens(results, config, DESCRIPTION)
        model, more = config.model.build(), self.recoverables(config)
        metric, higher = self.old_metric
        training = load_best(
            results,
            {"model": model, **more},
            description.get("valid_metric", metric),
            description.get("higher_is_better", higher),
        )
        config = replace(config, training=training)
        return self.make(config, model, tokens, self.recovered_tensors(config, more))

    def export(
        self,
        results: str | Path,
        description: Mapping[str, Any],
        folder: str | Path,
        overwrite: bool = False,
    ) -> B:
        """Writes a bundle of a training; see :func:`gatedrnn.bundle.export.export`."""
        bundle = self.from_training(results, description)
        texts = self.more_texts(Path(folder).name, bundle)
        return replace(bundle, config=self.write(folder, bundle, texts, overwrite))

    def describes(self, description: Mapping[str, Any]) -> bool:
        """Whether a ``model.json`` is of this kind."""
        if "task" in description:
            return description["task"] == self.task
        return self.old_kind is not None and description.get("kind") == self.old_kind

    def _load_tokens(self, folder: Path, config: Any, model_file: str) -> dict[str, Any]:
        return {
            attribute: self.load_tokens(attribute, folder / file, config, model_file)
            if file in config.file_names
            else None
            for file, attribute in self.tokens.items()
        }
