#!/usr/bin/env python3
"""Made ``data/``: what the code of commit 2f171d6 (2026-11-29) wrote and printed.

It trained tiny networks by the recipes, exported them, and recorded what the commands printed from
them. It is kept to show how the data came about; it is not meant to be run on later code, whose
files would not be those that earlier users have. ``test_released.py`` reads the data.

``python tests/released/make.py [KIND ...]`` from the root of the checkout; the kinds are the keys
of ``KINDS``, all by default.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import soundfile
import torch
from speechbrain.inference.ASR import EncoderASR

from gatedrnn.cli.main import main
from gatedrnn.simulation.small_sets import SAMPLE_RATE, WORDS, make_utterance

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DATA = HERE / "data"
#: Trainings run here, so that the files that they write hold relative paths only.
SCRATCH = Path(tempfile.gettempdir()) / "released"
RUNNER = "GATEDRNN_RUNNER"
#: Files of an output folder that are large, or hold paths of the machine.
LEFT_OUT = ("log.txt", "env.log", "learning_curve.png", "session.py", "train.py")
COMMON = ("--device=cpu", "--noprogressbar")

#: Name of a training -> its recipe, YAML file, and what differs.
TONES = ("Tones/ASR", "ctc.yaml")
LM = ("LM", "folder.yaml")
ASR_SIZES = (
    "--network=lstmp", "--num_layers=2", "--hidden_size=20", "--proj_size=12", "--stack=4",
    "--train_utterances=240", "--dev_utterances=12", "--test_utterances=6", "--lr=0.01",
    "--max_batch_size=8", "--number_of_epochs=20", "--tokens=characters", "--head_size=16",
)  # fmt: skip
LM_SIZES = (
    "--data_folder=texts", "--network=ran", "--num_layers=2", "--hidden_size=16", "--dropout=0.0",
    "--carry_state=False", "--lr=0.02", "--warmup_steps=2", "--number_of_epochs=6",
)  # fmt: skip
TRAININGS: dict[str, tuple[tuple[str, str], tuple[str, ...]]] = {
    "asr": (TONES, ASR_SIZES),
    "attention": (TONES, (*ASR_SIZES, "--head=attention", "--pretrained_encoder=asr",
                          "--number_of_epochs=12")),
    "transducer": (TONES, (*ASR_SIZES, "--head=transducer", "--pretrained_encoder=asr",
                           "--number_of_epochs=8")),
    "words": (TONES, (*ASR_SIZES, "--tokens=words", "--bidirectional=True", "--network=ran",
                      "--hidden_size=12", "--stack=3")),
    "stream": (TONES, (*ASR_SIZES, "--network=residual", "--norm_type=global",
                       "--dynamic_range=0")),
    "lm": (LM, (*LM_SIZES, "--tokens=words")),
    "lm_characters": (LM, (*LM_SIZES, "--tokens=characters")),
    "lm_pieces": (LM, (*LM_SIZES, "--tokens=unigram", "--pieces=16")),
    "captions": (("Captioning", "scenes.yaml"), (
        "--data_folder=scenes",
        "--corpus_options={train: 250, dev: 6, test: 6, size: 32, two: 0.0}",
        "--media={height: 32, width: 32}", "--encoder_options={channels: [8, 12, 16], width: 16}",
        "--network=lstmp", "--num_layers=2", "--hidden_size=20", "--attention_size=12",
        "--embedding_size=12", "--batch_size=8", "--beam_size=2", "--dropout=0.0",
        "--number_of_epochs=40", "--lr=0.01", "--warmup_steps=10", "--setup=late",
    )),
    "translation": (("MT", "demo.yaml"), (
        "--data_folder=parallel", "--simulated={train: 1000, valid: 20, test: 10}",
        "--hidden_size=20", "--attention_size=12", "--embedding_size=12", "--num_layers=1",
        "--network=gru", "--number_of_epochs=8", "--batch_size=16", "--lr=0.02",
    )),
    "images": (("SequentialImages", "demo.yaml"), (
        "--data_folder=digits", "--simulate={train: 300, test: 40}", "--valid_count=40",
        "--hidden_size=16", "--number_of_epochs=3",
    )),
    "sentences": (("SentenceClassification", "demo.yaml"), (
        "--data_folder=sentence_files", "--simulate={train: 200, test: 40}", "--hidden_size=8",
        "--embedding_size=8", "--number_of_epochs=3",
    )),
    "music": (("PolyphonicMusic", "demo.yaml"), (
        "--data_folder=chords", "--simulated={train: 40, valid: 4, test: 4}", "--hidden_size=12",
        "--number_of_epochs=3",
    )),
}  # fmt: skip


def train(name: str, *changes: str, cwd: Path = SCRATCH, reference: bool = False) -> None:
    """Runs the recipe of a training; later options take the place of earlier ones."""
    (recipe, yaml), options = TRAININGS[name]
    folder = ROOT / "recipes" / recipe
    given = {a.split("=")[0]: a for a in (*options, *changes)}
    if cwd == SCRATCH:
        shutil.rmtree(SCRATCH / name, ignore_errors=True)
    environment = {k: v for k, v in os.environ.items() if k != RUNNER}
    if reference:
        environment[RUNNER] = "reference"
    subprocess.run(
        [sys.executable, str(folder / "train.py"), str(folder / "hparams" / yaml), *COMMON,
         *given.values(), f"--output_folder={name}"],
        cwd=cwd, env=environment, check=True,
    )  # fmt: skip


def keep(name: str) -> None:
    """Copies a training's output folder without what is large."""
    target = DATA / "trainings" / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(SCRATCH / name, target, ignore=shutil.ignore_patterns(*LEFT_OUT))
    if name == "captions":
        # The best checkpoint, which is what is exported, suffices.
        shutil.rmtree(max((target / "save").iterdir()))


