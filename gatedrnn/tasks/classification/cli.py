"""``gatedrnn classify``: classes of sentences, images or frames."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from gatedrnn.data.files import write_atomically
from gatedrnn.tasks.command_line import Command, add_model, add_option, check_positive, load_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn classify``."""
    recipes = "recipes/SentenceClassification or recipes/SequentialImages"
    add_model(parser, "CLASSIFIER", "classifier", recipes)
    text = "text, a sentence per line; an image, or an idx file of images; or .npy of frames"
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help=text)
    text = "txt: input, class and probability with tabs between them; jsonl: an object per input"
    add_option(parser, "format", text, choices=("txt", "jsonl"))
    add_option(parser, "output")
    add_option(parser, "nbest")


def run(arguments: argparse.Namespace) -> int:
    """Classify sentences, images or frames with a trained classifier.

    examples:
      gatedrnn classify bundle sentences.txt --nbest 2
      gatedrnn classify results/mnist/slim/1 t10k-images-idx3-ubyte.gz --output classes.txt
    """
    from gatedrnn.tasks.classification.apply import classify, read_inputs
    from gatedrnn.tasks.classification.bundle import load_classifier

    check_positive(arguments, "nbest")
    classifier = load_model(arguments, load_classifier)
    inputs = [pair for path in arguments.files for pair in read_inputs(path, classifier)]
    names, sequences = [name for name, _ in inputs], [sequence for _, sequence in inputs]
    rows = []
    predictions = classify(classifier, sequences, arguments.nbest)
    for name, classes in zip(names, predictions, strict=True):
        if arguments.format == "jsonl":
            values = [{"class": c.label, "probability": round(c.probability, 6)} for c in classes]
            row = json.dumps({"input": name, "classes": values}, ensure_ascii=False) + "\n"
        else:
            row = "".join(f"{name}\t{c.label}\t{c.probability:.4f}\n" for c in classes)
        rows.append(row)
        if arguments.output is None:
            print(row, end="", flush=True)
    if arguments.output is not None:
        write_atomically(arguments.output, "".join(rows))
    return 0


COMMANDS = (Command("classify", add_arguments, run),)
