"""What ``gatedrnn transcribe`` does; its arguments are in :mod:`gatedrnn.tasks.asr.cli`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from tqdm import tqdm

from gatedrnn.scoring import report
from gatedrnn.scoring import transcript as scored
from gatedrnn.scoring.formats import read
from gatedrnn.scoring.measures import Options, score
from gatedrnn.tasks.asr import cli_language_model as language
from gatedrnn.tasks.asr import cli_stream as listening
from gatedrnn.tasks.asr.apply import Failure, TranscriptionOptions, transcribe
from gatedrnn.tasks.asr.bundle import Bundle, read_bundle
from gatedrnn.tasks.asr.cli import FORMATS, OF_THE_MANIFEST
from gatedrnn.tasks.asr.inputs import Item, find_items
from gatedrnn.tasks.asr.lm_integration import FUSION, RESCORING, LanguageUse
from gatedrnn.tasks.asr.recogniser import Recogniser
from gatedrnn.tasks.asr.segmentation import SegmentationOptions
from gatedrnn.tasks.asr.transcript import Transcript
from gatedrnn.tasks.asr.writers import WRITERS, Output
from gatedrnn.tasks.language_modeling.export import load_language_model


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
    if arguments.threads is not None:
        if arguments.threads < 1:
            raise ValueError(f"--threads must be at least 1, not {arguments.threads}")
        torch.set_num_threads(arguments.threads)
    if arguments.format and not arguments.output:
        raise ValueError("--format is of files: name their folder with --output")
    _check_device(arguments.device)
    recogniser = Recogniser(_bundle(arguments), arguments.device, arguments.quantize)
    if listening.STANDARD_INPUT in arguments.inputs:
        return listening.listen(recogniser, arguments)
    items = find_items(arguments.inputs)
    references = _references(arguments.reference, items)
    if arguments.stream:
        found = listening.stream(recogniser, items, arguments)
    else:
        found = _with_progress(transcribe(recogniser, items, _options(arguments)), items)
    failures, transcripts, start = 0, [], time.perf_counter()
    formats = _formats(arguments, recogniser)
    output = Output(arguments.output, formats) if arguments.output else None
    with output or nullcontext():
        for one in found:
            if isinstance(one, Failure):
                failures += 1
                _say(f"gatedrnn transcribe: {one.reason}")
                continue
            transcripts.append(one)
            if output is not None:
                try:
                    output.add(one)
                except ValueError as error:
                    # A format that cannot hold this one; those of the others are written.
                    failures += 1
                    _say(f"gatedrnn transcribe: {error}")
            else:
                tqdm.write(f"{one.name}\t{one.text}", file=sys.stdout)
    _summary(transcripts, failures, time.perf_counter() - start)
    if output is not None:
        _say(f"{len(output.written)} file(s) in {arguments.output}")
    if references is not None and transcripts:
        print(_error_rate(references, transcripts))
    return 1 if failures else 0


def _bundle(arguments: argparse.Namespace) -> Bundle:
    """The bundle, with the language model that is wanted."""
    bundle = read_bundle(arguments.bundle)
    if arguments.no_lm:
        if arguments.lm is not None:
            raise ValueError("--lm and --no-lm contradict each other")
        bundle = bundle.without_language_model()
    use = bundle.config.language
    setting = language.setting(arguments, None if use is None else use.setting)
    if setting is None:
        return bundle
    by_head = FUSION if bundle.config.model.head == "ctc" else RESCORING
    if arguments.lm is None:
        found, place, default = bundle.language_model, arguments.bundle, use.mode
    else:
        found, place, default = load_language_model(arguments.lm), arguments.lm, by_head
    try:
        wanted = LanguageUse(arguments.lm_mode or default, setting)
        return bundle.with_language_model(found, wanted, arguments.beam_size)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def _options(arguments: argparse.Namespace) -> TranscriptionOptions:
    segmentation = SegmentationOptions(
        max_seconds=arguments.max_chunk,
        threshold=arguments.vad_threshold,
        always=arguments.vad,
    )
    return TranscriptionOptions(
        arguments.beam_size, arguments.batch_seconds, segmentation=segmentation
    )


def _formats(arguments: argparse.Namespace, recogniser: Recogniser) -> list[str]:
    wanted = arguments.format or ["txt"]
    if getattr(recogniser.model, "ctc_weight", 1.0):
        return list(FORMATS) if "all" in wanted else wanted
    if "all" in wanted:
        return [name for name in FORMATS if not WRITERS[name].needs_times]
    for name in wanted:
        if WRITERS[name].needs_times:
            raise ValueError(
                f"--format {name} needs the times of words, and {arguments.bundle} gives none: it "
                "was trained with ctc_weight 0"
            )
    return wanted


def _check_device(name: str) -> None:
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"--device {name} cannot be used here: {reason}") from error


def _with_progress(found: Iterator[Any], items: Sequence[Item]) -> Iterator[Any]:
    """A bar on a terminal; nothing in a log."""
    shown = sys.stderr.isatty()
    try:
        yield from tqdm(found, total=len(items), unit="recording", disable=not shown)
    except ImportError as error:
        raise ValueError(str(error)) from error


def _references(given: str | None, items: Sequence[Item]) -> scored.Transcripts | None:
    """What was said, before hours are spent on what was heard."""
    if given is None:
        return None
    if given != OF_THE_MANIFEST:
        return read(given, said=True)
    known = tuple(
        scored.Transcript(i.name, scored.words_of(i.text), i.speaker or "")
        for i in items
        if i.text is not None
    )
    if not known:
        raise ValueError("--reference: the inputs come without texts; name a file of references")
    return scored.Transcripts("the manifest", "tsv", known)


def _error_rate(references: scored.Transcripts, transcripts: Sequence[Transcript]) -> str:
    said = references.by_id()
    heard = tuple(
        scored.Transcript(t.name, scored.words_of(t.text)) for t in transcripts if t.name in said
    )
    if not heard:
        names = ", ".join(t.name for t in transcripts[:3])
        raise ValueError(
            f"{references.path} has none of the recordings that were transcribed: {names} ..."
        )
    result = score(references, scored.Transcripts("transcripts", "tsv", heard), Options())
    return report.render(report.of_score(result), markdown=False)


def _summary(transcripts: Sequence[Transcript], failures: int, seconds: float) -> None:
    audio = sum(transcript.duration for transcript in transcripts)
    factor = f", real-time factor {seconds / audio:.4f}" if audio else ""
    bad = f", {failures} could not be transcribed" if failures else ""
    _say(f"{len(transcripts)} recording(s), {audio:.1f} s of audio in {seconds:.1f} s{factor}{bad}")


def _say(text: str) -> None:
    tqdm.write(text, file=sys.stderr)
