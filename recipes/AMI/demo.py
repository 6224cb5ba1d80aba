#!/usr/bin/env python3
"""Simulated meetings to a word error rate: what ``tools/demo`` runs.

    python recipes/AMI/demo.py [OPTIONS] [--KEY=VALUE ...]

Meetings are simulated in AMI's layout and prepared as AMI; a deep recognizer is trained on their
distant microphone and tested on new speakers; a language model that is trained on
the transcripts of the same training meetings rescores the tests. Each step is a command, which is
printed and can be run separately; the same command resumes an interrupted run. Any top-level key of
../ASR/hparams/asr.yaml can be given, e.g. ``--network=highway --num_layers=3 --seed=2``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import speechbrain as sb
from ruamel.yaml import YAML

from gatedrnn.data.plots import draw_recording
from gatedrnn.simulation.corpus import CorpusOptions, plan_corpus
from gatedrnn.simulation.meeting import ARRAY_SIZE, simulate_meeting
from gatedrnn.simulation.voices import SAMPLE_RATE
from gatedrnn.tasks.asr.language_model import notes
from gatedrnn.tasks.asr.train import read_n_best, table, transcripts
from gatedrnn.training.recipe_yaml import read_recipe

HERE = Path(os.path.relpath(Path(__file__).parent))
LM = HERE.parent / "LM"
#: The microphone that is trained on, and the close one that is tested beside it.
DISTANT, CLOSE = "Array1-01", "Mix-Headset"
NEXT = """Next (after . .venv/bin/activate), with recordings of your own, or with the real AMI:
  python recipes/Manifest/ASR/train.py recipes/Manifest/ASR/hparams/ctc.yaml \\
      --train_manifest=train.csv --dev_manifest=dev.csv --test_manifest=test.csv
  python recipes/AMI/ami_prepare.py --annotations ami_public_manual_1.6.2.zip --audio amicorpus \\
      --out prepared && python recipes/AMI/ASR/train.py recipes/AMI/ASR/hparams/ctc.yaml \\
      --prepared_folder=prepared
  gatedrnn export {folder} bundle && gatedrnn transcribe bundle a.wav"""


class Steps:
    """Runs commands and records their times."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, float, float]] = []

    def run(self, name: str, command: Sequence[str], **environment: str) -> None:
        """Runs a command.

        Arguments
        ---------
        name : str
            Name of the step.
        command : sequence of str
            Program and arguments.
        **environment : str
            Variables for it.

        Raises
        ------
        subprocess.CalledProcessError
            If it fails.
        """
        shown = ["python" if part == sys.executable else part for part in command]
        print(f"\n=== {name}\n$ {shlex.join(shown)}", flush=True)
        start, used = time.monotonic(), _cpu_seconds()
        subprocess.run(command, check=True, env={**os.environ, **environment})
        self.taken.append((name, time.monotonic() - start, _cpu_seconds() - used))

    def table(self) -> str:
        """Times of the steps, as text."""
        lines = [f"{'step':28} {'seconds':>8} {'CPU seconds':>12}"]
        total = ("all", *(sum(row[k] for row in self.taken) for k in (1, 2)))
        for name, wall, cpu in (*self.taken, total):
            lines.append(f"{name:28} {wall:8.0f} {cpu:12.0f}")
        return "\n".join(lines)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demonstration.

    Arguments
    ---------
    arguments : sequence of str or None
        The command line; None for that of this process.

    Returns
    -------
    int
        0, or that of the command that failed.
    """
    args, keys = _parse(arguments)
    meetings = args.results / "meetings"
    prepared = {mic: args.results / f"prepared-{mic}" for mic in (DISTANT, CLOSE)}
    minutes = {f"--{s}-minutes": getattr(args, f"{s}_minutes") for s in ("train", "dev", "eval")}
    steps, python = Steps(), sys.executable
    overrides = _overrides(keys)
    # Not with the user's own language model, nor after a greedy search, which has one hypothesis.
    with_lm = "language_model" not in overrides and overrides.get("beam_size") != 1
    language_model = args.results / "language_model" if with_lm else None
    train = [
        *(str(HERE / "ASR" / "train.py"), str(HERE / "ASR" / "hparams" / "demo.yaml")),
        *(f"--prepared_folder={prepared[DISTANT]}", f"--results_folder={args.results}"),
        f"--more_tests={json.dumps({'close': str(prepared[CLOSE])})}",
        *([] if any(key.startswith("--device") for key in keys) else ["--device=cpu"]),
        *([f"--language_model={language_model}"] if language_model else []),
        *keys,
    ]
    launch = [python, "-m", "torch.distributed.run", "--standalone"]
    launch = [*launch, f"--nproc_per_node={args.processes}"] if args.processes > 1 else [python]
    try:
        steps.run(
            "simulated meetings",
            [
                *(python, str(HERE / "simulate_meetings.py"), "--out", str(meetings)),
                *(str(part) for pair in minutes.items() for part in pair),
                *("--seed", str(args.meetings_seed), "--jobs", str(_cores())),
                *("--microphones", DISTANT, CLOSE),
            ],
            OMP_NUM_THREADS="1",
        )
        for mic, out in prepared.items():
            steps.run(
                f"preparation, {mic}",
                [
                    *(python, str(HERE / "ami_prepare.py"), "--mic", mic, "--out", str(out)),
                    *("--annotations", str(meetings / "annotations")),
                    *("--audio", str(meetings / "audio")),
                    *("--partition", str(meetings / "partition.json")),
                ],
            )
        if language_model:
            steps.run(
                "language model",
                [
                    *(
                        python,
                        str(LM / "train.py"),
                        str(LM / "hparams" / "demo.yaml"),
                        "--device=cpu",
                    ),
                    f"--data_folder={prepared[DISTANT]}",
                    f"--output_folder={language_model}",
                    "--noprogressbar",
                ],
                OMP_NUM_THREADS="1",
            )
        # Small matrices do not use more threads.
        threads = max(1, min(2, _cores() // args.processes))
        steps.run("training and test", [*launch, *train], OMP_NUM_THREADS=str(threads))
    except subprocess.CalledProcessError as error:
        print(f"demo: a command failed: {shlex.join(error.cmd)}", file=sys.stderr)
        return error.returncode if error.returncode > 0 else 1
    folder = _output_folder(train)
    options = CorpusOptions(
        args.train_minutes, args.dev_minutes, args.eval_minutes, seed=args.meetings_seed
    )
    plot = _plot_array(folder, options)
    _report(folder, steps, plot, language_model)
    return 0


def _parse(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # abbreviations would match keys of the YAML
    )
    add = parser.add_argument
    add("--results", type=Path, default=Path("results/demo"), help="folder (%(default)s)")
    for split, minutes in (("train", 180.0), ("dev", 6.0), ("eval", 10.0)):
        add(f"--{split}-minutes", type=float, default=minutes, help="of meetings (%(default)g)")
    add("--meetings-seed", type=int, default=1, help="other meetings (%(default)s)")
    add("--processes", type=int, default=min(2, _cores()), help="of the training (%(default)s)")
    return parser.parse_known_args(arguments)


def _overrides(keys: Sequence[str]) -> dict[str, Any]:
    """Keys of the YAML that the command line overrides."""
    overrides = sb.parse_arguments(["demo.yaml", *keys])[2]
    return YAML(typ="safe").load(overrides) or {} if overrides else {}


def _output_folder(train: Sequence[str]) -> Path:
    """Output folder of the training with this command line."""
    path, _, overrides = sb.parse_arguments(list(train[1:]))
    return Path(read_recipe(path, overrides).load()["output_folder"])


def _plot_array(folder: Path, options: CorpusOptions) -> Path:
    """Plots an utterance of the evaluation set, recorded by all microphones of the array."""
    records = read_n_best(folder / "nbest_eval.jsonl")
    # About 11 words: neither too short nor too long for the plot.
    record = min(records, key=lambda r: (abs(len(r["ref"].split()) - 11), r["id"]))
    name, agent, begin, end = record["id"].split("_")
    plan = next(plan for plan in plan_corpus(options) if plan.name == name)
    array = tuple(f"Array1-{number + 1:02d}" for number in range(ARRAY_SIZE))
    # Simulated again from its plan, with the microphones that were not written to files.
    meeting = simulate_meeting(replace(plan, acoustics=replace(plan.acoustics, microphones=array)))
    start = int(begin) / 1000
    first, last = (round(int(time) * SAMPLE_RATE / 1000) for time in (begin, end))
    reference = [
        (token.text, a - start, b - start)
        for utterance in meeting.utterances
        if utterance.speaker == "ABCD".index(agent) and abs(utterance.start - start) < 0.01
        for token, (a, b) in zip(utterance.tokens, utterance.times, strict=True)
        if b > a
    ]
    hypothesis = [(word["word"], word["start"], word["end"]) for word in record["words"]]
    path = folder / "array.png"
    draw_recording(
        path,
        {microphone: meeting.channels[microphone][first:last] for microphone in array},
        SAMPLE_RATE,
        {"reference": reference, "hypothesis": hypothesis},
        f"{record['id']}: {record['hyps'][0]['text']}",
    )
    return path


def _report(folder: Path, steps: Steps, plot: Path, language_model: Path | None) -> None:
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    rescored = results.get("rescored")
    lines = [] if rescored is None else ["", notes(rescored)]
    if language_model is not None:
        lm = json.loads((language_model / "results.json").read_text(encoding="utf-8"))
        lines.append(
            f"language model: {lm['model'].split('(')[0]}, {lm['parameters']} parameters, trained "
            "only on the transcripts of the training meetings; perplexity of dev "
            f"{lm['sets']['dev']['perplexity']:.2f} per word"
        )
    summary = "\n".join(
        [
            f"{results['model']}\n{results['parameters']} parameters, {results['epochs']} epochs, "
            f"seed {results['seed']}; dev and eval: {DISTANT}; eval-close: {CLOSE}",
            "",
            table(results["sets"], rescored and rescored["sets"]),
            *lines,
            "",
            "Some utterances of eval (wrong words in lower case):",
            transcripts(read_n_best(folder / "nbest_eval.jsonl")),
            "",
            steps.table(),
        ]
    )
    (folder / "summary.txt").write_text(summary + "\n", encoding="utf-8")
    print(f"\n=== Results\n{summary}\n\nIn {folder}:")
    print(f"  {plot.name} (the array's signal and its transcript), learning_curve.png,")
    print("  summary.txt, wer_eval.txt (all alignments), nbest_eval.jsonl (with word times), and")
    print("  in rescored/ the same after rescoring\n")
    print(NEXT.format(folder=folder))


if __name__ == "__main__":
    sys.exit(main())