def resume(name: str) -> None:
    """Records what one more epoch of a kept training gives."""
    (recipe, yaml), options = TRAININGS[name]
    folder = SCRATCH / "resumed"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(DATA / "trainings" / name, folder / name)
    if name == "lm":
        shutil.copytree(DATA / "texts", folder / "texts")
    epochs = json.loads((folder / name / "results.json").read_text())["epochs"] + 1
    train(name, f"--number_of_epochs={epochs}", cwd=folder, reference=True)
    given = {a.split("=")[0]: a for a in (*options, f"--number_of_epochs={epochs}")}
    log = (folder / name / "train_log.txt").read_text().splitlines()
    found = {
        "script": f"recipes/{recipe}/train.py",
        "hparams": f"recipes/{recipe}/hparams/{yaml}",
        "arguments": [*COMMON, *given.values(), f"--output_folder={name}"],
        "log": [line for line in log if line.startswith("epoch: ")],
        "sets": json.loads((folder / name / "results.json").read_text())["sets"],
    }
    write(DATA / "resumed" / f"{name}.json", found)


def export(name: str, bundle: str, *options: str) -> None:
    """Makes a bundle of a training that was kept."""
    target = DATA / "bundles" / bundle
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(exist_ok=True, parents=True)
    with contextlib.chdir(DATA):
        assert main(["export", f"trainings/{name}", f"bundles/{bundle}", *options]) == 0


def record(name: str, *argv: str, before: tuple[tuple[str, ...], ...] = ()) -> None:
    """Runs a command and keeps what it prints, and the files that it writes to ``{out}``.

    ``{data}`` stands for the data, ``{made}`` for where the commands ``before`` write
    (``copy`` copies a folder).
    """
    out, made = SCRATCH / "out" / name, SCRATCH / "made" / name
    for folder in (out, made):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    places = {"data": str(DATA), "out": str(out), "made": str(made)}

    def run(arguments: tuple[str, ...]) -> tuple[int, str]:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            status = main([a.format(**places) for a in arguments])
        return status, said.getvalue()

    for arguments in before:
        if arguments[0] == "copy":
            shutil.copytree(*(a.format(**places) for a in arguments[1:]))
        else:
            assert run(arguments)[0] == 0
    status, said = run(argv)

    def neutral(text: str) -> str:
        for place, path in places.items():
            text = text.replace(path, f"{{{place}}}")
        return text

    files = {}
    for path in sorted(out.rglob("*")):
        if path.is_file():
            kept = DATA / "written" / name / path.relative_to(out)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(neutral(path.read_text()))
            files[str(path.relative_to(out))] = path.stat().st_size
    write(
        DATA / "commands" / f"{name}.json",
        {
            "argv": argv,
            "before": before,
            "status": status,
            "stdout": neutral(said).splitlines(),
            "files": sorted(files),
        },
    )
    print(f"--- {' '.join(argv)}: {status}\n{said}")


