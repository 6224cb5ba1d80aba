"""``gatedrnn transcribe`` as a user runs it, on a recogniser with random weights."""

from __future__ import annotations

import argparse
import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from gatedrnn.cli.main import build_parser, main
from gatedrnn.scoring import read
from gatedrnn.tasks.asr.apply import Recognizer, TranscriptionOptions, transcribe, transcribe_file
from gatedrnn.tasks.asr.bundle import write_bundle
from gatedrnn.tasks.asr.cli import (
    FORMATS,
    LM_MODES,
    _search_options,
    describe_timing,
    stream_standard_input,
)
from gatedrnn.tasks.asr.decode import FUSION, RESCORING, SearchOptions
from gatedrnn.tasks.asr.inputs import find_items
from gatedrnn.tasks.asr.segmentation import SegmentationOptions
from gatedrnn.tasks.asr.streaming import StreamTiming
from gatedrnn.tasks.asr.writers import WRITERS
from tests.tasks.asr import models

CLIPS = Path(__file__).parents[4] / "shared" / "data" / "ami" / "audio"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "bundle"
    made = models.bundle(models.spec())
    write_bundle(folder, made.config, made.tokens, made.model, made.frontend.statistics)
    return folder


@pytest.fixture
def audio(tmp_path):
    """Three recordings of noise, of other lengths."""
    folder = tmp_path / "audio"
    (folder / "day1").mkdir(parents=True)
    for i, (name, seconds) in enumerate((("a", 0.5), ("b", 1.2), ("day1/c", 0.8))):
        soundfile.write(folder / f"{name}.wav", models.signal(seconds, seed=i).numpy(), 16000)
    return folder


def run(*arguments, status=0) -> None:
    assert main(["transcribe", *map(str, arguments)]) == status


def test_choices_are_those_of_the_modules_that_are_imported_later():
    assert tuple(WRITERS) == FORMATS
    assert (FUSION, RESCORING) == LM_MODES


def test_timing_of_a_stream():
    timing = StreamTiming(audio=10.0, busy=0.5, longest=0.004, look_ahead=0.0725)
    assert describe_timing(timing) == (
        "latency 72 ms + at most 4.0 ms a piece; 10.0 s in 0.5 s, real-time factor 0.0500"
    )


def test_texts_are_printed(bundle, audio, capsys):
    run(bundle, audio)
    printed = capsys.readouterr()
    lines = dict(line.split("\t") for line in printed.out.splitlines())
    recogniser = Recognizer.load(bundle)
    assert lines.keys() == {"a", "b", "day1/c"} and all(lines.values())
    for name, text in lines.items():
        assert transcribe_file(recogniser, audio / f"{name}.wav").text == text
    assert "3 recording(s), 2.5 s of audio" in printed.err


def test_files(bundle, audio, tmp_path):
    out = tmp_path / "out"
    run(bundle, audio, "--output", out, "--format", "all", "--beam-size", "4")
    found = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    alone = {f"{n}.{e}" for n in ("a", "b", "day1/c") for e in ("txt", "json", "tsv", "srt", "vtt")}
    assert found == alone | {f"transcripts.{e}" for e in ("jsonl", "ctm", "trn")}
    data = json.loads((out / "b.json").read_text())
    assert data["duration"] == 1.2 and data["text"] == (out / "b.txt").read_text().strip()
    assert all(0 <= w["start"] <= w["end"] <= 1.2 for w in data["words"])
    trn = read(out / "transcripts.trn").by_id()
    assert trn["day1/c"].text == (out / "day1" / "c.txt").read_text().strip()


def test_error_rate(bundle, audio, tmp_path, capsys):
    texts = {t.name: t.text for t in transcribe(Recognizer.load(bundle), find_items([audio]))}
    with open(tmp_path / "m.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("audio", "id", "text", "speaker"))
        rows.writerow((audio / "a.wav", "one", texts["a"] + " EXTRA", "ann"))
        rows.writerow((audio / "b.wav", "two", texts["b"], "bob"))
    run(bundle, tmp_path / "m.csv", "--reference")
    words = len((texts["a"] + " EXTRA " + texts["b"]).split())
    row = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("WER "))
    assert row.split()[1:7] == [str(words), str(words - 1), "0", "1", "0", "1"]
    (tmp_path / "ref.trn").write_text(f"{texts['a']} (a)\n{texts['b']} (b)\n")
    run(bundle, audio / "a.wav", audio / "b.wav", "--reference", tmp_path / "ref.trn")
    row = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("WER "))
    assert row.split()[6] == "0"


