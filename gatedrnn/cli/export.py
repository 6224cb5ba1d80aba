"""``gatedrnn export``: a training's folder becomes a bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from gatedrnn.tasks.asr.cli import add_lm_arguments, lm_weights
from gatedrnn.tasks.command_line import Command, add_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn export``."""
    parser.add_argument("results", metavar="RESULTS_FOLDER", help="output folder of a training")
    parser.add_argument("bundle", metavar="BUNDLE", help="folder to write the bundle to")
    add_option(parser, "beam-size", "only with --lm")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing bundle")
    parser.add_argument(
        "--onnx",
        action="store_true",
        help="also write encoder.onnx, and step.onnx if the network can stream; needs the extra "
        "onnx",
    )
    add_lm_arguments(parser, "language model to put into the bundle")


def run(arguments: argparse.Namespace) -> int:
    """Export a training's output folder to a bundle: files that any machine can load.

    examples:
      gatedrnn export results/residual/1 bundle
      gatedrnn export results/residual/1 bundle --lm lm --lm-setting rescored --onnx
    """
    from gatedrnn.tasks.asr.export import WithLanguage, export
    from gatedrnn.tasks.captioning.bundle import CaptionerConfig
    from gatedrnn.tasks.language_modeling.bundle import LanguageModelConfig
    from gatedrnn.tasks.translation.bundle import TranslatorConfig

    weights = lm_weights(arguments)
    language_model = None
    if arguments.lm is not None:
        language_model = WithLanguage(arguments.lm, weights, arguments.lm_mode, arguments.beam_size)
    elif arguments.beam_size is not None:
        raise ValueError("--beam-size is for --lm: without it, that of the training's test is kept")
    config = export(
        arguments.results,
        arguments.bundle,
        overwrite=arguments.overwrite,
        onnx=arguments.onnx,
        language=language_model,
    )
    spec = config.model
    size = sum(entry.bytes for entry in config.files.values())
    for kind, what, measure, digits, use in (
        (LanguageModelConfig, "tokens", "perplexity", 2, "perplexity {} FILE..."),
        (CaptionerConfig, "words", "CIDEr-D", 3, "caption {} FILE_OR_FOLDER..."),
        (TranslatorConfig, "tokens", "BLEU", 2, "translate {} FILE..."),
    ):
        if isinstance(config, kind):
            print(f"{Path(arguments.bundle)}: {spec.vocabulary} {what}, {size:,} bytes")
            for name, figures in (config.training.get("sets") or {}).items():
                value = f"{figures[measure]:.{digits}f}"
                print(f"  {name}: {measure} {value} in the training's own test")
            print(f"  gatedrnn {use.format(arguments.bundle)}")
            return 0
    print(f"{Path(arguments.bundle)}: head {spec.head}, {spec.vocabulary} tokens, {size:,} bytes")
    search = config.search
    if search.lm_mode is not None:
        print(
            f"  language model {arguments.lm}: {search.lm_mode}, weight {search.lm_weight:g}, "
            f"insertion {search.lm_insertion:g}, a beam of {search.beam_size}"
        )
    for name, figures in (config.training.get("sets") or {}).items():
        print(f"  {name}: WER {figures['WER']:.2f} % in the training's own test")
    print(f"  gatedrnn transcribe {arguments.bundle} FILE_OR_FOLDER_OR_MANIFEST...")
    return 0


COMMAND = Command("export", add_arguments, run)
