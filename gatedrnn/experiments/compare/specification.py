"""Specification of a table of trainings: a YAML file that is checked before anything runs."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml

from gatedrnn.data.config import Choices, Config, ConfigError, from_mapping

#: Directions of a metric.
LOWER, HIGHER = "lower", "higher"
#: Time of a step in plots: wall-clock time, or CPU time of the process.
WALL, CPU = "wall", "cpu"
#: Arguments that each run has of its own.
OWN_ARGUMENTS = ("seed", "output_folder")


@dataclass(frozen=True)
class Measure(Config):
    """A metric of a run's results.

    key: The keys that lead to the metric, from the top of the file or from its ``sets``.
    file: Name of a JSON file in the run's folder.
    name: Name in reports; by default the keys.
    better: ``"lower"`` or ``"higher"``.
    """

    key: str | tuple[str, ...]
    file: str = "results.json"
    name: str = ""
    better: Annotated[str, Choices(LOWER, HIGHER)] = LOWER

    def __post_init__(self) -> None:
        super().__post_init__()
        if Path(self.file).name != self.file:
            raise ValueError(
                f"file must be the name of a file in the run's folder, not {self.file!r}"
            )
        key = (self.key,) if isinstance(self.key, str) else tuple(self.key)
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "name", self.name or " ".join(key))

    @property
    def sign(self) -> int:
        """1 if lower is better, else -1: the best run has the lowest product."""
        return 1 if self.better == LOWER else -1


@dataclass(frozen=True)
class Grid(Config):
    """Argument -> list of values; all their combinations are tried."""

    grid: Mapping[str, Any]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.grid:
            raise ValueError("grid must hold arguments with lists of values, such as {lr: [1, 2]}")
        _check_arguments(self.grid, "grid")
        for name, values in self.grid.items():
            if not isinstance(values, list) or not values:
                raise ValueError(f"grid: {name} must be a list of values, not {values!r}")


@dataclass(frozen=True)
class Tuning(Grid):
    """Settings that are tried for a network before its seeds are trained.

    grid: Argument -> values; all their combinations are tried.
    arguments: Arguments of these runs alone, such as fewer epochs.
    seed: Seed of these runs.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_arguments(self.arguments, "arguments")

    def settings(self) -> list[dict[str, Any]]:
        """The combinations, in order."""
        return [
            dict(zip(self.grid, values, strict=True))
            for values in itertools.product(*self.grid.values())
        ]


@dataclass(frozen=True)
class Part:
    """A network or a data set: what it adds to the arguments of its runs.

    arguments: Arguments of the recipe.
    hparams: The recipe's YAML file, in place of the table's.
    grid: Grid of tuning, in place of the table's.
    measure, select: In place of the table's; data sets only.
    """

    name: str
    arguments: Mapping[str, Any]
    hparams: Path | None = None
    grid: Mapping[str, Sequence[Any]] | None = None
    measure: Measure | None = None
    select: Measure | None = None

    @property
    def folder(self) -> str:
        """Its name as the name of a folder."""
        return safe_name(self.name)


@dataclass(frozen=True)
class _NetworkKeys(Config):
    """Keys of a network that are not arguments."""

    hparams: str | None = None
    tuning: Grid | None = None


@dataclass(frozen=True)
class _DataKeys(_NetworkKeys):
    """Keys of a data set that are not arguments."""

    measure: Measure | None = None
    select: Measure | None = None


@dataclass(frozen=True)
class _TableKeys(Config):
    """Keys of the file; see :class:`Table`."""

    recipe: str
    seeds: list[int]
    baseline: str
    measure: Measure
    networks: Mapping[str, Any]
    hparams: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    command_line: str | list[str] = field(default_factory=list)
    select: Measure | None = None
    also: list[Measure] = field(default_factory=list)
    tuning: Tuning | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    curve: str | None = None
    clock: Annotated[str, Choices(WALL, CPU)] = WALL

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_arguments(self.arguments, "arguments")


@dataclass(frozen=True)
class Table:
    """A table of trainings.

    recipe: The script that trains.
    hparams: Its YAML file.
    arguments: Of all runs.
    command_line: Arguments of all runs, passed on as they are.
    seeds: One run each, for each network and data set.
    baseline: The network that the others are compared with.
    measure, select: The metric that is compared, and that of development data by which settings
        are chosen; ``select`` is None without tuning.
    also: Further metrics for the reports.
    tuning: What is tuned, equally for all networks.
    networks, data: What is compared, and on what.
    curve: The metric of the training log to plot over the epochs.
    clock: ``"wall"`` or ``"cpu"``: time of a step in plots; the latter where runs share a
        machine without accelerator.
    """

    path: Path
    recipe: Path
    hparams: Path | None
    arguments: Mapping[str, Any]
    command_line: tuple[str, ...]
    seeds: tuple[int, ...]
    baseline: str
    measure: Measure
    select: Measure | None
    also: tuple[Measure, ...]
    tuning: Tuning | None
    networks: tuple[Part, ...]
    data: tuple[Part, ...]
    curve: str | None = None
    clock: str = WALL

    def tuned(self, data: Part, network: Part) -> Tuning | None:
        """The tuning of a network on a data set; None without any."""
        if self.tuning is None:
            return None
        own = network.grid if network.grid is not None else data.grid
        if own is None:
            return self.tuning
        return Tuning(own, self.tuning.arguments, self.tuning.seed)

    def measured(self, data: Part) -> Measure:
        """The metric that is compared on a data set."""
        return data.measure or self.measure

    def selected(self, data: Part) -> Measure | None:
        """The metric by which settings are chosen on a data set."""
        return data.select or self.select


