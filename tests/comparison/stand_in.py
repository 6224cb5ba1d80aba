"""A recipe that trains nothing: it leaves what a training leaves."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path

import yaml

options = yaml.safe_load(Path(sys.argv[1]).read_text())
for argument in sys.argv[2:]:
    name, _, value = argument.removeprefix("--").partition("=")
    options[name] = yaml.safe_load(value)
folder = Path(options["output_folder"])
folder.mkdir(parents=True, exist_ok=True)
with open(folder / "calls.txt", "a") as calls:
    calls.write(json.dumps({"argv": sys.argv[1:], "threads": os.environ.get("OMP_NUM_THREADS")}))
    calls.write("\n")
print("training", options["network"])
if options.get("fail_at") == options["seed"] and not os.environ.get("CURED"):
    print("the disk is full", file=sys.stderr)
    sys.exit(3)
if options.get("killed_at") == options["seed"] and not os.environ.get("CURED"):
    os.kill(os.getpid(), signal.SIGKILL)
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
if options.get("forgets_results") is None:
    (folder / "results.json").write_text(json.dumps(results))