def drop(*names: str) -> None:
    """Deletes output folders of which the bundles suffice."""
    for name in names:
        shutil.rmtree(DATA / "trainings" / name, ignore_errors=True)


def remove_paths() -> None:
    """Makes paths of the machine relative, in all files."""
    places = {f"{SCRATCH}/": "", f"{ROOT}/": "", sys.executable: "python"}
    for path in DATA.rglob("*"):
        if path.suffix in (".json", ".jsonl", ".yaml", ".txt", ".md", ".csv", ".tsv"):
            text = changed = path.read_text()
            for place, instead in places.items():
                changed = changed.replace(place, instead)
            if changed != text:
                path.write_text(changed)


def write(path: Path, content: Any) -> None:
    """Writes JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


# ---- the kinds ------------------------------------------------------------------------------


def make_lm() -> None:
    """Three language models of made-up sentences, in which some words follow others."""
    draw = random.Random(1)
    texts = SCRATCH / "texts"
    shutil.rmtree(texts, ignore_errors=True)
    texts.mkdir(parents=True)
    for name, count in (("train", 250), ("valid", 20), ("test", 20)):
        lines = []
        for _ in range(count):
            words = [draw.choice(WORDS)]
            while len(words) < draw.randint(1, 5):
                after = WORDS[(WORDS.index(words[-1]) + 3) % len(WORDS)]
                words.append(after if draw.random() < 0.7 else draw.choice(WORDS))
            lines.append(" ".join(words) + "\n")
        (texts / f"{name}.txt").write_text("".join(lines))
    shutil.copytree(texts, DATA / "texts", dirs_exist_ok=True)
    for name in ("lm", "lm_characters", "lm_pieces"):
        train(name)
        keep(name)
        export(name, name)
        bundle = f"{{data}}/bundles/{name}"
        record(f"perplexity_{name}", "perplexity", bundle, "{data}/texts/test.txt",
               "--word-scores", "{out}/words.tsv")  # fmt: skip
        record(f"generate_{name}", "generate", bundle, "--count", "3", "--seed", "5")
    record("perplexity_json", "perplexity", "{data}/bundles/lm", "{data}/texts/test.txt",
           "{data}/texts/valid.txt", "--carried", "--format", "json")  # fmt: skip
    record("perplexity_dynamic", "perplexity", "{data}/bundles/lm", "{data}/texts/test.txt",
           "--dynamic-lr", "0.1")  # fmt: skip
    record("generate_prompt", "generate", "{data}/bundles/lm", "--prompt", "ai oe", "--seed", "2",
           "--temperature", "0.7", "--top-k", "4", "--lines", "2", "--tokens", "12")  # fmt: skip
    exported = (("export", "{data}/trainings/lm", "{made}/bundle"),)
    record("perplexity_exported", "perplexity", "{made}/bundle", "{data}/texts/test.txt",
           before=exported)  # fmt: skip
    resume("lm")


def make_audio() -> None:
    """Four recordings of the made-up language, with a manifest."""
    folder = DATA / "audio"
    folder.mkdir(parents=True, exist_ok=True)
    rows, texts = ["audio,id,text,speaker"], []
    for i in range(4):
        made = make_utterance(50 + i, speaker=35 + i, max_words=4)
        soundfile.write(folder / f"{i}.flac", made.samples.numpy(), SAMPLE_RATE)
        texts.append(f"utt-{i} {' '.join(made.words)}\n")
        rows.append(f"{i}.flac,utt-{i},{' '.join(made.words)},s{i}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    (folder / "references.txt").write_text("".join(texts))


def make_asr() -> None:
    """Recognisers with each head, a streaming one, and one with a language model."""
    make_audio()
    manifest = "{data}/audio/manifest.csv"
    for name in ("asr", "attention", "transducer", "words", "stream"):
        train(name)
        keep(name)
        export(name, "ctc" if name == "asr" else name)
    resume("asr")
    lists = ("{data}/trainings/asr/nbest_dev.jsonl", "{data}/trainings/asr/nbest_test.jsonl")
    record("rescore", "rescore", "{data}/bundles/lm", *lists, "--output", "{out}")
    record("rescore_fixed", "rescore", "{data}/bundles/lm_characters", *lists, "--weights", "0.4",
           "--insertions", "0.5", "--output", "{out}")  # fmt: skip
    export("asr", "with_lm", "--lm", "bundles/lm", "--lm-weight", "0.5", "--lm-insertion", "0.5")
    for name in ("ctc", "attention", "transducer", "words", "stream", "with_lm"):
        record(f"transcribe_{name}", "transcribe", f"{{data}}/bundles/{name}", manifest,
               "--reference", "--format", "all", "--output", "{out}")  # fmt: skip
    record("transcribe_printed", "transcribe", "{data}/bundles/ctc", "{data}/audio/0.flac",
           "{data}/audio/1.flac", "--beam-size", "1")  # fmt: skip
    record("transcribe_no_lm", "transcribe", "{data}/bundles/with_lm", manifest, "--no-lm",
           "--reference")  # fmt: skip
    record("transcribe_lm", "transcribe", "{data}/bundles/ctc", manifest, "--beam-size", "8",
           "--lm", "{data}/bundles/lm_characters", "--lm-setting",
           "{data}/written/rescore_fixed/setting.json", "--format", "json", "--output",
           "{out}")  # fmt: skip
    record("transcribe_rescoring", "transcribe", "{data}/bundles/attention", manifest, "--lm",
           "{data}/trainings/lm", "--lm-weight", "0.3", "--format", "jsonl", "--output",
           "{out}")  # fmt: skip
    record("transcribe_stream", "transcribe", "{data}/bundles/stream", manifest, "--stream",
           "--piece", "70", "--reference", "--format", "jsonl", "--output", "{out}")  # fmt: skip
    record("transcribe_int8", "transcribe", "{data}/bundles/stream", manifest, "--quantize",
           "int8")  # fmt: skip
    exported = (("export", "{data}/trainings/asr", "{made}/bundle"),)
    record("transcribe_exported", "transcribe", "{made}/bundle", manifest, before=exported)
    dev = "{data}/trainings/asr/nbest_dev.jsonl"
    rescored = "{data}/written/rescore/nbest_dev.jsonl"
    record("score", "score", dev, dev, rescored, "--resamples", "200")
    record("score_json", "score", dev, dev, "--resamples", "200", "--format", "json")
    record("score_transcripts", "score", "{data}/audio/references.txt",
           "{data}/written/transcribe_ctc/transcripts.jsonl", "--format", "markdown",
           "--resamples", "200", "--write", "{out}")  # fmt: skip


def make_speechbrain() -> None:
    """What SpeechBrain's own interface says."""
    files = [f"{i}.flac" for i in range(4)]
    found = {}
    for name in ("ctc", "words", "stream"):
        source = shutil.copytree(DATA / "bundles" / name, SCRATCH / "stock" / name)
        with contextlib.chdir(SCRATCH / "stock"):
            asr = EncoderASR.from_hparams(source=str(source), run_opts={"device": "cpu"})
            found[name] = {f: asr.transcribe_file(str(DATA / "audio" / f)) for f in files}
    shutil.rmtree(SCRATCH / "stock")
    write(DATA / "speechbrain.json", found)


