"""Bundles: a trained recogniser as a folder of plain data, which executes nothing when it is read.

``config.json`` says what the model is, ``model.safetensors`` holds its weights and ``tokens.json``
what it spells with; ``README.md`` (a model card) and ``hyperparams.yaml`` (for SpeechBrain's own
``EncoderASR``) are for others and are never read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from gatedrnn import __version__
from gatedrnn.inference import weights as safe
from gatedrnn.inference.config import BundleConfig, read_config
from gatedrnn.inference.folder import (
    CONFIG,
    FILES,
    TOKENS,
    WEIGHTS,
    check_files,
    check_present,
    entry_of,
    replacing,
    write_config,
)
from gatedrnn.inference.frontend import Frontend
from gatedrnn.training import tokens as tokenization


@dataclass(frozen=True)
class Bundle:
    """A recogniser, ready to run.

    Arguments
    ---------
    config : BundleConfig
        What it is.
    tokens : Tokens
        What it spells with.
    frontend : Frontend
        Signals to features.
    model : nn.Module
        Features to scores.
    """

    config: BundleConfig
    tokens: Any
    frontend: Frontend
    model: nn.Module


def read_bundle(folder: str | Path) -> Bundle:
    """Reads a bundle, on the CPU.

    What its files say is compared with each other before memory is taken for weights.

    Arguments
    ---------
    folder : str or Path
        The bundle.

    Returns
    -------
    Bundle

    Raises
    ------
    FileNotFoundError
        If the folder or a file of it is missing.
    ValueError
        If a file is broken, or does not fit the others; it names the file, what is wrong, and what
        would be right.
    """
    folder = Path(folder)
    config = read_config(folder)
    check_present(folder)
    shapes = safe.read_shapes(folder / WEIGHTS)
    check_files(folder, config.files)
    tokens = _read_tokens(folder / TOKENS, config.model.vocabulary)
    path = folder / WEIGHTS
    try:
        model = config.model.build_empty()
        features = config.model.build_features()
    except ValueError as error:
        raise ValueError(f"{folder / CONFIG}: {error}") from error
    wanted = {safe.MODEL + name: tuple(v.shape) for name, v in model.state_dict().items()}
    if config.model.normalisation == "global":
        bands = (features.options["n_mels"],)
        wanted |= {safe.MEAN: bands, safe.STD: bands}
    safe.check_shapes(shapes, wanted, path)
    weights = safe.read_weights(path)
    statistics = None
    if config.model.normalisation == "global":
        statistics = weights.pop(safe.MEAN), weights.pop(safe.STD)
    state = {name.removeprefix(safe.MODEL): value for name, value in weights.items()}
    model.load_state_dict(state, assign=True)
    model.eval().requires_grad_(False)
    return Bundle(config, tokens, Frontend(features, statistics), model)


def write_bundle(
    folder: str | Path,
    config: BundleConfig,
    tokens: Any,
    model: nn.Module,
    statistics: tuple[torch.Tensor, torch.Tensor] | None = None,
    more: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> BundleConfig:
    """Writes a bundle, whole or not at all.

    Arguments
    ---------
    folder : str or Path
        The bundle.
    config : BundleConfig
        What it is; sizes and checksums of the files are filled in.
    tokens : Tokens
        What it spells with.
    model : nn.Module
        Built as ``config.model`` says.
    statistics : (torch.Tensor, torch.Tensor) or None
        Mean and standard deviation of the features, for ``normalisation: global``.
    more : Mapping or None
        Name -> text of further files.
    overwrite : bool
        Whether a bundle that is there already may be replaced.

    Returns
    -------
    BundleConfig
        As it was written.

    Raises
    ------
    FileExistsError
        If there is something in the folder that may not be replaced.

    Example
    -------
    >>> from gatedrnn.lobes.specification import RecogniserSpec
    >>> from gatedrnn.training.tokens import Characters
    >>> tokens = Characters.learn(["GO ON"])
    >>> spec = RecogniserSpec(len(tokens), {"num_layers": 1, "hidden_size": 4, "proj_size": 2})
    >>> folder = getfixture("tmp_path") / "bundle"
    >>> _ = write_bundle(folder, BundleConfig(spec), tokens, spec.build())
    >>> sorted(path.name for path in folder.iterdir())
    ['config.json', 'model.safetensors', 'tokens.json']
    >>> read_bundle(folder).tokens.names
    ['<blank>', ' ', 'G', 'N', 'O']
    """
    with replacing(folder, overwrite) as draft:
        weights = {safe.MODEL + n: v.detach().cpu() for n, v in model.state_dict().items()}
        if statistics is not None:
            weights |= dict(zip((safe.MEAN, safe.STD), statistics, strict=True))
        weights = {n: v.to(torch.float32).contiguous().clone() for n, v in weights.items()}
        save_file(weights, draft / WEIGHTS, metadata={"format": "pt"})
        tokenization.save(tokens, draft / TOKENS)
        config = replace(
            config,
            made_by=f"gatedrnn {__version__}",
            files={name: entry_of(draft / name) for name in FILES},
        )
        write_config(draft, config.to_dict(), more)
    return config


def _read_tokens(path: Path, vocabulary: int) -> Any:
    try:
        tokens = tokenization.load(path)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path} does not hold the tokens of a bundle: {error}") from error
    if len(tokens) != vocabulary:
        raise ValueError(
            f"{path} has {len(tokens)} tokens, and the model of {CONFIG} scores {vocabulary}"
        )
    return tokens
