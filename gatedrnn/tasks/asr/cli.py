"""``gatedrnn transcribe``: recordings to text, by a bundle."""

from __future__ import annotations

import argparse

from gatedrnn.tasks.asr import cli_language_model as language

NAME = "transcribe"
HELP = "transcribe audio files, folders and manifests by a bundle"
#: Value of --reference without a file.
OF_THE_MANIFEST = ""
#: Those of gatedrnn.tasks.asr.writers, which would have to be imported to show a help text.
FORMATS = ("txt", "json", "jsonl", "tsv", "ctm", "trn", "srt", "vtt")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn transcribe``."""
    parser.add_argument("bundle", metavar="BUNDLE", help="what gatedrnn export has made")
    parser.add_argument(
        "inputs", nargs="+", metavar="FILE_OR_FOLDER_OR_MANIFEST",
        help="audio files; folders; manifests with audio, id, start, stop, channel, text; prepared "
        "CSV files of recipes; with --stream also - for raw 16-bit samples from standard input",
    )  # fmt: skip
    parser.add_argument(
        "--output", metavar="FOLDER", help="where files go; without it, texts are printed"
    )
    parser.add_argument(
        "--format", action="append", choices=[*FORMATS, "all"],
        help="of the files, may be repeated; default txt",
    )  # fmt: skip
    parser.add_argument(
        "--reference", nargs="?", const=OF_THE_MANIFEST, metavar="FILE",
        help="print the word error rate, against the texts of the manifest, or of a file in any "
        "format that gatedrnn score reads",
    )  # fmt: skip
    parser.add_argument(
        "--beam-size", type=int, metavar="N",
        help="1 for the greedy search; default: that of the training's test; with --stream 1, "
        "unless there is a language model",
    )  # fmt: skip
    language.add_arguments(
        parser, "use a language model, instead of the bundle's if it has one: a bundle, or the "
    )
    parser.add_argument(
        "--no-lm", action="store_true", help="leave the bundle's language model out"
    )
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, ...")
    parser.add_argument("--threads", type=int, metavar="N", help="of the CPU; default: all cores")
    parser.add_argument(
        "--quantize", choices=("int8",), help="8-bit weights: faster on a CPU, unidirectional only"
    )
    parser.add_argument(
        "--batch-seconds", type=float, default=120.0, metavar="S",
        help="signals recognised at once, in seconds; default 120",
    )  # fmt: skip
    parser.add_argument(
        "--max-chunk", type=float, default=30.0, metavar="S",
        help="what is longer is cut at pauses into chunks of at most so many seconds; default 30",
    )  # fmt: skip
    parser.add_argument(
        "--vad", action="store_true", help="look for speech in short recordings, too"
    )
    parser.add_argument("--vad-threshold", type=float, default=0.5, metavar="P", help="default 0.5")
    parser.add_argument(
        "--stream", action="store_true",
        help="recognise while listening: samples come in pieces, and the text grows",
    )  # fmt: skip
    parser.add_argument(
        "--piece", type=float, default=100.0, metavar="MS",
        help="size of the pieces of --stream in milliseconds; default 100",
    )  # fmt: skip
    parser.add_argument(
        "--rate", type=int, metavar="HZ",
        help="samples per second of standard input; default: those of the bundle",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Transcribes.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of the command line.

    Returns
    -------
    int
        0, or 1 if a recording could not be transcribed.
    """
    # Imported here, so that other subcommands do not wait for what this one needs.
    from gatedrnn.tasks.asr import cli_transcribe as transcribing

    return transcribing.run(arguments)
