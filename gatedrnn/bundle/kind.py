"""Kinds of bundles: a task declares what its bundle holds; the rest is shared.

Load, save, export from the output folder of a training, and the model card.
"""

from __future__ import annotations

import functools
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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
    check_shapes,
    put_weights,
    read_config,
    read_json,
    read_shapes,
    read_weights,
    replacing,
    weights_of,
    write_weights,
)
from gatedrnn.data.config import Config, Options, Range, check_arguments
from gatedrnn.tokens import save
from gatedrnn.training.checkpoints import SafeCheckpointer

#: Description of the model in a training's output folder.
DESCRIPTION = "model.json"
#: Its keys that are the same for all tasks.
TRAINING_KEYS = ("task", "valid_metric", "higher_is_better")


def read_object(path: Path) -> dict[str, Any]:
    """Reads a JSON object that a training has written; a ValueError if it is something else."""
    data = read_json(path)
    if not isinstance(data, dict):
        raise ValueError(f"{path} must hold an object with named values, not {data!r:.80}")
    return data


def read_description(results: Path) -> dict[str, Any]:
    """Reads ``model.json`` of an output folder."""
    if not results.is_dir():
        raise FileNotFoundError(f"{results}: no such folder of a training")
    path = results / DESCRIPTION
    if not path.is_file():
        raise FileNotFoundError(
            f"{results} has no {path.name}: either it is not the output folder of a training, or "
            "an older version trained it; then the command of that training with --test_only "
            "writes the file"
        )
    return read_object(path)


def outdated(results: Path, error: Exception) -> ValueError:
    """The error of a ``model.json`` that an older version wrote, or that was edited."""
    return ValueError(
        f"{error}; the command of that training with --test_only writes {results / DESCRIPTION} "
        "anew"
    )


def load_best(
    results: Path, recoverables: Mapping[str, Any], valid_metric: str, higher_is_better: bool
) -> dict[str, Any]:
    """Loads the checkpoint of a training's own test: the best one by its validation metric.

    Arguments
    ---------
    results : Path
        Output folder of the training.
    recoverables : Mapping
        Name in the checkpoint -> what takes it; changed in place.
    valid_metric : str
        Name of the metric.
    higher_is_better : bool
        Its direction.

    Returns
    -------
    dict
        ``training`` of a bundle: the metric's value and, once the training is finished, ``seed``,
        ``epochs`` and ``sets``.

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint.
    """
    checkpointer = SafeCheckpointer(results / "save", dict(recoverables))
    key = {"max_key" if higher_is_better else "min_key": valid_metric}
    checkpoint = checkpointer.load_undamaged(**key)
    if checkpoint is None:
        raise FileNotFoundError(
            f"{results / 'save'} has no undamaged checkpoint with a validation {valid_metric}"
        )
    for recovered in recoverables.values():
        if isinstance(recovered, nn.Module):
            recovered.eval().requires_grad_(False)
    value = float(checkpoint.meta[valid_metric])
    training: dict[str, Any] = {f"validation {valid_metric}": value}
    path = results / "results.json"
    if path.is_file():
        written = read_object(path)
        training |= {key: written[key] for key in ("seed", "epochs", "sets") if key in written}
    return training


def arguments_of(maker: Any, model: type, place: str) -> dict[str, Any]:
    """The arguments that a ``!name:`` of a YAML gives to a class of this package.

    Raises
    ------
    ValueError
        If it makes something else, which no file can describe.
    """
    if maker is model:
        return {}
    if not isinstance(maker, functools.partial) or maker.func is not model or maker.args:
        raise ValueError(f"{place} is not a {model.__name__} of this package")
    return dict(maker.keywords)


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
        """Tied weights; see :func:`~gatedrnn.bundle.format.weights_of`."""
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
        """Writes a bundle of a training; see :func:`gatedrnn.bundle.kind.export`."""
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


#: Far above any model, and far below what would keep a machine busy with numbers of a bad file.
WIDEST, DEEPEST = 1 << 20, 1000

_SIZE, _FRACTION = Range(1, WIDEST), Range(0, 1, below=True)
#: Argument of a model -> its bounds.
BOUNDS: dict[str, Range] = {
    **dict.fromkeys(
        ("size", "classes", "inputs", "input_size", "hidden_size", "proj_size", "embedding_size",
         "attention_size", "joint_size", "channels", "cutoffs", "width"),
        _SIZE,
    ),
    **dict.fromkeys(
        ("dropout", "dropout_input", "word_dropout", "ctc_weight", "label_smoothing"), _FRACTION
    ),
    **dict.fromkeys(("factor", "stacked", "pooled"), Range(1, 1000)),
    "bptt_frames": Range(0, WIDEST),
    "num_layers": Range(1, DEEPEST),
    "sample_rate": Range(1000, 384_000),
    "n_mels": Range(1, 4096),
    "hop_seconds": Range(1e-4, 1, below=True),
    "window_seconds": Range(1e-4, 1, below=True),
    "dynamic_range": Range(0, 1e6, below=True),
}  # fmt: skip


@dataclass(frozen=True)
class ModelSpec(Config):
    """Base of specifications: frozen dataclasses, checked before anything is built."""

    @abstractmethod
    def build(self) -> nn.Module:
        """Makes the model, with weights to be trained or loaded.

        Raises
        ------
        ValueError
            If there is no such recurrence, or it does not have such an option.
        """

    def build_empty(self) -> nn.Module:
        """Makes the model without memory for its weights, for their names and shapes."""
        with torch.device("meta"):
            return self.build()


