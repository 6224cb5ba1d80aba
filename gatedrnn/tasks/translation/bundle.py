"""Bundles of translators."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from gatedrnn.bundle.format import WEIGHTS, BundleConfig
from gatedrnn.bundle.kind import BundleKind, model_card, result_lines, validation_line
from gatedrnn.modules.network_options import parameters
from gatedrnn.seq2seq.decoder_cells import AttentionOptions
from gatedrnn.seq2seq.search import SearchOptions
from gatedrnn.tasks.translation.corpora import Languages
from gatedrnn.tasks.translation.model import Translator, TranslatorSpec
from gatedrnn.tokens import EOS_NAME, Tokens, load

__all__ = [
    "TranslatorBundle",
    "TranslatorConfig",
    "load_translator",
    "read_translator",
    "write_translator",
]

#: Tokens of the source language, and of the target language.
SOURCE_TOKENS, TARGET_TOKENS = "source_tokens.json", "target_tokens.json"


@dataclass(frozen=True)
class TranslatorConfig(BundleConfig):
    """Config of a translator's bundle; see also :class:`~gatedrnn.bundle.format.BundleConfig`.

    Arguments
    ---------
    model : TranslatorSpec
        The translator.
    languages : Languages
        Its languages.
    search : SearchOptions
        Search of the training's test.
    """

    model: TranslatorSpec
    languages: Languages
    search: SearchOptions = field(default_factory=SearchOptions)

    FORMAT = "gatedrnn-translator"
    FILES = (WEIGHTS, SOURCE_TOKENS, TARGET_TOKENS)


@dataclass(frozen=True)
class TranslatorBundle:
    """A translator, ready to run.

    Arguments
    ---------
    config : TranslatorConfig
        Its config.
    source, target : Tokens
        Tokens of the two languages.
    model : Translator
        Translates tokens of the source language.
    """

    config: TranslatorConfig
    source: Tokens
    target: Tokens
    model: Translator


class TranslatorKind(BundleKind[TranslatorBundle]):
    """Bundles of translators."""

    task, noun, config = "translation", "translator", TranslatorConfig
    tokens = {SOURCE_TOKENS: "source", TARGET_TOKENS: "target"}
    old_kind, old_metric = "translations", ("BLEU", True)
    command, result = "translate {} FILE...", "BLEU {[BLEU]:.2f}"

    def load_tokens(self, name: str, path: Path, config: Any, model_file: str) -> Tokens:
        """See :meth:`BundleKind.load_tokens`."""
        count = config.model.source if name == "source" else config.model.vocabulary
        return load(path, EOS_NAME, count, model_file)

    def make(self, config: Any, model: nn.Module, tokens: Any, tensors: Any) -> TranslatorBundle:
        """See :meth:`BundleKind.make`."""
        return TranslatorBundle(config, tokens["source"], tokens["target"], model)

    def tied(self, config: TranslatorConfig) -> tuple[str, str] | None:
        """The output layer's matrix may be the embedding."""
        tied = config.model.decoder.get("tied")
        return ("decoder.softmax.weight", "decoder.embedding.weight") if tied else None

    def card(self, name: str, bundle: TranslatorBundle) -> str:
        """See :meth:`BundleKind.card`."""
        config = bundle.config
        spec, training, languages = config.model, config.training, config.languages
        usual = {"network": "lstmp", "num_layers": 1, "hidden_size": 512}
        encoder, decoder = (
            f"{side['num_layers']} layers of `{side['network']}` with {side['hidden_size']} cells "
            "each"
            for side in ({**usual, "hidden_size": 256, **spec.encoder}, {**usual, **spec.decoder})
        )
        direction = (
            "both directions" if spec.encoder.get("bidirectional", True) else "one direction"
        )
        attention = AttentionOptions.of(spec.decoder.get("attention", "soft")).kind
        small = " in lower case" if languages.lowercase else ""
        columns = {
            "set": "",
            "sentences": "{[sentences]}",
            "BLEU": "{[BLEU]:.2f}",
            "greedy BLEU": "{[greedy BLEU]:.2f}",
            "chrF": "{[chrF]:.2f}",
            "signature of BLEU": "`{[signature]}`",
        }
        return model_card(
            name,
            f"A translator from `{languages.source}` to `{languages.target}`{small}. Encoder, in "
            f"{direction}: {encoder}; {attention.replace('_', '-')} attention; decoder: {decoder}. "
            f"{spec.source} and {spec.vocabulary} tokens ({bundle.source.kind}, "
            f"{bundle.target.kind}), {parameters(bundle.model):,} parameters.",
            [f"    gatedrnn translate {name} FILE..."],
            result_lines(
                training,
                f"Of the training's own test, beam size {config.search.beam_size}, by sacreBLEU:",
                columns,
                validation_line(training, "BLEU of greedy translations of the validation set"),
            ),
        )


TRANSLATOR = TranslatorKind()
BUNDLE_KINDS = (TRANSLATOR,)
read_translator, write_translator = TRANSLATOR.read, TRANSLATOR.write
load_translator = TRANSLATOR.load
