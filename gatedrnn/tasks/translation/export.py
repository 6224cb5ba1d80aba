"""From a translator's training to its bundle, or to its use as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gatedrnn.bundle.from_training import load_either, outdated, take_best
from gatedrnn.modules.parameter_budget import parameters
from gatedrnn.tasks.translation.bundle import (
    SOURCE_TOKENS,
    TARGET_TOKENS,
    TranslatorBundle,
    TranslatorConfig,
    read_translator,
    search_from_dict,
    write_translator,
)
from gatedrnn.tasks.translation.corpora import Languages
from gatedrnn.tasks.translation.model import TranslatorSpec
from gatedrnn.tasks.translation.train import TranslationBrain
from gatedrnn.tokens import read_text_tokens
from gatedrnn.training.model_description import FILE as DESCRIPTION
from gatedrnn.training.model_description import TRANSLATIONS

#: Of the training's test, in the card.
_MEASURES = ("sentences", "BLEU", "greedy BLEU", "chrF", "signature")


def load_translator(folder: str | Path) -> TranslatorBundle:
    """Reads a translator from its bundle, or from the output folder of its training.

    Arguments
    ---------
    folder : str or Path
        Either of them.

    Returns
    -------
    TranslatorBundle

    Raises
    ------
    FileNotFoundError
        If the folder is neither, or has no checkpoint.
    ValueError
        If a file is broken, or the model is no translator.
    """
    return load_either(folder, read_translator, trained_translator)


def trained_translator(results: str | Path, description: Mapping[str, Any]) -> TranslatorBundle:
    """Reads the translator that a training has left: that of its own test.

    Arguments
    ---------
    results : str or Path
        Output folder of the training.
    description : Mapping
        What ``model.json`` says.

    Returns
    -------
    TranslatorBundle

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint.
    ValueError
        If it is no translator's training.
    """
    results = Path(results)
    if description.get("kind") != TRANSLATIONS:
        raise ValueError(f"{results} is the training of another model, not of a translator")
    try:
        spec = TranslatorSpec.from_dict(description["model"])
        languages = Languages.from_dict(description["languages"])
        config = TranslatorConfig(spec, languages, search_from_dict(description["search"]))
    except (ValueError, KeyError) as error:
        raise outdated(results, error) from error
    source = read_text_tokens(results / SOURCE_TOKENS, spec.source, DESCRIPTION)
    target = read_text_tokens(results / TARGET_TOKENS, spec.vocabulary, DESCRIPTION)
    model = spec.build()
    config = replace(config, training=take_best(results, model, TranslationBrain))
    return TranslatorBundle(config, source, target, model)


def export_translator(
    results: str | Path,
    description: Mapping[str, Any],
    bundle: str | Path,
    overwrite: bool = False,
) -> TranslatorConfig:
    """Makes a bundle of what a translator's training has left.

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
    TranslatorConfig

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint.
    FileExistsError
        If there is something in the bundle's folder that may not be replaced.
    ValueError
        If it is no translator's training.
    """
    found = trained_translator(results, description)
    more = {"README.md": translator_card(Path(bundle).name, found)}
    return write_translator(bundle, found, more, overwrite)


def translator_card(name: str, found: TranslatorBundle) -> str:
    """Writes the model card of a translator.

    Arguments
    ---------
    name : str
        Name of the bundle.
    found : TranslatorBundle
        The translator.

    Returns
    -------
    str
        Markdown.
    """
    config = found.config
    spec, training, languages = config.model, config.training, config.languages
    usual = {"network": "lstmp", "num_layers": 1, "hidden_size": 512}
    sides = [
        f"{side['num_layers']} layers of `{side['network']}` with {side['hidden_size']} cells each"
        for side in ({**usual, "hidden_size": 256, **spec.encoder}, {**usual, **spec.decoder})
    ]
    directions = "in both directions" if spec.encoder.get("bidirectional", True) else "forward"
    attention = spec.decoder.get("attention", "soft")
    kind = attention if isinstance(attention, str) else attention.get("kind", "soft")
    small = "; in small letters" if languages.lowercase else ""
    lines = [
        f"# {name}",
        "",
        f"A translator from `{languages.source}` to `{languages.target}`{small}. It reads "
        f"{directions}: {sides[0]}; {kind.replace('_', '-')} attention; it writes: {sides[1]}. "
        f"{spec.source} and {spec.vocabulary} tokens ({found.source.kind}, {found.target.kind}), "
        f"{parameters(found.model):,} parameters.",
        "",
        "## Use",
        "",
        f"    gatedrnn translate {name} FILE...",
        "",
        "## Measured",
        "",
    ]
    sets = {
        one: figures
        for one, figures in (training.get("sets") or {}).items()
        if isinstance(figures, Mapping) and figures.keys() >= set(_MEASURES)
    }
    if sets:
        lines += [
            f"In the training's own test, beam {config.search.beam_size}, by sacreBLEU:",
            "",
            "| set | sentences | BLEU | greedy BLEU | chrF | signature of BLEU |",
            "|---|---|---|---|---|---|",
        ]
    lines += [
        f"| {one} | {f['sentences']} | {f['BLEU']:.2f} | {f['greedy BLEU']:.2f} | "
        f"{f['chrF']:.2f} | `{f['signature'].replace('|', ' ')}` |"
        for one, f in sets.items()
    ]
    if not sets:
        value = training[f"validation {TranslationBrain.valid_metric}"]
        lines.append(f"BLEU of greedy translations of the validation sentences: {value:.2f}.")
    if "seed" in training:
        lines += ["", f"Seed {training['seed']}, {training.get('epochs', '?')} epochs."]
    return "\n".join(lines) + "\n"