def check_model_arguments(
    model: Callable[..., Any],
    values: Any,
    place: str,
    leave_out: Sequence[str] = (),
    **hints: Any,
) -> None:
    """Checks arguments of a model's class: types by its type hints, bounds by :data:`BOUNDS`.

    Arguments
    ---------
    model : callable
        The class.
    values : Any
        Argument -> value, from a file.
    place : str
        Their key, for messages.
    leave_out : sequence of str
        Arguments that may not stand in a file, such as those that only matter in training.
    **hints : Any
        Type hints in place of the class's own.

    Raises
    ------
    ConfigError
        If an argument is unknown, or a value is refused.
    """
    hints = {"network_options": Options | None, **hints}
    check_arguments(model, values, place, hints, leave_out, BOUNDS)


def model_card(name: str, summary: str, use: Sequence[str], results: Sequence[str]) -> str:
    """Writes a card.

    Arguments
    ---------
    name : str
        Name of the bundle.
    summary : str
        What the model is; paragraphs are separated by empty lines.
    use : sequence of str
        Lines of Markdown that show its use.
    results : sequence of str
        Lines of Markdown, of :func:`result_lines`.

    Returns
    -------
    str
        Markdown.

    Example
    -------
    >>> print(model_card("mine", "A model.", ["    gatedrnn list"], ["None."]))
    # mine
    <BLANKLINE>
    A model.
    <BLANKLINE>
    ## Use
    <BLANKLINE>
        gatedrnn list
    <BLANKLINE>
    ## Results
    <BLANKLINE>
    None.
    <BLANKLINE>
    """
    lines = [f"# {name}", "", summary, "", "## Use", "", *use, "", "## Results", "", *results]
    return "\n".join(lines) + "\n"


def result_lines(
    training: Mapping[str, Any], title: str, columns: Mapping[str, str], otherwise: str
) -> list[str]:
    """The results of a training's test as a table of Markdown.

    Arguments
    ---------
    training : Mapping
        ``training`` of a bundle's config.
    title : str
        What the table shows.
    columns : Mapping
        Heading -> format of a set's results, such as ``"{[WER]:.2f}"``; the first one heads the
        names of the sets.
    otherwise : str
        Line in place of the table, while there are no complete results.

    Returns
    -------
    list of str

    Example
    -------
    >>> training = {"sets": {"test": {"WER": 7.125}}, "seed": 1, "epochs": 9}
    >>> columns = {"set": "", "WER %": "{[WER]:.2f}"}
    >>> print("\\n".join(result_lines(training, "Word error rates:", columns, "")))
    Word error rates:
    <BLANKLINE>
    | set | WER % |
    |---|---|
    | test | 7.12 |
    <BLANKLINE>
    Seed 1, 9 epochs.
    """
    rows = []
    for name, metrics in (training.get("sets") or {}).items():
        try:
            cells = [form.format(metrics) for form in list(columns.values())[1:]]
        except (KeyError, TypeError, ValueError):
            continue
        rows.append(f"| {' | '.join([name, *(cell.replace('|', ' ') for cell in cells)])} |")
    lines = [otherwise]
    if rows:
        lines = [title, "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", *rows]
    if "seed" in training:
        lines += ["", f"Seed {training['seed']}, {training.get('epochs', '?')} epochs."]
    return lines


def validation_line(training: Mapping[str, Any], text: str, digits: int = 2) -> str:
    """The validation metric of a training without test results, after a text."""
    for name, value in training.items():
        if name.startswith("validation"):
            return f"{text}: {value:.{digits}f}."
    return "No results are known."


def export(
    results: str | Path,
    folder: str | Path,
    kinds: Iterable[BundleKind[Any]],
    overwrite: bool = False,
    **options: Any,
) -> tuple[BundleKind[Any], Any]:
    """Writes a bundle of the checkpoint with which a training's own test was done.

    Arguments
    ---------
    results : str or Path
        Output folder of the training.
    folder : str or Path
        The bundle.
    kinds : iterable of BundleKind
        The kinds of bundles that there are.
    overwrite : bool
        Whether a bundle that is there already is replaced.
    **options : Any
        Options of one kind only, such as ``onnx`` of recognisers; None and False are not given.

    Returns
    -------
    kind : BundleKind
        Kind of the bundle.
    bundle : Any
        As it was written.

    Raises
    ------
    FileNotFoundError
        If the folder is not a training's, or there is no checkpoint in it.
    FileExistsError
        If there is something in the bundle's folder that may not be replaced.
    ValueError
        If no file can describe the model, or it cannot be exported with such options.
    ImportError
        If an option needs a package that is not installed; then nothing is written.
    """
    results, kinds = Path(results), tuple(kinds)
    description = read_description(results)
    kind = next((kind for kind in kinds if kind.describes(description)), None)
    if kind is None:
        name = description.get("task", description.get("kind"))
        raise ValueError(f"{results}: the task of this training, {name!r}, makes no bundles")
    options = {name: value for name, value in options.items() if value not in (None, False)}
    for name in options:
        if name not in kind.export_options:
            owners = " and ".join(f"{k.noun}s" for k in kinds if name in k.export_options)
            raise ValueError(f"{results}: --{name} is for {owners}, and this is a {kind.noun}")
    return kind, kind.export(results, description, folder, overwrite, **options)
