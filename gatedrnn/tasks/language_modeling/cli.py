"""``gatedrnn perplexity``, ``generate`` and ``rescore``: the use of language models."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gatedrnn.tasks.command_line import (
    Command,
    add_flag,
    add_model,
    add_option,
    add_value,
    load_model,
)

if TYPE_CHECKING:
    from gatedrnn.tasks.language_modeling.bundle import LanguageModel


def _add_language_model(parser: argparse.ArgumentParser) -> None:
    add_model(parser, "LM", "language model", "recipes/LM")


def _load(arguments: argparse.Namespace) -> LanguageModel:
    from gatedrnn.tasks.language_modeling.bundle import load_language_model

    return load_model(arguments, load_language_model)


# ---- perplexity ---------------------------------------------------------------------------------


def add_perplexity_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn perplexity``."""
    _add_language_model(parser)
    text = "text, one sentence per line; or .gz"
    parser.add_argument("text", nargs="+", type=Path, metavar="FILE", help=text)
    text = "write the log-probability of each word of one FILE to this file"
    add_value(parser, "--word-scores", text, kind=Path)
    state = parser.add_mutually_exclusive_group()
    text = "keep the hidden state from line to line; default: as in training"
    state.add_argument("--carried", action="store_true", default=None, help=text)
    text = "reset the hidden state at each line"
    state.add_argument("--lines", action="store_false", dest="carried", help=text)
    text = "dynamic evaluation: adapt to the predicted text with this step size; 0: off"
    add_value(parser, "--dynamic-lr", text, 0.0)
    text = "fraction by which weights return to the trained ones after each step"
    add_value(parser, "--dynamic-decay", text, 0.0)
    add_value(parser, "--dynamic-window", "tokens between two steps", 20)
    add_option(parser, "format", choices=("text", "json"))


def run_perplexity(arguments: argparse.Namespace) -> int:
    """Compute the perplexity of texts, and the log-probability of each word.

    examples:
      gatedrnn perplexity lm test.txt
      gatedrnn perplexity lm test.txt --word-scores scores.txt --dynamic-lr 0.002
    """
    from gatedrnn.tasks.language_modeling.apply import evaluate_file
    from gatedrnn.tasks.language_modeling.evaluation import DynamicEvaluation

    if arguments.word_scores and len(arguments.text) > 1:
        raise ValueError("--word-scores is of one FILE, not of several")
    bundle = _load(arguments)
    dynamic = None
    if arguments.dynamic_lr:
        dynamic = DynamicEvaluation(
            arguments.dynamic_lr, arguments.dynamic_decay, arguments.dynamic_window
        )
    results = {}
    for path in arguments.text:
        metrics = results[str(path)] = evaluate_file(
            bundle, path, arguments.carried, dynamic, arguments.word_scores
        )
        if arguments.format == "text":
            print(
                f"{path}: perplexity {metrics['perplexity']:.2f} per word, "
                f"{metrics['open perplexity']:.2f} with unknown words spelled out, "
                f"{metrics['bits per character']:.3f} bits per character, {metrics['tokens']} "
                f"tokens predicted, {metrics['words']} words, {metrics['unknown']} unknown"
            )
    if arguments.format == "json":
        print(json.dumps(results, indent=2, ensure_ascii=False))
    return 0


# ---- generate -----------------------------------------------------------------------------------


