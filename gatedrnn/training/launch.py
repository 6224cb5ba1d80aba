"""From a command line to a running recipe: processes, output folder, users' errors."""

from __future__ import annotations

import dis
import gc
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import speechbrain as sb
import torch
from speechbrain.utils.distributed import ddp_init_group, if_main_process
from speechbrain.utils.run_opts import RunOptions

from gatedrnn.data.files import write_atomically
from gatedrnn.lazy import MissingExtraError
from gatedrnn.training.recipe_yaml import RecipeYaml, read_keys, read_recipe, rename_keys

Result = TypeVar("Result")

#: Name of the resolved YAML of a training in its output folder, as SpeechBrain writes it.
HYPERPARAMS = "hyperparams.yaml"
#: Keys that identify a training: its data, how they are divided, and the model. With other values
#: its checkpoints would be tested on data that they were trained on, or loaded into another model.
IDENTITY = (
    "seed", "corpus", "dataset", "corpus_options", "source", "target", "lowercase", "source_tokens",
    "target_tokens", "tokens", "order", "permutation", "folds", "division_seed", "phrases",
    "first_frame", "network", "network_options", "num_layers", "encoder_layers", "hidden_size",
    "proj_size", "parameter_budget", "bidirectional", "pooling", "attention", "attention_size",
    "embedding_size", "tied", "cutoffs",
)  # fmt: skip
#: Keys within their values that may change: which further sets are tested.
_FREE = ("tests",)
#: Seconds at the end of a run in which Python's lock is free.
_SETTLING = 0.3


def run_script(train: Callable[..., Any], *readers: Callable[..., Any]) -> int:
    """Runs a recipe's script: ``sys.exit(run_script(train_lm, read))``.

    A user's error is one line on standard error; with ``--debug``, which SpeechBrain takes as well,
    it has a traceback, as all other errors have.

    train: Function of a task, such as ``train_asr``: given the arguments of the command line
        and the readers.
    *readers: Functions that prepare and read the data.
    Returns: Exit status: 0, or 2 after a user's error.
    """
    try:
        train(sys.argv[1:], *readers)
    except (ValueError, OSError, MissingExtraError) as error:
        if "--debug" in sys.argv or not is_user_error(error):
            raise
        print(f"{Path(sys.argv[0]).name}: error: {error}", file=sys.stderr)
        return 2
    return 0


def is_user_error(error: BaseException) -> bool:
    """Whether an error is about what a user has given, not about a mistake in a program.

    A ``ValueError`` is if this package or SpeechBrain raises it by a ``raise`` statement.

    Example
    -------
    >>> from gatedrnn.training.recipe_yaml import read_recipe
    >>> for cause in (lambda: read_recipe("nowhere.yaml"), lambda: max([]), lambda: int("a")):
    ...     try:
    ...         cause()
    ...     except (ValueError, OSError) as error:
    ...         print(is_user_error(error))
    True
    False
    False
    """
    if not isinstance(error, ValueError):
        return isinstance(error, (OSError, MissingExtraError))
    innermost = error.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    if innermost is None:
        return False
    package = str(innermost.tb_frame.f_globals.get("__name__")).partition(".")[0]
    instruction = innermost.tb_frame.f_code.co_code[innermost.tb_lasti]
    raised = instruction == dis.opmap["RAISE_VARARGS"]
    return raised and package in ("gatedrnn", "speechbrain", "hyperpyyaml", "__main__")


def run_recipe(
    arguments: Sequence[str], work: Callable[[dict[str, Any], RunOptions], Result]
) -> Result:
    """Reads a recipe's command line and YAML, and does its work in the processes of the run.

    arguments: Of the command line: a YAML file, and what to override in it.
    work: Given the YAML's values and SpeechBrain's options; called in every process.
    Returns: What ``work`` returns.
    """
    hparams_file, run_opts, overrides = sb.parse_arguments(list(arguments))
    _refuse_empty(overrides)
    recipe = read_recipe(hparams_file, overrides)
    run_opts = _choose_backend(run_opts)
    ddp_init_group(run_opts)
    before = _flushes_denormals()
    # Where gates or units are saturated, gradients, and Adam's averages of their squares even
    # more, are next to zero, and such numbers cost a CPU a hundred times what others do.
    torch.set_flush_denormal(True)
    try:
        hparams = recipe.load()
        folder = Path(hparams["output_folder"])
        if if_main_process():
            refuse_another_training(folder, hparams)
        sb.create_experiment_directory(str(folder))
        if if_main_process():
            _write_hyperparams(recipe, folder)
        result = work(hparams, run_opts)
        if torch.distributed.is_initialized():
            # A process that closed its connections while another still used them could abort it.
            torch.distributed.barrier()
            _settle()
        return result
    finally:
        torch.set_flush_denormal(before)
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _write_hyperparams(recipe: RecipeYaml, folder: Path) -> None:
    head = f"# Generated {date.today()} from:\n# {recipe.path.resolve()}\n# yamllint disable\n"
    write_atomically(folder / HYPERPARAMS, head + recipe.resolved())


def refuse_another_training(folder: Path, hparams: Mapping[str, Any]) -> None:
    """Refuses to resume a training with another value of a key of ``IDENTITY``."""
    path = folder / HYPERPARAMS
    if not path.is_file() or next(folder.rglob("CKPT+*"), None) is None:
        return
    before = rename_keys(read_keys(path), None)
    for key in IDENTITY:
        if key not in before or key not in hparams:
            continue
        try:
            old, new = _value(before[key]), _value(hparams[key])
        except TypeError:  # an object that the YAML makes from other keys
            continue
        if old != new:
            raise ValueError(
                f"{folder} was trained with {key} {old!r}, not {new!r}: use another --output_folder"
            )


def _value(value: Any) -> Any:
    """A number, text, list or dict without the YAML reader's annotations."""
    if getattr(getattr(value, "tag", None), "value", None) is not None:
        raise TypeError(f"{value!r} has a tag")
    if isinstance(value, Mapping):
        return {str(k): _value(v) for k, v in value.items() if k not in _FREE}
    if isinstance(value, list | tuple):
        return [_value(v) for v in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if value is None:
        return None
    raise TypeError(f"{value!r} is not JSON-serialisable")


def _flushes_denormals() -> bool:
    """Whether this thread flushes denormal numbers to zero; torch has no function that says so."""
    smallest = torch.tensor(torch.finfo(torch.float32).tiny)
    return not (smallest / 2).item()


def _settle() -> None:
    """Lets the threads of the process group release their Python objects.

    A thread releases the tensors of a finished collective under Python's lock. One that waits for
    the lock when the interpreter is shutting down is ended within C++, which aborts the process.
    """
    gc.collect()
    time.sleep(_SETTLING)


def _refuse_empty(overrides: str) -> None:
    """Refuses a flag without a value, which would become null."""
    empty = re.findall(r"^(\w+):\s*(?:null|None)?\s*$", overrides or "", re.MULTILINE)
    if empty:
        raise ValueError(f"--{empty[0]} needs a value, such as --{empty[0]}=True")


def _choose_backend(run_opts: RunOptions) -> RunOptions:
    """Selects gloo for processes on CPUs, unless the command line names a backend."""
    on_cpu = run_opts.device == "cpu" or not torch.cuda.is_available()
    if "RANK" in os.environ and on_cpu and "distributed_backend" not in run_opts.overridden_args:
        chosen = run_opts.overridden_args | {"distributed_backend"}
        return replace(run_opts, distributed_backend="gloo", overridden_args=chosen)
    return run_opts
