"""``gatedrnn transcribe``: recordings to text, from files or while listening."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

from gatedrnn.data.result_table import render
from gatedrnn.tasks.command_line import (
    Command,
    add_flag,
    add_option,
    add_value,
    check_device,
    say,
    set_threads,
)

if TYPE_CHECKING:
    from gatedrnn.scoring.formats import Transcripts
    from gatedrnn.tasks.asr.apply import Failure, Recognizer
    from gatedrnn.tasks.asr.bundle import Bundle
    from gatedrnn.tasks.asr.decode import SearchOptions
    from gatedrnn.tasks.asr.inputs import Item
    from gatedrnn.tasks.asr.streaming import Streamer, StreamTiming
    from gatedrnn.tasks.asr.writers import Transcript
    from gatedrnn.tasks.language_modeling.rescoring import LMWeights

STANDARD_INPUT = "-"
#: Value of --reference without a file: the texts of the manifest.
FROM_MANIFEST = ""
#: Names of gatedrnn.tasks.asr.writers.WRITERS, whose import needs torch.
FORMATS = ("txt", "json", "jsonl", "tsv", "ctm", "trn", "srt", "vtt")
#: LM_MODES of gatedrnn.tasks.asr.decode, whose import needs torch.
LM_MODES = ("fusion", "rescoring")


def add_lm_arguments(parser: argparse.ArgumentParser, purpose: str) -> None:
    """Adds the options of a language model; ``purpose`` begins the help of ``--lm``."""
    text = f"{purpose}: a bundle, or the output folder of a training by recipes/LM"
    parser.add_argument("--lm", metavar="FOLDER", help=text)
    add_value(parser, "--lm-weight", "factor of the model's log-probabilities", kind=float)
    add_value(parser, "--lm-insertion", "score added for each word; default 0", kind=float)
    text = "read weight and insertion from setting.json of gatedrnn rescore, or its folder"
    parser.add_argument("--lm-setting", metavar="FILE", help=text)
    text = "in the search (default for head ctc), or on its n-best list (for the others)"
    parser.add_argument("--lm-mode", choices=LM_MODES, help=text)


def lm_weights(arguments: argparse.Namespace, bundled: LMWeights | None = None) -> LMWeights | None:
    """Weight and insertion from the command line; None without a language model.

    ``bundled`` are the weights of the bundle's language model, which the options change.
    """
    from gatedrnn.tasks.language_modeling.rescoring import LMWeights, read_lm_weights

    if arguments.lm is None and bundled is None:
        for name in ("lm_weight", "lm_insertion", "lm_setting", "lm_mode"):
            if getattr(arguments, name) is not None:
                raise ValueError(
                    f"--{name.replace('_', '-')} is for a language model: name it by --lm"
                )
        return None
    if arguments.lm_setting is not None:
        if arguments.lm_weight is not None or arguments.lm_insertion is not None:
            raise ValueError("--lm-setting gives weight and insertion: leave out the other options")
        return read_lm_weights(arguments.lm_setting)
    if arguments.lm is not None:
        if arguments.lm_weight is None:
            raise ValueError(
                "--lm needs --lm-weight (and --lm-insertion), or --lm-setting: gatedrnn rescore "
                "finds good ones on development data"
            )
        bundled = LMWeights()
    changes = {"weight": arguments.lm_weight, "insertion": arguments.lm_insertion}
    return replace(bundled, **{name: x for name, x in changes.items() if x is not None})


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what ``gatedrnn export`` can do for recognizers."""
    add_option(parser, "beam-size", "only with --lm")
    text = "also write encoder.onnx, and step.onnx if the network can stream; needs the extra onnx"
    add_flag(parser, "--onnx", text)
    add_lm_arguments(parser, "language model to put into the bundle")