def add_generate_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn generate``."""
    _add_language_model(parser)
    text = "prefix that the model continues"
    parser.add_argument("--prompt", default="", metavar="TEXT", help=text)
    add_value(parser, "--tokens", "maximum number of tokens of a text", 50)
    add_value(parser, "--lines", "lines after which a text ends, 0: no limit but --tokens", 1)
    add_value(parser, "--count", "number of texts", 1)
    text = "divides the logits: below 1 sharper; 0: always the most probable token"
    add_value(parser, "--temperature", text, 1.0)
    add_value(parser, "--top-k", "sample among the N most probable tokens; 0: among all", 0)
    text = "sample among the most probable tokens whose probabilities add up to this"
    add_value(parser, "--top-p", text, 1.0)
    add_flag(parser, "--unknown", "allow <unk>, which stands for other words")
    add_value(parser, "--seed", "random seed", 0)


def run_generate(arguments: argparse.Namespace) -> int:
    """Generate text with a language model, or continue a prompt.

    example:
      gatedrnn generate lm --prompt "ONCE UPON" --count 5 --temperature 0.8
    """
    from gatedrnn.tasks.language_modeling.decode import GenerationOptions, generate

    options = GenerationOptions(
        arguments.count,
        arguments.tokens,
        arguments.lines,
        arguments.temperature,
        arguments.top_k,
        arguments.top_p,
        arguments.unknown,
        arguments.seed,
    )
    bundle = _load(arguments)
    for text in generate(bundle.model, bundle.tokens, options, arguments.prompt):
        print(text)
    return 0


# ---- rescore ------------------------------------------------------------------------------------


def add_rescore_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn rescore``."""
    _add_language_model(parser)
    parser.add_argument(
        "dev",
        type=Path,
        metavar="NBEST_DEV",
        help="n-best lists on which weight and insertion are tuned: nbest_SET.jsonl of a training, "
        "or a Kaldi folder with words_text, acwt, lmwt.nolm, and text (the references)",
    )
    text = "n-best lists that are rescored with the tuned values"
    parser.add_argument("tests", type=Path, nargs="*", metavar="NBEST_TEST", help=text)
    text = (
        "write the rescored lists to this folder, as JSON lines that gatedrnn score reads, and "
        "setting.json with the tuned values, for --lm-setting of gatedrnn export and transcribe"
    )
    add_option(parser, "output", metavar="FOLDER", help=text)
    text = "language model weights to try; a single one is not tuned; default 0 to 3"
    add_value(parser, "--weights", text, kind=float, nargs="+")
    text = "scores per word to try; default -2 to 4"
    add_value(parser, "--insertions", text, kind=float, nargs="+")
    text = (
        "weights to try with which the recogniser's internal language model is subtracted; for "
        "n-best lists of a test with --internal_lm=True; default 0 to 0.6 if all have it"
    )
    add_value(parser, "--internal", text, kind=float, nargs="+")
    text = "factor of Kaldi's acoustic costs; 1 for chain models"
    add_value(parser, "--acoustic-scale", text, 1.0)


def run_rescore(arguments: argparse.Namespace) -> int:
    """Rescore n-best lists with a language model, whose weight is tuned on the first of them.

    example:
      gatedrnn rescore lm results/nbest_dev.jsonl results/nbest_test.jsonl --output rescored
    """
    from gatedrnn.tasks.language_modeling import rescoring
    from gatedrnn.tasks.language_modeling.rescoring import read_nbest

    paths = [arguments.dev, *arguments.tests]
    files = _output_files(paths, arguments.output)
    # All are read before the model is loaded: a bad file is reported at once.
    lists = [read_nbest(path, arguments.acoustic_scale) for path in paths]
    bundle = _load(arguments)
    rescoring.check_line_ends(bundle, arguments.model)
    grid_values = {
        "weights": arguments.weights,
        "insertions": arguments.insertions,
        "internals": arguments.internal,
    }
    grid = rescoring.Grid(**{name: values for name, values in grid_values.items() if values})
    result = rescoring.rescore_sets(lists, bundle, grid)
    print(result.choice(arguments.dev))
    for path, rescored_set in zip(paths, result.sets, strict=True):
        print(f"{path}: {rescoring.describe(rescored_set, result.weights)}")
    for path, rescored_set in zip(files, result.sets, strict=False):
        rescoring.write_lists(path, rescored_set, result.weights)
    if arguments.output is not None:
        path = arguments.output / rescoring.LM_WEIGHTS_FILE
        rescoring.write_lm_weights(path, result.weights)
    return 0


def _output_files(paths: Sequence[Path], folder: Path | None) -> list[Path]:
    """Paths of the rescored lists; an input is never overwritten."""
    if folder is None:
        return []
    files = [folder / (path.resolve().name.removesuffix(".jsonl") + ".jsonl") for path in paths]
    for path, file in zip(paths, files, strict=True):
        if files.count(file) > 1:
            raise ValueError(f"--output: two of the lists are called {file.name}")
        if file.resolve() == path.resolve():
            raise ValueError(f"--output: {file} is what is read: name another folder")
    return files


COMMANDS = (
    Command("rescore", add_rescore_arguments, run_rescore),
    Command("perplexity", add_perplexity_arguments, run_perplexity),
    Command("generate", add_generate_arguments, run_generate),
)
