"""What a table compares: a YAML file of plain data, checked before anything runs."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatedrnn.experiments.compare.plain import Fields, read_yaml

#: Directions of a figure.
LOWER, HIGHER = "lower", "higher"
#: What times pictures: that of the wall, or of the process on its cores.
WALL, CPU = "wall", "cpu"
#: Arguments that each run has of its own.
OWN_ARGUMENTS = ("seed", "output_folder")


@dataclass(frozen=True)
class Measure:
    """A figure of a run's results.

    Arguments
    ---------
    file : str
        Name of a JSON file in the run's folder.
    key : tuple of str
        The keys that lead to the figure, from the top of the file or from its ``sets``.
    name : str
        What reports call it.
    better : str
        ``"lower"`` or ``"higher"``.
    """

    file: str
    key: tuple[str, ...]
    name: str
    better: str

    @property
    def sign(self) -> int:
        """1 if lower is better, else -1: the lowest product is the best."""
        return 1 if self.better == LOWER else -1


@dataclass(frozen=True)
class Tuning:
    """What is tried for a network before its seeds are trained.

    Arguments
    ---------
    grid : Mapping
        Argument -> values; all their combinations are tried.
    arguments : Mapping
        Arguments of these runs alone, such as fewer epochs.
    seed : int
        Their seed.
    """

    grid: Mapping[str, Sequence[Any]]
    arguments: Mapping[str, Any]
    seed: int

    def settings(self) -> list[dict[str, Any]]:
        """What is tried, in order.

        Returns
        -------
        list of dict

        Example
        -------
        >>> Tuning({"lr": [1, 2], "dropout": [0.5]}, {}, 1).settings()
        [{'lr': 1, 'dropout': 0.5}, {'lr': 2, 'dropout': 0.5}]
        """
        return [
            dict(zip(self.grid, values, strict=True))
            for values in itertools.product(*self.grid.values())
        ]


@dataclass(frozen=True)
class Part:
    """A network, or a data set: what it adds to the arguments of its runs.

    Arguments
    ---------
    name : str
        Its name in reports.
    arguments : Mapping
        Of the recipe.
    hparams : Path or None
        The recipe's YAML file, in place of the table's.
    grid : Mapping or None
        To be tuned, in place of the table's.
    measure, select : Measure or None
        In place of the table's; data sets only.
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
class Table:
    """A table of trainings.

    Arguments
    ---------
    path : Path
        The file that it was read from.
    recipe : Path
        The script that trains.
    hparams : Path or None
        Its YAML file.
    arguments : Mapping
        Of all runs.
    command_line : tuple of str
        Arguments of all runs, handed on as they are.
    seeds : tuple of int
        One run each, for each network and data set.
    baseline : str
        The network that the others are compared with.
    measure, select : Measure
        What is compared, and what settings are chosen by; ``select`` is ``None`` without tuning.
    also : tuple of Measure
        Further figures for the reports.
    tuning : Tuning or None
        What is tuned, equally for all networks.
    networks, data : tuple of Part
        What is compared, and on what.
    curve : str or None
        The figure of the training log to draw over the epochs.
    clock : str
        ``"wall"`` or ``"cpu"``: which time of a step to draw; the latter where runs share a
        machine that has no accelerator.
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
        """What is tuned for a network on a data set.

        Arguments
        ---------
        data : Part
            Of this table.
        network : Part
            Of this table.

        Returns
        -------
        Tuning or None
        """
        if self.tuning is None:
            return None
        own = network.grid if network.grid is not None else data.grid
        if own is None:
            return self.tuning
        return Tuning(own, self.tuning.arguments, self.tuning.seed)

    def measured(self, data: Part) -> Measure:
        """What is compared on a data set."""
        return data.measure or self.measure

    def selected(self, data: Part) -> Measure | None:
        """What settings are chosen by on a data set."""
        return data.select or self.select


def read_table(path: str | Path) -> Table:
    """Reads and checks the file of a table.

    Arguments
    ---------
    path : str or Path
        A YAML file of plain data.

    Returns
    -------
    Table

    Raises
    ------
    FileNotFoundError
        If it, the recipe or the recipe's YAML file is not there.
    ValueError
        If something in it is not as it should be; the message names the file and the key.
    """
    path = Path(path)
    top = Fields(read_yaml(path), path)
    table = Table(
        path=path,
        recipe=top.file("recipe", required=True),
        hparams=top.file("hparams"),
        arguments=_arguments(top, "arguments"),
        command_line=tuple(top.texts("command_line")),
        seeds=tuple(top.whole_numbers("seeds")),
        baseline=top.text("baseline"),
        measure=_measure(top.fields("measure", required=True)),
        select=_select(top),
        also=tuple(_measure(f) for f in top.list_of_fields("also")),
        tuning=_tuning(top),
        networks=_parts(top.fields("networks", required=True), data=False),
        data=_parts(top.fields("data"), data=True) or (_only_data(top),),
        curve=top.text("curve", None),
        clock=top.text("clock", WALL),
    )
    top.finish()
    _check(table)
    return table


def safe_name(name: str) -> str:
    """A name as the name of a file.

    Arguments
    ---------
    name : str
        Any text.

    Returns
    -------
    str

    Example
    -------
    >>> safe_name("RAN, tanh / 2"), safe_name("..")
    ('RAN-tanh-2', '')
    """
    return re.sub(r"[^\w.+=]+", "-", name).strip("-.")


def _arguments(fields: Fields, key: str) -> dict[str, Any]:
    found = fields.mapping(key)
    for name in found:
        if not re.fullmatch(r"\w+", name) or name in OWN_ARGUMENTS:
            fields.refuse(
                (key, name), "is an argument that every run has of its own"
                if name in OWN_ARGUMENTS else "is no name of an argument",
            )  # fmt: skip
    return found


def _measure(fields: Fields, name: str | None = None) -> Measure:
    file = fields.text("file", "results.json")
    if Path(file).name != file:
        fields.refuse(("file",), "must be the name of a file in the run's folder")
    key = tuple(fields.texts("key", required=True))
    better = fields.text("better", LOWER)
    if better not in (LOWER, HIGHER):
        fields.refuse(("better",), f"must be {LOWER} or {HIGHER}, not {better!r}")
    measure = Measure(file, key, fields.text("name", name or " ".join(key)), better)
    fields.finish()
    return measure


def _select(fields: Fields) -> Measure | None:
    found = fields.fields("select")
    return None if found is None else _measure(found)


def _grid(fields: Fields) -> dict[str, list[Any]]:
    grid = _arguments(fields, "grid")
    if not grid:
        fields.refuse(("grid",), "must hold arguments with lists of values, such as {lr: [1, 2]}")
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            fields.refuse(("grid", name), f"must be a list of values, not {values!r}")
    return grid


def _tuning(top: Fields) -> Tuning | None:
    fields = top.fields("tuning")
    if fields is None:
        return None
    tuning = Tuning(_grid(fields), _arguments(fields, "arguments"), fields.whole_number("seed", 1))
    fields.finish()
    return tuning


def _parts(fields: Fields | None, data: bool) -> tuple[Part, ...]:
    if fields is None:
        return ()
    parts = []
    for name in list(fields.left):
        one = fields.fields(name, required=True)
        own = one.fields("tuning")
        grid = None
        if own is not None:
            grid = _grid(own)
            own.finish()
        measure = one.fields("measure") if data else None
        parts.append(
            Part(
                name=name,
                hparams=one.file("hparams"),
                grid=grid,
                measure=None if measure is None else _measure(measure),
                select=_select(one) if data else None,
                arguments=_arguments(one, None),
            )
        )
        if not parts[-1].folder:
            fields.refuse((name,), "is no name: it needs a letter or a number")
    folders = [part.folder for part in parts]
    for one, other in itertools.combinations(range(len(parts)), 2):
        if folders[one] == folders[other]:
            fields.refuse(
                (parts[other].name,),
                f"and {parts[one].name!r} would have the same folder {folders[one]!r}",
            )
    return tuple(parts)


def _only_data(top: Fields) -> Part:
    """The data of a table that names none."""
    given = top.given.get("hparams") or top.given.get("recipe")
    return Part(Path(str(given)).stem, {})


def _check(table: Table) -> None:
    """What concerns several keys at once."""

    def refuse(key: str, problem: str) -> None:
        raise ValueError(f"{table.path}: {key}: {problem}")

    names = [network.name for network in table.networks]
    if table.clock not in (WALL, CPU):
        refuse("clock", f"must be {WALL} or {CPU}, not {table.clock!r}")
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
            refuse("select", "is needed for tuning: the development figure to choose by")
        if (select.file, select.key) == (table.measured(data).file, table.measured(data).key):
            refuse(
                "select",
                "is the measure itself: settings must be chosen by a figure of development data",
            )