def test_any_option_of_the_search(bundle, audio, capsys):
    """``--search`` takes every field of the options, and names one that there is not."""
    arguments = build_parser().parse_args(
        [
            "transcribe",
            str(bundle),
            str(audio),
            "--search",
            "min_log_prob=-3",
            "--search",
            "n_best=2",
        ]
    )
    options = _search_options(arguments, SearchOptions(beam_size=8))
    assert options == SearchOptions(beam_size=8, n_best=2, min_log_prob=-3.0)
    run(bundle, audio / "a.wav", "--search", "min_log_prop=-3", status=2)
    assert "--search: unknown key 'min_log_prop'; did you mean 'min_log_prob'?" in (
        capsys.readouterr().err
    )
    run(bundle, audio / "a.wav", "--search", "n_best", status=2)
    assert "--search n_best: must be NAME=VALUE" in capsys.readouterr().err


def test_options_of_a_recipe():
    hparams = {"beam_size": 4, "n_best": 3, "lm_weight": None, "search": {"min_log_prob": -6}}
    assert SearchOptions.from_hparams(hparams) == SearchOptions(4, 3, -6.0)
    with pytest.raises(ValueError, match="search: unknown key 'beam'; did you mean 'beam_size'"):
        SearchOptions.from_hparams({"beam_size": 4, "search": {"beam": 3}})
    with pytest.raises(ValueError, match="search: must be options with values, not 3"):
        SearchOptions.from_hparams({"beam_size": 4, "search": 3})


def test_references_are_looked_at_first(bundle, audio, tmp_path, capsys):
    run(bundle, audio, "--reference", status=2)
    assert "come without texts" in capsys.readouterr().err
    run(bundle, audio, "--reference", tmp_path / "none.trn", status=2)
    assert "none.trn" in capsys.readouterr().err
    (tmp_path / "ref.trn").write_text("YES (other)\n")
    run(bundle, audio, "--reference", tmp_path / "ref.trn", status=2)
    assert "none of the recordings" in capsys.readouterr().err


def test_a_bad_file_is_named_and_the_rest_go_on(bundle, audio, tmp_path, capsys):
    (audio / "text.wav").write_text("This is a text.")
    (audio / "zero.wav").touch()
    out = tmp_path / "out"
    run(bundle, audio, "--output", out, status=1)
    printed = capsys.readouterr().err
    assert (
        "text.wav" in printed and "zero.wav" in printed and "2 could not be transcribed" in printed
    )
    assert {p.stem for p in out.rglob("*.txt")} == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("--format", "txt"), "--output"),
        (("--threads", "0"), "--threads must be"),
        (("--beam-size", "0"), "beam_size must be"),
        (("--batch-seconds", "0"), "must be more than none"),
        (("--max-chunk", "0"), "at least 1"),
        (("--device", "quantum"), "--device quantum cannot be used here"),
        (("--stream", "--piece", "0"), "--piece must be"),
        (("-",), "goes with --stream"),
    ],
)
def test_bad_arguments(bundle, audio, capsys, arguments, wanted):
    run(bundle, audio, *arguments, status=2)
    printed = capsys.readouterr().err
    assert wanted in printed and printed.count("\n") == 1


def test_bad_bundle_and_input(bundle, audio, tmp_path, capsys):
    run(tmp_path, audio, status=2)
    assert "is no bundle" in capsys.readouterr().err
    run(bundle, tmp_path / "nothing.wav", status=2)
    assert "nothing.wav: no such file" in capsys.readouterr().err


def test_models_without_word_times(audio, tmp_path, capsys):
    options = {"hidden_size": 8, "embedding_size": 4, "joint_size": 8, "ctc_weight": 0.0}
    made = models.bundle(models.spec(head="transducer", head_options=options))
    made.model.output.weight.mul_(30.0)
    folder = tmp_path / "untimed"
    write_bundle(folder, made.config, made.tokens, made.model, made.frontend.statistics)
    run(folder, audio, "--output", tmp_path / "out", "--format", "ctm", status=2)
    assert "trained with ctc_weight 0" in capsys.readouterr().err
    run(folder, audio, "--output", tmp_path / "out", "--format", "all")
    assert "-->" in (tmp_path / "out" / "a.srt").read_text()


# ---- any audio ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "rate", "channels"),
    [("wav", 16000, 1), ("wav", 8000, 2), ("flac", 44100, 2), ("ogg", 48000, 1), ("mp3", 44100, 2),
     ("opus", 16000, 1)],
)  # fmt: skip
def test_any_format(bundle, tmp_path, ending, rate, channels):
    signal = np.repeat(models.signal(1.0).numpy()[:rate, None], channels, axis=1)
    path = tmp_path / f"a.{ending}"
    kind = {"format": "OGG", "subtype": "OPUS"} if ending == "opus" else {}
    soundfile.write(path, signal, rate, **kind)
    found = transcribe_file(Recognizer.load(bundle), path)
    assert found.duration == pytest.approx(len(signal) / rate, abs=0.1) and found.text


