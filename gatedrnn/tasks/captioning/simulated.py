"""Simulated scenes and sounds as the sets of a training, with all captions that are true."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from gatedrnn.data.report import Report
from gatedrnn.simulation.captioned import CaptionedItems
from gatedrnn.simulation.scenes import Scenes
from gatedrnn.simulation.sounds import Sounds
from gatedrnn.tasks.captioning.corpora.items import read_manifest
from gatedrnn.tasks.captioning.data import CaptionSets

#: Name -> generator.
SIMULATED: dict[str, type[CaptionedItems]] = {"scenes": Scenes, "sounds": Sounds}


def simulate(
    name: str,
    folder: str | Path,
    train: int = 2000,
    dev: int = 200,
    test: int = 500,
    seen: int = 0,
    **options: Any,
) -> CaptionSets:
    """Makes items with captions, unless they lie there already.

    How many of what come together in ``dev`` and ``test`` never does so in ``train``.

    Arguments
    ---------
    name : str
        A key of ``SIMULATED``.
    folder : str or Path
        Where the items are written.
    train : int
        Number of items to learn from.
    dev : int
        Number of items to choose by.
    test : int
        Number of items to test.
    seen : int
        Items of a further test set, new ones of the combinations that come in ``train``.
    **options : Any
        Of :class:`~gatedrnn.simulation.scenes.Scenes` or
        :class:`~gatedrnn.simulation.sounds.Sounds`.

    Returns
    -------
    CaptionSets
        With all captions that are true of each item.

    Raises
    ------
    ValueError
        If there is no such set or option, or a set would be empty.

    Example
    -------
    >>> found = simulate("scenes", getfixture("tmp_path"), train=3, dev=1, test=1, seen=2)
    >>> len(found.train), {name: len(items) for name, items in found.tests.items()}
    (3, {'test': 1, 'seen': 2})
    >>> set(found.train[0].references) <= found.true["train-000000"]
    True
    """
    if name not in SIMULATED:
        raise ValueError(f"there is no simulated {name!r}; there are: {', '.join(SIMULATED)}")
    generator = SIMULATED[name]
    unknown = sorted(set(options) - {field.name for field in fields(generator)})
    if unknown:
        known = ", ".join(field.name for field in fields(generator))
        raise ValueError(
            f"simulated {name} have no option {unknown[0]!r}; there are: train, dev, test, seen, "
            f"{known}"
        )
    if "held_out" in options:
        options["held_out"] = tuple(options["held_out"])
    counts = {"train": train + seen, "dev": dev, "test": test}
    path = generator(**options).write(folder, counts)
    contents = generator.read_contents(folder)
    items = read_manifest(path, Report(name))
    parts = {split: [item for item in items if item.split == split] for split in counts}
    tests = {"test": parts["test"], "seen": parts["train"][train:]}
    return CaptionSets(
        parts["train"][:train],
        parts["dev"],
        {split: found for split, found in tests.items() if found},
        {item.id: frozenset(contents[item.id].captions()) for item in items},
    )
