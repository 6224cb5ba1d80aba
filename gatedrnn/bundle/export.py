"""From the output folder of a training to a bundle."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gatedrnn.bundle.from_training import read_description
from gatedrnn.bundle.kind import BundleKind


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