def export_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of :func:`add_export_arguments`, as the bundle's kind takes them."""
    weights, lm = lm_weights(arguments), None
    if arguments.lm is not None:
        from gatedrnn.tasks.asr.bundle import WithLanguageModel

        lm = WithLanguageModel(arguments.lm, weights, arguments.lm_mode, arguments.beam_size)
    elif arguments.beam_size is not None:
        raise ValueError("--beam-size is for --lm: without it, that of the training's test is kept")
    return {"onnx": arguments.onnx, "lm": lm}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``gatedrnn transcribe``."""
    parser.add_argument("bundle", metavar="BUNDLE", help="folder written by gatedrnn export")
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="FILE_OR_FOLDER_OR_MANIFEST",
        help="audio files; folders; manifests with audio, id, start, stop, channel, text; prepared "
        "CSV files of recipes; with --stream also - for raw 16-bit samples from standard input",
    )
    text = "write a file for each recording to this folder; default: print the texts"
    add_option(parser, "output", type=str, metavar="FOLDER", help=text)
    text = "of the files, may be repeated; default txt"
    add_option(parser, "format", text, action="append", choices=[*FORMATS, "all"])
    text = "print the WER against the texts of the manifest, or a file that gatedrnn score reads"
    parser.add_argument("--reference", nargs="?", const=FROM_MANIFEST, metavar="FILE", help=text)
    add_option(parser, "beam-size", "with --stream and without a language model: 1")
    parser.add_argument(
        "--search",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="any option of gatedrnn.tasks.asr.SearchOptions, such as min_log_prob=-6; repeatable",
    )
    add_lm_arguments(parser, "language model to use instead of the bundle's")
    add_flag(parser, "--no-lm", "ignore the bundle's language model")
    add_option(parser, "device")
    add_option(parser, "threads")
    text = "8-bit weights: faster on a CPU, unidirectional networks only"
    parser.add_argument("--quantize", choices=("int8",), help=text)
    add_value(parser, "--batch-seconds", "seconds of audio in a batch", 120.0)
    text = "longer recordings are cut at pauses into chunks of at most this many seconds"
    add_value(parser, "--max-chunk", text, 30.0)
    add_flag(parser, "--vad", "detect speech in short recordings as well")
    text = "probability from which a frame counts as speech"
    add_value(parser, "--vad-threshold", text, 0.5)
    text = "recognise block by block as audio arrives, and show the partial hypothesis"
    add_flag(parser, "--stream", text)
    add_value(parser, "--piece", "block size of --stream in milliseconds", 100.0)
    text = "sample rate of standard input; default: the bundle's"
    add_value(parser, "--rate", text, kind=int)


def run(arguments: argparse.Namespace) -> int:
    """Transcribe audio files, folders and manifests with a trained recogniser.

    examples:
      gatedrnn transcribe bundle meeting.wav
      gatedrnn transcribe bundle talks/ --output texts --format srt --format json
      gatedrnn transcribe bundle test.csv --reference --beam-size 8
    """
    from tqdm import tqdm

    from gatedrnn.tasks.asr.apply import Failure, Recognizer, transcribe
    from gatedrnn.tasks.asr.inputs import find_items
    from gatedrnn.tasks.asr.writers import TranscriptFiles

    set_threads(arguments.threads)
    if arguments.format and not arguments.output:
        raise ValueError("--format is of files: name their folder with --output")
    check_device(arguments.device)
    recognizer = Recognizer(_bundle(arguments), arguments.device, arguments.quantize)
    if STANDARD_INPUT in arguments.inputs:
        return stream_standard_input(recognizer, arguments)
    items = find_items(arguments.inputs)
    references = _references(arguments.reference, items)
    if arguments.stream:
        results = stream_files(recognizer, items, arguments)
    else:
        # A progress bar on a terminal, nothing in a log.
        results = tqdm(
            transcribe(recognizer, items, _options(arguments, recognizer)),
            total=len(items),
            unit="recording",
            disable=arguments.quiet or not sys.stderr.isatty(),
        )
    failures, transcripts, start = 0, [], time.perf_counter()
    formats = _formats(arguments, recognizer)
    output = TranscriptFiles(arguments.output, formats) if arguments.output else None
    with output or nullcontext():
        for result in results:
            if isinstance(result, Failure):
                failures += 1
                tqdm.write(f"gatedrnn transcribe: {result.reason}", file=sys.stderr)
                continue
            transcripts.append(result)
            if output is None:
                tqdm.write(f"{result.name}\t{result.text}", file=sys.stdout)
                continue
            try:
                output.add(result)
            except ValueError as error:
                # One format cannot hold this transcript; those of the others are written.
                failures += 1
                tqdm.write(f"gatedrnn transcribe: {error}", file=sys.stderr)
    say(arguments, _summary(transcripts, failures, time.perf_counter() - start))
    if output is not None:
        say(arguments, f"{len(output.written)} file(s) in {arguments.output}")
    if references is not None and transcripts:
        print(_error_rate(references, transcripts))
    return 1 if failures else 0


def _bundle(arguments: argparse.Namespace) -> Bundle:
    """The bundle, with the language model of the command line."""
    from gatedrnn.tasks.asr.bundle import read_bundle
    from gatedrnn.tasks.asr.decode import FUSION, RESCORING
    from gatedrnn.tasks.language_modeling.bundle import load_language_model

    bundle = read_bundle(arguments.bundle)
    if arguments.no_lm:
        if arguments.lm is not None:
            raise ValueError("--lm and --no-lm contradict each other")
        bundle = bundle.without_language_model()
    options = bundle.config.search
    weights = lm_weights(arguments, None if options.lm_mode is None else options.lm_weights)
    if weights is None:
        return bundle
    if arguments.lm is None:
        model, place, mode = bundle.language_model, arguments.bundle, options.lm_mode
    else:
        model, place = load_language_model(arguments.lm), arguments.lm
        mode = FUSION if bundle.config.model.head == "ctc" else RESCORING
    try:
        options = replace(
            _search_options(arguments, options),
            lm_mode=arguments.lm_mode or mode,
            lm_weight=weights.weight,
            lm_insertion=weights.insertion,
            lm_internal=weights.internal,
        )
        return bundle.with_language_model(model, options)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def _search_options(arguments: argparse.Namespace, options: SearchOptions) -> SearchOptions:
    """The bundle's options of the search, with those of the command line."""
    import yaml

    changes: dict[str, Any] = {}
    for item in arguments.search:
        name, equals, value = item.partition("=")
        if not equals:
            raise ValueError(f"--search {item}: must be NAME=VALUE, such as min_log_prob=-6")
        changes[name] = yaml.safe_load(value)
    if arguments.beam_size is not None:
        changes["beam_size"] = arguments.beam_size
    return options.updated(changes, "--search")