def make_captions() -> None:
    """A captioner of simulated pictures."""
    train("captions")
    keep("captions")
    export("captions", "captioner")
    pictures = sorted((SCRATCH / "scenes" / "images" / "test").glob("*.png"))[:4]
    (DATA / "pictures").mkdir(exist_ok=True)
    for path in pictures:
        shutil.copy(path, DATA / "pictures" / path.name)
    bundle = "{data}/bundles/captioner"
    record("caption", "caption", bundle, "{data}/pictures")
    record("caption_json", "caption", bundle, "{data}/pictures", "--beam", "4", "--nbest", "3",
           "--format", "json", "--output", "{out}/captions.json")  # fmt: skip
    record("caption_exported", "caption", "{made}/bundle", "{data}/pictures", "--beam", "1",
           before=(("export", "{data}/trainings/captions", "{made}/bundle"),))  # fmt: skip
    items = map(json.loads, (SCRATCH / "scenes" / "captions.jsonl").open())
    test = [{k: item[k] for k in ("id", "references")} for item in items if item["split"] == "test"]
    (DATA / "references.jsonl").write_text("".join(json.dumps(item) + "\n" for item in test))
    record("score_captions", "score-captions", "{data}/references.jsonl",
           "{data}/trainings/captions/captions_test.json", "--java", "never", "--resamples",
           "200")  # fmt: skip
    record("score_captions_json", "score-captions", "{data}/references.jsonl",
           "{data}/trainings/captions/captions_test.json", "--java", "never", "--resamples", "200",
           "--format", "json")  # fmt: skip