@pytest.mark.parametrize("samples", [1, 160, 16000])
def test_short_and_silent(bundle, tmp_path, samples):
    recogniser = Recognizer.load(bundle)
    soundfile.write(tmp_path / "noise.wav", 0.1 + models.signal(1.0)[:samples].numpy(), 16000)
    soundfile.write(tmp_path / "silence.wav", np.zeros(samples), 16000)
    assert len(transcribe_file(recogniser, tmp_path / "noise.wav").segments) == 1
    assert transcribe_file(recogniser, tmp_path / "silence.wav").segments == ()


@pytest.mark.skipif(not CLIPS.is_dir(), reason="the clips of ../shared/data/ami are not there")
def test_long_recordings(bundle, tmp_path):
    """In chunks, in any order of batches; a part of a recording counts from its beginning."""
    clips = sorted(CLIPS.glob("trn*.flac"))[:2]
    signals = [soundfile.read(path, dtype="float32")[0] for path in clips]
    path = tmp_path / "meeting.wav"
    soundfile.write(path, np.concatenate([s[-160000:] for s in signals]), 16000)
    recogniser = Recognizer.load(bundle)
    chunks = SegmentationOptions(max_seconds=4.0)
    whole = transcribe_file(
        recogniser, path, TranscriptionOptions(SearchOptions(), segmentation=chunks)
    )
    assert len(whole.segments) >= 3
    assert all(s.seconds <= 4.0 for s in whole.segments)
    assert all(s.start <= w.start <= w.end <= s.end for s in whole.segments for w in s.words)
    options = TranscriptionOptions(SearchOptions(1), batch_size=1, segmentation=chunks)
    alone = transcribe_file(recogniser, path, options)
    assert [s.text for s in alone.segments] == [s.text for s in whole.segments]
    (tmp_path / "m.jsonl").write_text(
        json.dumps({"audio": "meeting.wav", "id": "part", "start": 9.0, "stop": 19.0}) + "\n"
    )
    (part,) = transcribe(recogniser, find_items([tmp_path / "m.jsonl"]), options)
    assert part.recording == "meeting" and part.duration == 10.0
    assert 9.0 <= part.segments[0].start and part.segments[-1].end <= 19.0


# ---- streams --------------------------------------------------------------------------------


def test_stream_of_files(bundle, audio, capsys, tmp_path):
    run(bundle, audio)
    whole = sorted(capsys.readouterr().out.splitlines())
    for piece in (10, 333):
        run(bundle, audio, "--stream", "--piece", piece)
        printed = capsys.readouterr()
        assert sorted(printed.out.splitlines()) == whole
        assert printed.err.count("latency") == 3 and "real-time factor" in printed.err


def arguments_of(bundle, *more) -> argparse.Namespace:
    return build_parser().parse_args(["transcribe", str(bundle), "-", "--stream", *more])


class Pipe(io.BytesIO):
    """Gives less than it is asked for, and halves of samples."""

    def read(self, size: int = -1) -> bytes:
        return super().read(min(size, 777))


@pytest.mark.parametrize("rate", [16000, 8000])
def test_standard_input(bundle, capsys, tmp_path, rate):
    samples = (models.signal(1.0).numpy()[:rate] * 32767).astype("<i2")
    soundfile.write(tmp_path / "a.wav", samples, rate)
    recogniser = Recognizer.load(bundle)
    text = transcribe_file(recogniser, tmp_path / "a.wav").text
    given = arguments_of(bundle, "--rate", str(rate), "--piece", "50")
    assert stream_standard_input(recogniser, given, Pipe(samples.tobytes())) == 0
    assert capsys.readouterr().out.strip() == text
    stream_standard_input(recogniser, given, Pipe(samples.tobytes() + b"x"))
    assert "within a sample" in capsys.readouterr().err


def test_standard_input_of_nothing(bundle, capsys):
    assert stream_standard_input(Recognizer.load(bundle), arguments_of(bundle), Pipe()) == 0
    assert capsys.readouterr().out == "\n"


def test_standard_input_goes_alone(bundle, capsys):
    run(bundle, "-", "--stream", "--output", "x", status=2)
    assert "--output is for files" in capsys.readouterr().err
    run(bundle, "-", "--stream", "--rate", "1", status=2)
    assert "--rate must be" in capsys.readouterr().err
