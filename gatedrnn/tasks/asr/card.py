"""The model card of a bundle: what it is, what it was measured at, and how it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatedrnn.modules.parameter_budget import parameters as count
from gatedrnn.tasks.asr.bundle_config import BundleConfig
from gatedrnn.tasks.asr.decode import FUSION
from gatedrnn.tasks.asr.lm_integration import FOLDER
from gatedrnn.tasks.language_modeling.bundle import LanguageModel


def model_card(
    name: str, config: BundleConfig, parameters: int, language_model: LanguageModel | None = None
) -> str:
    """Writes the card.

    Arguments
    ---------
    name : str
        Name of the bundle.
    config : BundleConfig
        What it is.
    parameters : int
        Number of its weights.
    language_model : LanguageModel or None
        The language model that it is used with.

    Returns
    -------
    str
        Markdown.

    Example
    -------
    >>> from gatedrnn.tasks.asr.specification import RecogniserSpec
    >>> print(model_card("mine", BundleConfig(RecogniserSpec(30)), 1234).splitlines()[0])
    # mine
    """
    spec = config.model
    acoustic = {
        "network": "residual",
        "num_layers": 10,
        "hidden_size": 256,
        "bidirectional": False,
        **spec.acoustic,
    }
    directions = "both directions" if acoustic["bidirectional"] else "one direction: it can stream"
    if not acoustic["bidirectional"] and not _streams(config):
        directions = "one direction, but its features or head need the whole utterance"
    lines = [
        f"# {name}",
        "",
        f"A speech recogniser: {acoustic['num_layers']} layers of `{acoustic['network']}`, "
        f"{acoustic['hidden_size']} cells each, in {directions}; head `{spec.head}`, "
        f"{spec.vocabulary} tokens, {parameters:,} parameters.",
        "",
        *([] if language_model is None else [*_language(config, language_model), ""]),
        "## Use",
        "",
        f"    gatedrnn transcribe {name} a.wav folder/",
        "",
        "```python",
        "from gatedrnn.tasks.asr import Recognizer, transcribe_file",
        "",
        f'recognizer = Recognizer.load("{name}")',
        'print(transcribe_file(recognizer, "a.wav").text)',
        "```",
        "",
        "## Measured",
        "",
    ]
    return "\n".join([*lines, *_measured(config.training)]) + "\n"


def _language(config: BundleConfig, found: LanguageModel) -> list[str]:
    options = {"network": "lstmp", "num_layers": 2, "hidden_size": 650, **found.config.model.model}
    search = config.search
    how = "in its search" if search.lm_mode == FUSION else "on the n-best lists of its search"
    internal = f", internal {-search.lm_internal:g}" if search.lm_internal else ""
    return [
        f"With a language model (`{FOLDER}`: {options['num_layers']} layers of "
        f"`{options['network']}`, {options['hidden_size']} cells each; "
        f"{found.config.model.vocabulary} tokens ({found.tokens.kind}), {count(found.model):,} "
        f"parameters), used {how}: weight {search.lm_weight:g}, insertion "
        f"{search.lm_insertion:g}{internal}, a beam of {search.beam_size}. `--no-lm` leaves it "
        "out. The error rates below are without it.",
    ]


def _streams(config: BundleConfig) -> bool:
    spec = config.model
    return (
        spec.head == "ctc"
        and spec.normalisation == "global"
        and spec.features.get("dynamic_range", 80.0) == 0
    )


def _measured(training: Mapping[str, Any]) -> list[str]:
    lines = []
    sets = training.get("sets") or {}
    if sets:
        lines += [
            "Word error rates of the training's own test, with its beam search:",
            "",
            "| set | utterances | words | WER % | greedy WER % | sub | del | ins |",
            "|---|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {name} | {f['utterances']} | {f['words']} | {f['WER']:.2f} | "
            f"{f['greedy WER']:.2f} | {f['substitutions']} | {f['deletions']} | {f['insertions']} |"
            for name, f in sets.items()
        ]
    elif "validation_wer" in training:
        lines.append(f"Word error rate on the validation set: {training['validation_wer']:.2f} %.")
    else:
        lines.append("Nothing is known about how well it recognises.")
    if "seed" in training:
        lines += ["", f"Seed {training['seed']}, {training.get('epochs', '?')} epochs."]
    return lines
