"""From a language model's training to its bundle, or to its use as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatedrnn.bundle.files import TOKENS
from gatedrnn.bundle.from_training import TRAINING_KEYS, load_either, outdated, take_best
from gatedrnn.modules.parameter_budget import parameters
from gatedrnn.tasks.language_modeling.bundle import (
    LanguageModel,
    LanguageModelConfig,
    read_language_model,
    write_language_model,
)
from gatedrnn.tasks.language_modeling.specification import TextModelSpec
from gatedrnn.tasks.language_modeling.train import LanguageModelBrain
from gatedrnn.tokens import read_text_tokens
from gatedrnn.training.model_description import FILE as DESCRIPTION
from gatedrnn.training.model_description import TEXT


def load_language_model(folder: str | Path) -> LanguageModel:
    """Reads a language model from its bundle, or from the output folder of its training.

    Arguments
    ---------
    folder : str or Path
        Either of them.

    Returns
    -------
    LanguageModel

    Raises
    ------
    FileNotFoundError
        If the folder is neither, or has no checkpoint.
    ValueError
        If a file is broken, or the model is no language model.
    """
    return load_either(folder, read_language_model, trained_language_model)


def trained_language_model(results: str | Path, description: Mapping[str, Any]) -> LanguageModel:
    """Reads the language model that a training has left: that of its own test.

    Arguments
    ---------
    results : str or Path
        Output folder of the training.
    description : Mapping
        What ``model.json`` says.

    Returns
    -------
    LanguageModel

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint.
    ValueError
        If plain data cannot describe the model, or it is no language model.
    """
    results = Path(results)
    if description.get("kind") != TEXT:
        raise ValueError(f"{results} is the training of another model, not of a language model")
    if "problem" in description:
        raise ValueError(f"the model of {results} cannot be exported: {description['problem']}")
    values = {k: v for k, v in description.items() if k not in ("kind", *TRAINING_KEYS)}
    try:
        spec = TextModelSpec.from_dict(values)
    except ValueError as error:
        raise outdated(results, error) from error
    tokens = read_text_tokens(results / TOKENS, spec.vocabulary, DESCRIPTION)
    model = spec.build()
    training = take_best(results, model, LanguageModelBrain)
    return LanguageModel(LanguageModelConfig(spec, training=training), tokens, model)


def export_language_model(
    results: str | Path,
    description: Mapping[str, Any],
    bundle: str | Path,
    overwrite: bool = False,
) -> LanguageModelConfig:
    """Makes a bundle of what a language model's training has left.

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
    LanguageModelConfig

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint.
    FileExistsError
        If there is something in the bundle's folder that may not be replaced.
    ValueError
        If plain data cannot describe the model.
    """
    found = trained_language_model(results, description)
    more = {"README.md": language_model_card(Path(bundle).name, found)}
    return write_language_model(bundle, found.config, found.tokens, found.model, more, overwrite)


def language_model_card(name: str, found: LanguageModel) -> str:
    """Writes the model card of a language model.

    Arguments
    ---------
    name : str
        Name of the bundle.
    found : LanguageModel
        The model.

    Returns
    -------
    str
        Markdown.
    """
    spec, training = found.config.model, found.config.training
    options = {"network": "lstmp", "num_layers": 2, "hidden_size": 650, **spec.model}
    read = "running text, the state going on" if spec.carry_state else "lines by themselves"
    lines = [
        f"# {name}",
        "",
        f"A language model: {options['num_layers']} layers of `{options['network']}`, "
        f"{options['hidden_size']} cells each; {spec.vocabulary} tokens ({found.tokens.kind}), "
        f"{parameters(found.model):,} parameters; trained on {read}.",
        "",
        "## Use",
        "",
        f"    gatedrnn perplexity {name} text.txt",
        f"    gatedrnn generate {name} --prompt 'so'",
        f"    gatedrnn rescore {name} nbest_dev.jsonl nbest_test.jsonl",
        "",
        "## Measured",
        "",
    ]
    sets = training.get("sets") or {}
    if sets:
        lines += [
            "In the training's own test; `open` with unknown words spelled out:",
            "",
            "| text | perplexity per word | open | bits per character | words | unknown |",
            "|---|---|---|---|---|---|",
        ]
    lines += [
        f"| {text} | {f['perplexity']:.2f} | {f['open perplexity']:.2f} | "
        f"{f['bits per character']:.3f} | {f['words']} | {f['unknown']} |"
        for text, f in sets.items()
    ]
    if not sets:
        lines.append(f"Perplexity on the validation text: {training['validation perplexity']:.2f}.")
    if "seed" in training:
        lines += ["", f"Seed {training['seed']}, {training.get('epochs', '?')} epochs."]
    return "\n".join(lines) + "\n"
