"""Bundles: a trained recogniser as a folder of plain data, which executes nothing when it is read.

``config.json`` says what the model is, ``model.safetensors`` holds its weights and ``tokens.json``
what it spells with; in a folder ``lm`` may lie a language model, which is a bundle by itself;
``README.md`` (a model card) and ``hyperparams.yaml`` (for SpeechBrain's own ``EncoderASR``) are for
others and are never read here.
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
from gatedrnn.bundle import weights as safe
from gatedrnn.bundle.files import (
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
from gatedrnn.tasks.asr.bundle_config import BundleConfig, read_config
from gatedrnn.tasks.asr.decode import SearchOptions
from gatedrnn.tasks.asr.frontend import Frontend
from gatedrnn.tasks.asr.lm_integration import FOLDER, ExternalLM
from gatedrnn.tasks.language_modeling.bundle import (
    LanguageModel,
    read_language_model,
    write_language_model,
)
from gatedrnn.tokens import BLANK_NAME, load, save


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
    language_model : LanguageModel or None
        The language model that ``config.search`` has the options for.
    """

    config: BundleConfig
    tokens: Any
    frontend: Frontend
    model: nn.Module
    language_model: LanguageModel | None = None

    def with_language_model(self, language_model: LanguageModel, options: SearchOptions) -> Bundle:
        """The same recognizer with a language model, instead of its own if it has one.

        Arguments
        ---------
        language_model : LanguageModel
            The language model.
        options : SearchOptions
            Options of the search, with ``lm_mode``, width of the beam and weights.

        Returns
        -------
        Bundle

        Raises
        ------
        ValueError
            If the recognizer cannot use the language model so.
        """
        ExternalLM(language_model, options, self.tokens)
        config = replace(self.config, search=options)
        return replace(self, config=config, language_model=language_model)

    def without_language_model(self) -> Bundle:
        """The same recognizer without a language model."""
        config = replace(self.config, search=replace(self.config.search, lm_mode=None))
        return replace(self, config=config, language_model=None)


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
    tokens = load(folder / TOKENS, BLANK_NAME, config.model.vocabulary)
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
    language_model = None
    if config.search.lm_mode is not None:
        language_model = read_language_model(folder / FOLDER)
        try:
            ExternalLM(language_model, config.search, tokens)
        except ValueError as error:
            raise ValueError(f"{folder / FOLDER}: {error}") from error
    return Bundle(config, tokens, Frontend(features, statistics), model, language_model)


def write_bundle(
    folder: str | Path,
    config: BundleConfig,
    tokens: Any,
    model: nn.Module,
    statistics: tuple[torch.Tensor, torch.Tensor] | None = None,
    more: Mapping[str, str] | None = None,
    overwrite: bool = False,
    language_model: LanguageModel | None = None,
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
    language_model : LanguageModel or None
        What ``config.search`` has the options for.

    Returns
    -------
    BundleConfig
        As it was written.

    Raises
    ------
    FileExistsError
        If there is something in the folder that may not be replaced.
    ValueError
        If there is a language model and the config does not say how it is used, or the other way
        round.

    Example
    -------
    >>> from gatedrnn.tasks.asr.specification import RecogniserSpec
    >>> from gatedrnn.tokens import Characters
    >>> tokens = Characters.learn(["GO ON"])
    >>> spec = RecogniserSpec(len(tokens), {"num_layers": 1, "hidden_size": 4, "proj_size": 2})
    >>> folder = getfixture("tmp_path") / "bundle"
    >>> _ = write_bundle(folder, BundleConfig(spec), tokens, spec.build())
    >>> sorted(path.name for path in folder.iterdir())
    ['config.json', 'model.safetensors', 'tokens.json']
    >>> read_bundle(folder).tokens.names
    ['<blank>', ' ', 'G', 'N', 'O']
    """
    if (language_model is None) != (config.search.lm_mode is None):
        raise ValueError("a language model and its options (config.search.lm_mode) go together")
    with replacing(folder, overwrite) as draft:
        weights = {safe.MODEL + n: v.detach().cpu() for n, v in model.state_dict().items()}
        if statistics is not None:
            weights |= dict(zip((safe.MEAN, safe.STD), statistics, strict=True))
        weights = {n: v.to(torch.float32).contiguous().clone() for n, v in weights.items()}
        save_file(weights, draft / WEIGHTS, metadata={"format": "pt"})
        save(tokens, draft / TOKENS)
        config = replace(
            config,
            made_by=f"gatedrnn {__version__}",
            files={name: entry_of(draft / name) for name in FILES},
        )
        if language_model is not None:
            found = language_model
            write_language_model(draft / FOLDER, found.config, found.tokens, found.model)
        write_config(draft, config.to_dict(), more)
    return config