def _options(arguments: argparse.Namespace, recognizer: Recognizer) -> Any:
    from gatedrnn.tasks.asr.apply import TranscriptionOptions
    from gatedrnn.tasks.asr.segmentation import SegmentationOptions

    segmentation = SegmentationOptions(
        max_seconds=arguments.max_chunk,
        threshold=arguments.vad_threshold,
        always=arguments.vad,
    )
    search = _search_options(arguments, recognizer.options)
    return TranscriptionOptions(search, arguments.batch_seconds, segmentation=segmentation)


def _formats(arguments: argparse.Namespace, recognizer: Recognizer) -> list[str]:
    """The formats to write; without a CTC head there are no word times."""
    from gatedrnn.tasks.asr.writers import WRITERS

    formats = arguments.format or ["txt"]
    if getattr(recognizer.model, "ctc_weight", 1.0):
        return list(FORMATS) if "all" in formats else formats
    if "all" in formats:
        return [name for name in FORMATS if not WRITERS[name].needs_times]
    for name in formats:
        if WRITERS[name].needs_times:
            raise ValueError(
                f"--format {name} needs the times of words, and {arguments.bundle} gives none: it "
                "was trained with ctc_weight 0"
            )
    return formats


def _references(path: str | None, items: Sequence[Item]) -> Transcripts | None:
    """The references, read before hours are spent on the hypotheses."""
    from gatedrnn.scoring import Transcript, Transcripts, read
    from gatedrnn.scoring.formats import words_of

    if path is None:
        return None
    if path != FROM_MANIFEST:
        return read(path, reference=True)
    known = tuple(
        Transcript(item.name, words_of(item.text), item.speaker or "")
        for item in items
        if item.text is not None
    )
    if not known:
        raise ValueError("--reference: the inputs come without texts; name a file of references")
    return Transcripts("the manifest", "tsv", known)


def _error_rate(references: Transcripts, transcripts: Sequence[Transcript]) -> str:
    from gatedrnn.scoring import Options, Transcript, Transcripts, score
    from gatedrnn.scoring.formats import words_of
    from gatedrnn.scoring.report import score_sections

    names = references.by_id()
    hypotheses = tuple(Transcript(t.name, words_of(t.text)) for t in transcripts if t.name in names)
    if not hypotheses:
        listed = ", ".join(t.name for t in transcripts[:3])
        raise ValueError(
            f"{references.path} has none of the recordings that were transcribed: {listed} ..."
        )
    result = score(references, Transcripts("transcripts", "tsv", hypotheses), Options())
    return render(score_sections(result), markdown=False)


def _summary(transcripts: Sequence[Transcript], failures: int, seconds: float) -> str:
    audio = sum(transcript.duration for transcript in transcripts)
    factor = f", real-time factor {seconds / audio:.4f}" if audio else ""
    failed = f", {failures} could not be transcribed" if failures else ""
    return (
        f"{len(transcripts)} recording(s), {audio:.1f} s of audio in {seconds:.1f} s"
        f"{factor}{failed}"
    )