def make_translation() -> None:
    """A translator of a made-up language."""
    train("translation")
    keep("translation")
    export("translation", "translator")
    (DATA / "parallel").mkdir(exist_ok=True)
    for path in (SCRATCH / "parallel").glob("test.*"):
        shutil.copy(path, DATA / "parallel")
    bundle, text = "{data}/bundles/translator", "{data}/parallel/test.en"
    record("translate", "translate", bundle, text, "--references", "{data}/parallel/test.xx")
    record("translate_json", "translate", bundle, text, "--beam", "4", "--nbest", "2", "--format",
           "jsonl", "--output", "{out}/translations.jsonl")  # fmt: skip
    record("translate_exported", "translate", "{made}/bundle", text, "--beam", "1",
           before=(("export", "{data}/trainings/translation", "{made}/bundle"),))  # fmt: skip


def make_classification() -> None:
    """Classifiers of simulated images and sentences."""
    for name in ("images", "sentences"):
        train(name)
        keep(name)
    # The other has learnt too little: its decisions are close.
    resume("sentences")


def make_music() -> None:
    """A model of made-up chords."""
    train("music")
    keep("music")
    resume("music")


def make_compare() -> None:
    """A table of two networks by two seeds."""
    table = DATA / "compare" / "table.yaml"
    table.parent.mkdir(exist_ok=True)
    table.write_text(
        "recipe: ../../../../recipes/LM/train.py\n"
        "hparams: ../../../../recipes/LM/hparams/folder.yaml\n"
        "arguments: {tokens: words, carry_state: False, hidden_size: 8, num_layers: 1,\n"
        "  dropout: 0.0, lr: 0.02, warmup_steps: 2, number_of_epochs: 2}\n"
        "seeds: [1, 2]\n"
        "baseline: RAN\n"
        "measure: {key: [test, perplexity], name: test perplexity, better: lower}\n"
        "curve: valid loss\n"
        "networks:\n"
        "  RAN: {network: ran}\n"
        "  GRU: {network: gru}\n"
        "data: {sentences: {data_folder: texts}}\n"
    )
    with contextlib.chdir(SCRATCH):
        assert main(["compare", str(table), "--output", "compared", "--jobs", "2"]) == 0
    results = table.parent / "results"
    shutil.rmtree(results, ignore_errors=True)
    kept = ("table.md", "table.csv", "compare.json", "results.json", "model.json", "train_log.txt")
    for path in (SCRATCH / "compared").rglob("*"):
        if path.name in kept:
            target = results / path.relative_to(SCRATCH / "compared")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    record("compare", "compare", "{data}/compare/table.yaml", "--output", "{made}/results",
           "--report", before=(("copy", "{data}/compare/results", "{made}/results"),))  # fmt: skip
    # Runs that are there are not run again.
    record("compare_again", "compare", "{data}/compare/table.yaml", "--output", "{made}/results",
           before=(("copy", "{data}/compare/results", "{made}/results"),))  # fmt: skip
    record("list", "list")
    record("list_json", "list", "--format", "json")
    record("list_one", "list", "ran", "--num-layers", "10", "--proj-size", "512")


KINDS: dict[str, Callable[[], None]] = {
    "lm": make_lm,
    "asr": make_asr,
    "speechbrain": make_speechbrain,
    "captions": make_captions,
    "translation": make_translation,
    "classification": make_classification,
    "music": make_music,
    "compare": make_compare,
}

if __name__ == "__main__":
    os.environ[RUNNER] = "reference"
    torch.set_num_threads(1)
    SCRATCH.mkdir(exist_ok=True, parents=True)
    for kind in sys.argv[1:] or KINDS:
        KINDS[kind]()
    drop("attention", "transducer", "words", "stream", "lm_characters", "lm_pieces")
    remove_paths()
