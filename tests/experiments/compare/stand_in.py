"""A recipe that trains nothing: it leaves what a training leaves."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import yaml


def main(arguments: Sequence[str]) -> int:
    """What a recipe's script does; the exit status."""
    options = yaml.safe_load(Path(arguments[0]).read_text())
    for argument in arguments[1:]:
        name, _, value = argument.removeprefix("--").partition("=")
        options[name] = yaml.safe_load(value)
    folder = Path(options["output_folder"])
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "calls.txt", "a") as calls:
        threads = os.environ.get("OMP_NUM_THREADS")
        call = {"argv": list(arguments), "threads": threads, "pid": os.getpid()}
        calls.write(json.dumps(call) + "\n")
    print("training", options["network"])
    if not os.environ.get("CURED"):
        if options.get("fail_at") == options["seed"]:
            print("the disk is full", file=sys.stderr)
            return 3
        if options.get("killed_at") == options["seed"]:
            os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(options.get("wait", 0))
    draw = random.Random(f"{options['network']}{options['seed']}")
    loss = options["base"] + abs(options["lr"] - options["best_lr"]) + draw.uniform(0, 0.1)
    rows = [
        f"epoch: {epoch}, lr: {options['lr']} - train loss: {loss + 1 / epoch:.4g} - "
        f"valid loss: {loss + 2 / epoch:.4g}, valid error: {10 * (loss + 2 / epoch):.4g}"
        for epoch in range(1, options["epochs"] + 1)
    ]
    (folder / "train_log.txt").write_text("\n".join(rows) + "\n")
    results = {
        "seed": options["seed"],
        "parameters": options["size"],
        "train seconds": 2.0,
        "train cpu seconds": 1.5,
        "steps": 10,
        "seconds per step": 0.2,
        "sets": {"dev": {"error": 10 * loss}, "test": {"error": 10 * loss + 1}},
    }
    if "forgets_results" not in options:
        (folder / "results.json").write_text(json.dumps(results))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