# ---- --stream -----------------------------------------------------------------------------------


def stream_files(
    recognizer: Recognizer, items: Sequence[Item], arguments: argparse.Namespace
) -> Iterator[Transcript | Failure]:
    """Streams recordings, one after the other."""
    from gatedrnn.data.audio import AudioError
    from gatedrnn.tasks.asr.apply import Failure, transcript_of
    from gatedrnn.tasks.asr.inputs import locate, stream_blocks
    from gatedrnn.tasks.asr.writers import TranscriptSegment

    block_size = max(1, round(_block_seconds(arguments) * recognizer.sample_rate))
    streamer = _streamer(recognizer, arguments)
    for item in items:
        streamer.reset()
        try:
            span = locate(item)
            for block in stream_blocks(item, recognizer.sample_rate):
                for piece in block.split(block_size):
                    _show(streamer.accept(piece), arguments)
        except (AudioError, OSError) as error:
            _show(None, arguments)
            yield Failure(item, str(error))
            continue
        result = streamer.finish()
        _show(None, arguments)
        say(arguments, f"{item.name}: {describe_timing(streamer.timing)}")
        segment = TranscriptSegment(0.0, span.seconds, result.text, result.words, result.confidence)
        yield transcript_of(item, span, [segment])


def stream_standard_input(
    recognizer: Recognizer, arguments: argparse.Namespace, source: BinaryIO | None = None
) -> int:
    """Streams raw samples: 16 bits, little-endian, one channel; ``source`` None: standard input."""
    import torch

    from gatedrnn.data.audio import BlockResampler
    from gatedrnn.tasks.asr.inputs import RATES

    if not arguments.stream or len(arguments.inputs) > 1:
        raise ValueError("- (standard input) goes with --stream, and alone")
    for name in ("output", "reference"):
        if getattr(arguments, name) is not None:
            raise ValueError(f"--{name} is for files; the text of standard input is printed")
    source = source or sys.stdin.buffer
    rate = arguments.rate or recognizer.sample_rate
    if not RATES[0] <= rate <= RATES[1]:
        raise ValueError(f"--rate must be from {RATES[0]} to {RATES[1]}, not {rate}")
    streamer = _streamer(recognizer, arguments)
    resampler = BlockResampler(rate, recognizer.sample_rate)
    # Two bytes a sample; a pipe may return fewer bytes than requested, also half a sample.
    block_bytes, rest = 2 * max(1, round(_block_seconds(arguments) * rate)), b""
    while data := source.read(block_bytes):
        data = rest + data
        complete = len(data) // 2 * 2
        rest = data[complete:]
        samples = torch.zeros(0)
        if complete:
            samples = torch.frombuffer(bytearray(data[:complete]), dtype=torch.int16)
            _show(streamer.accept(resampler.push(samples.float() / 32768)), arguments)
    _show(streamer.accept(resampler.flush(torch.zeros(0))), arguments)
    hypothesis = streamer.finish()
    _show(None, arguments)
    if rest:
        print("standard input ended within a sample: that one was left out", file=sys.stderr)
    print(hypothesis.text)
    say(arguments, describe_timing(streamer.timing))
    return 0


def _streamer(recognizer: Recognizer, arguments: argparse.Namespace) -> Streamer:
    from gatedrnn.tasks.asr.streaming import Streamer

    if arguments.beam_size is None:
        return Streamer(recognizer)
    return Streamer(recognizer, _search_options(arguments, recognizer.options))


def describe_timing(timing: StreamTiming) -> str:
    """Latency and speed of a stream in one line."""
    return (
        f"latency {1000 * timing.look_ahead:.0f} ms + at most {1000 * timing.longest:.1f} ms a "
        f"piece; {timing.audio:.1f} s in {timing.busy:.1f} s, real-time factor "
        f"{timing.real_time_factor:.4f}"
    )


def _block_seconds(arguments: argparse.Namespace) -> float:
    if not arguments.piece > 0:
        raise ValueError(f"--piece must be more than 0 ms, not {arguments.piece}")
    return arguments.piece / 1000


def _show(text: str | None, arguments: argparse.Namespace) -> None:
    """Shows the partial hypothesis in one line of a terminal; ``None`` erases it."""
    if sys.stderr.isatty() and not arguments.quiet:
        shown = "" if text is None else text[-78:]
        print(f"\r\x1b[K{shown}", end="", file=sys.stderr, flush=True)


COMMANDS = (Command("transcribe", add_arguments, run),)