def read_table(path: str | Path) -> Table:
    """Reads and checks the file of a table."""
    path = Path(path)
    keys = from_mapping(_TableKeys, read_yaml(path), str(path), null_is_missing=True)
    command_line = keys.command_line
    table = Table(
        path=path,
        recipe=_file(path, "recipe", keys.recipe),
        hparams=_file(path, "hparams", keys.hparams),
        arguments=keys.arguments,
        command_line=(command_line,) if isinstance(command_line, str) else tuple(command_line),
        seeds=tuple(keys.seeds),
        baseline=keys.baseline,
        measure=keys.measure,
        select=keys.select,
        also=tuple(keys.also),
        tuning=keys.tuning,
        networks=_parts(path, "networks", keys.networks, _NetworkKeys),
        data=_parts(path, "data", keys.data, _DataKeys)
        or (Part(Path(keys.hparams or keys.recipe).stem, {}),),
        curve=keys.curve,
        clock=keys.clock,
    )
    _check(table)
    return table


def read_yaml(path: Path) -> Any:
    """Reads a YAML file without executing anything in it.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.yaml"
    >>> _ = path.write_text("seeds: [1, 2]")
    >>> read_yaml(path)
    {'seeds': [1, 2]}
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML without tags: {error}") from error


def as_argument(value: Any) -> str:
    """A value as a recipe's command line takes it: YAML on one line.

    Example
    -------
    >>> [as_argument(v) for v in (0.5, "ran", True, None, {"output": "tanh"}, [1, 2], "1")]
    ['0.5', 'ran', 'true', '~', '{output: tanh}', '[1, 2]', "'1'"]
    """
    if value is None:
        return "~"  # recipes take null for a flag whose value was forgotten
    text = yaml.safe_dump(
        value, default_flow_style=True, width=math.inf, sort_keys=False, allow_unicode=True
    )
    return text.removesuffix("...\n").strip()


def safe_name(name: str) -> str:
    """A name as the name of a file.

    Example
    -------
    >>> safe_name("RAN, tanh / 2"), safe_name("..")
    ('RAN-tanh-2', '')
    """
    return re.sub(r"[^\w.+=]+", "-", name).strip("-.")


def _check_arguments(arguments: Mapping[str, Any], place: str) -> None:
    """Raises ValueError if a key cannot be an argument of the recipe."""
    for name in arguments:
        if name in OWN_ARGUMENTS:
            raise ValueError(f"{place}: {name}: is an argument that every run has of its own")
        if not isinstance(name, str) or not re.fullmatch(r"\w+", name):
            raise ValueError(f"{place}: {name}: is no name of an argument")


def _file(table: Path, place: str, name: str | None) -> Path | None:
    """A file that is named relative to the table's."""
    if name is None:
        return None
    path = (table.parent / name).resolve()
    if not path.is_file():
        raise FileNotFoundError(f"{table}: {place}: there is no file {path}")
    return path


def _parts(
    table: Path, key: str, values: Mapping[str, Any], keys_class: type[_NetworkKeys]
) -> tuple[Part, ...]:
    parts: list[Part] = []
    for name, value in values.items():
        place = f"{table}: {key}: {name}"
        if not isinstance(value, Mapping | None):
            raise ConfigError(f"{place}: must be an object with named values, not {value!r}")
        known = keys_class.__dataclass_fields__
        own = {k: v for k, v in (value or {}).items() if k in known}
        keys = from_mapping(keys_class, own, place, null_is_missing=True)
        arguments = {k: v for k, v in (value or {}).items() if k not in known}
        _check_arguments(arguments, place)
        part = Part(
            name=name,
            arguments=arguments,
            hparams=_file(table, f"{key}: {name}: hparams", keys.hparams),
            grid=None if keys.tuning is None else keys.tuning.grid,
            measure=getattr(keys, "measure", None),
            select=getattr(keys, "select", None),
        )
        if not part.folder:
            raise ConfigError(f"{place}: is no name: it needs a letter or a number")
        for earlier in parts:
            if earlier.folder == part.folder:
                raise ConfigError(
                    f"{place}: and {earlier.name!r} would have the same folder {part.folder!r}"
                )
        parts.append(part)
    return tuple(parts)


def _check(table: Table) -> None:
    """What concerns several keys at once."""

    def refuse(key: str, problem: str) -> None:
        raise ValueError(f"{table.path}: {key}: {problem}")

    names = [network.name for network in table.networks]
    if not names:
        refuse("networks", "must name at least one network")
    if table.baseline not in names:
        refuse("baseline", f"{table.baseline!r} is not among networks: {', '.join(names)}")
    if not table.seeds or len(set(table.seeds)) != len(table.seeds):
        refuse("seeds", "must be different whole numbers, at least one")
    if table.tuning is None:
        own = [part.name for part in (*table.networks, *table.data) if part.grid is not None]
        if own:
            refuse(f"{own[0]}: tuning", "unequal tuning effort: the others are not tuned")
        return
    effort = len(table.tuning.settings())
    for part in (*table.networks, *table.data):
        if part.grid is not None:
            own = math.prod(len(values) for values in part.grid.values())
            if own != effort:
                refuse(
                    f"{part.name}: tuning",
                    f"unequal tuning effort: {own} settings, where the others have {effort}",
                )
    for data in table.data:
        select = table.selected(data)
        if select is None:
            refuse("select", "is needed for tuning: the metric of development data to choose by")
        if (select.file, select.key) == (table.measured(data).file, table.measured(data).key):
            refuse(
                "select",
                "is the measure itself: settings must be chosen by a metric of development data",
            )
