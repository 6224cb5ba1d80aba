"""Combinations of attributes, parted so that those of the test set never occur in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

#: A value of each attribute.
Combination = tuple[str, ...]


def part(
    values: Mapping[str, Sequence[str]],
    names: Sequence[str],
    share: float = 0.125,
    seed: int = 0,
) -> dict[str, set[Combination]]:
    """Parts all combinations of some attributes between train, dev and test.

    Every single value stays in at least half of its combinations in train: what is new in test is
    how values come together, and never a value.

    Arguments
    ---------
    values : Mapping
        Attribute -> its values.
    names : sequence of str
        The attributes that make a combination, at least two.
    share : float
        Of combinations that go to dev, and again to test.
    seed : int
        Decides which.

    Returns
    -------
    dict
        "train", "dev" and "test" -> combinations, in the order of ``names``.

    Raises
    ------
    ValueError
        If there are no such attributes, or dev or test would be empty.

    Example
    -------
    >>> found = part({"colour": ["red", "blue", "green", "white"], "shape": ["circle", "square"]},
    ...              ["colour", "shape"])
    >>> {split: len(combinations) for split, combinations in found.items()}
    {'train': 6, 'dev': 1, 'test': 1}
    """
    unknown = [name for name in names if name not in values]
    if unknown or len(set(names)) < 2:
        raise ValueError(
            f"combinations must be of at least two of {', '.join(values)}, not {list(names)}"
        )
    every = list(product(*(values[name] for name in names)))
    wanted = round(share * len(every))
    # Of each value: in how many combinations it may be missing from train.
    spare = {(n, v): len(every) // len(values[n]) // 2 for n in names for v in values[n]}
    found: dict[str, set[Combination]] = {"train": set(every), "dev": set(), "test": set()}
    for index in np.random.default_rng(seed).permutation(len(every)):
        split = "test" if len(found["test"]) <= len(found["dev"]) else "dev"
        keys = list(zip(names, every[index], strict=True))
        if len(found[split]) < wanted and all(spare[key] for key in keys):
            found["train"].remove(every[index])
            found[split].add(every[index])
            for key in keys:
                spare[key] -= 1
    if not 0 < share < 0.5 or not found["dev"]:
        raise ValueError(
            f"share {share} of {len(every)} combinations: must leave at least one each for dev and "
            "test, and most for train"
        )
    return found
