"""From a captioner's training to its bundle, or to its use as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gatedrnn.bundle.from_training import load_either, outdated, take_best
from gatedrnn.modules.parameter_budget import parameters
from gatedrnn.tasks.captioning.bundle import (
    CaptionerBundle,
    CaptionerConfig,
    read_captioner,
    write_captioner,
)
from gatedrnn.tasks.captioning.corpora.media import MediaOptions
from gatedrnn.tasks.captioning.specification import CaptionerSpec
from gatedrnn.tasks.captioning.train import CaptionBrain
from gatedrnn.tokens import load_vocabulary
from gatedrnn.training.model_description import CAPTIONS

#: Of the training's test, in the card.
_MEASURES = ("BLEU-1", "BLEU-4", "ROUGE-L", "CIDEr-D", "exact match")


def load_captioner(folder: str | Path) -> CaptionerBundle:
    """Reads a captioner from its bundle, or from the output folder of its training.

    Arguments
    ---------
    folder : str or Path
        Either of them.

    Returns
    -------
    CaptionerBundle

    Raises
    ------
    FileNotFoundError
        If the folder is neither, or has no checkpoint.
    ValueError
        If a file is broken, or the model is no captioner.
    """
    return load_either(folder, read_captioner, trained_captioner)


def trained_captioner(results: str | Path, description: Mapping[str, Any]) -> CaptionerBundle:
    """Reads the captioner that a training has left: that of its own test.

    Arguments
    ---------
    results : str or Path
        Output folder of the training.
    description : Mapping
        What ``model.json`` says.

    Returns
    -------
    CaptionerBundle

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint.
    ValueError
        If it is no captioner's training.
    """
    results = Path(results)
    if description.get("kind") != CAPTIONS:
        raise ValueError(f"{results} is the training of another model, not of a captioner")
    try:
        spec = CaptionerSpec.from_dict(description["model"])
        media = MediaOptions.from_dict(description["media"])
        config = CaptionerConfig(spec, media, description.get("beam_size", 1))
    except (ValueError, KeyError) as error:
        raise outdated(results, error) from error
    vocabulary = load_vocabulary(results / "tokens.json")
    model = spec.build()
    config = replace(config, training=take_best(results, model, CaptionBrain))
    return CaptionerBundle(config, vocabulary, model)


def export_captioner(
    results: str | Path,
    description: Mapping[str, Any],
    bundle: str | Path,
    overwrite: bool = False,
) -> CaptionerConfig:
    """Makes a bundle of what a captioner's training has left.

    Arguments
    ---------
    results : str or Path
        Output folder of the training.
    description : Mapping
        What ``model.json`` says.
    bundle : str or Path
        Folder to write.
    overwrite : bool
        Whether a bundle that is there already may be replaced.

    Returns
    -------
    CaptionerConfig

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint.
    FileExistsError
        If there is something in the bundle's folder that may not be replaced.
    ValueError
        If it is no captioner's training.
    """
    found = trained_captioner(results, description)
    more = {"README.md": captioner_card(Path(bundle).name, found)}
    return write_captioner(bundle, found, more, overwrite)


def captioner_card(name: str, found: CaptionerBundle) -> str:
    """Writes the model card of a captioner.

    Arguments
    ---------
    name : str
        Name of the bundle.
    found : CaptionerBundle
        The captioner.

    Returns
    -------
    str
        Markdown.
    """
    spec, training = found.config.model, found.config.training
    decoder = {"network": "lstmp", "num_layers": 1, "hidden_size": 512, **spec.decoder}
    attention = decoder.get("attention", "soft")
    kind = attention if isinstance(attention, str) else attention.get("kind", "soft")
    reads = {"image": "images", "audio": "recordings", "features": "features"}[spec.media]
    lines = [
        f"# {name}",
        "",
        f"A captioner of {reads}: encoder `{spec.kind}`, {kind.replace('_', '-')} attention, "
        f"{decoder['num_layers']} layers of `{decoder['network']}` with {decoder['hidden_size']} "
        f"cells each; {spec.vocabulary} words, {parameters(found.model):,} parameters.",
        "",
        "## Use",
        "",
        f"    gatedrnn caption {name} FILE_OR_FOLDER...",
        "",
        "## Measured",
        "",
    ]
    sets = training.get("sets") or {}
    if sets:
        lines += [
            f"In the training's own test, beam {found.config.beam_size}:",
            "",
            f"| set | items | {' | '.join(_MEASURES)} |",
            f"|---|---|{'---|' * len(_MEASURES)}",
        ]
    for one, figures in sets.items():
        scores = " | ".join(f"{figures[measure]:.4f}" for measure in _MEASURES)
        lines.append(f"| {one} | {figures['items']} | {scores} |")
    if not sets:
        metric = CaptionBrain.valid_metric
        value = training[f"validation {metric}"]
        lines.append(f"{metric} of greedy captions of the validation set: {value:.4f}.")
    if "seed" in training:
        lines += ["", f"Seed {training['seed']}, {training.get('epochs', '?')} epochs."]
    return "\n".join(lines) + "\n"
