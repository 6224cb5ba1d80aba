"""From a command line to a running recipe: YAML, processes, output folder."""

from __future__ import annotations

import difflib
import gc
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from speechbrain.utils.distributed import ddp_init_group, if_main_process
from speechbrain.utils.run_opts import RunOptions

Result = TypeVar("Result")

#: Key of a YAML file whose other keys take the place of those of another file, which it names.
BASE = "base"
#: Key that names a file of the folder ``setups`` beside that other file, to be put on top.
SETUP = "setup"
#: Its value where there is nothing to be put on top.
NO_SETUP = ("none", None)
#: Key of a base file: its keys whose mappings are added to, instead of replaced.
EXTENDED = "extended_keys"
#: Keys that say what a training is: its data, how they are divided, and what is learnt from them.
#: With others its checkpoints would be tested on what they have seen, or as what they are not.
IDENTITY = (
    "seed", "corpus", "dataset", "corpus_options", "source", "target", "lowercase", "source_tokens",
    "target_tokens", "tokens", "order", "permutation", "folds", "division_seed", "phrases",
    "first_frame", "network", "network_options", "num_layers", "encoder_layers", "hidden_size",
    "proj_size", "parameters", "bidirectional", "pooling", "attention", "attention_size",
    "embedding_size", "tied", "cutoffs",
)  # fmt: skip
#: Keys in them that may change: which further sets are tested.
_FREE = ("tests",)
#: Seconds at the end of a run, in which Python's lock is free.
_SETTLING = 0.3


def run_recipe(
    arguments: Sequence[str], work: Callable[[dict[str, Any], RunOptions], Result]
) -> Result:
    """Reads a recipe's command line and YAML, and does its work in the processes of the run.

    Arguments
    ---------
    arguments : sequence of str
        Of the command line: a YAML file, and what to override in it.
    work : callable
        Given the YAML's values and SpeechBrain's options; called in every process.

    Returns
    -------
    Any
        What ``work`` returns.
    """
    hparams_file, run_opts, overrides = sb.parse_arguments(list(arguments))
    _refuse_empty(overrides)
    hparams_file, overrides = lay(hparams_file, overrides)
    run_opts = _choose_backend(run_opts)
    ddp_init_group(run_opts)
    before = _flushes_denormals()
    # Where gates or units are saturated, gradients, and Adam's averages of their squares even
    # more, are next to zero, and such numbers cost a CPU a hundred times what others do.
    torch.set_flush_denormal(True)
    try:
        with open(hparams_file, encoding="utf-8") as file:
            hparams = load_hyperpyyaml(file, overrides)
        if if_main_process():
            refuse_another_training(Path(hparams["output_folder"]), hparams)
        sb.create_experiment_directory(hparams["output_folder"], hparams_file, overrides)
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


def refuse_another_training(folder: Path, hparams: Mapping[str, Any]) -> None:
    """Refuses to go on with a training under options that make it another one.

    Arguments
    ---------
    folder : Path
        An output folder; one without checkpoints is anybody's.
    hparams : Mapping
        The YAML's values; only those of ``IDENTITY`` matter.

    Raises
    ------
    ValueError
        If the folder holds a training with another value of a key; it names the key and both.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> (folder / "save" / "CKPT+1").mkdir(parents=True)
    >>> _ = (folder / "hyperparams.yaml").write_text("network: ran\\nlr: 0.1\\n")
    >>> refuse_another_training(folder, {"network": "ran", "lr": 0.2})
    >>> refuse_another_training(folder, {"network": "gru"})
    Traceback (most recent call last):
    ValueError: ... holds a training with network 'ran', not 'gru': use another --output_folder
    """
    path = folder / "hyperparams.yaml"
    if not path.is_file() or next(folder.rglob("CKPT+*"), None) is None:
        return
    before = _read(path)
    for key in IDENTITY:
        if key not in before or key not in hparams:
            continue
        try:
            old, new = _plain(before[key]), _plain(hparams[key])
        except TypeError:  # made by the YAML, of what stands in other keys
            continue
        if old != new:
            raise ValueError(
                f"{folder} holds a training with {key} {old!r}, not {new!r}: use another "
                "--output_folder"
            )


def _plain(value: Any) -> Any:
    """A value without what a YAML reader notes about it."""
    if getattr(getattr(value, "tag", None), "value", None) is not None:
        raise TypeError(f"{value!r} has a tag")
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items() if k not in _FREE}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if value is None:
        return None
    raise TypeError(f"{value!r} is not plain")


def _flushes_denormals() -> bool:
    """Whether this thread takes numbers next to zero for zeros: torch tells nobody."""
    least = torch.tensor(torch.finfo(torch.float32).tiny)
    return not (least / 2).item()


def _settle() -> None:
    """Lets the threads of the process group put down what they hold of Python.

    A thread that has done its part of a collective lets go of tensors, which takes Python's lock.
    One that asks for it when the interpreter has begun to end is ended in the midst of C++, and
    that aborts the process after all its work is done.
    """
    gc.collect()
    time.sleep(_SETTLING)


def lay(path: str, overrides: str) -> tuple[str, str | dict[str, Any]]:
    """Lays files of a recipe on top of each other, so that none repeats another.

    A file with the key ``base`` holds what differs from the file that it names. The key ``setup``
    (in it, or on the command line) names a file in the folder ``setups`` beside that one, whose
    keys come on top, and those of the command line come on top of all. A set-up can have a ``base``
    among the set-ups. Values are replaced as a whole, but for mappings of the keys that the base
    lists under ``extended_keys``, which are merged.

    Arguments
    ---------
    path : str
        A YAML file.
    overrides : str
        YAML of the command line.

    Returns
    -------
    path : str
        The file at the bottom.
    overrides : str or dict
        What to override in it.

    Raises
    ------
    FileNotFoundError
        If one of the files is not there; the message lists the set-ups there are.
    ValueError
        If one is not YAML with keys, or a key is not in the file at the bottom.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "all.yaml").write_text("layers: 1\\nwidth: 8\\nsetup: none\\n")
    >>> _ = (folder / "mine.yaml").write_text("base: all.yaml\\nwidth: 16\\n")
    >>> (folder / "setups").mkdir()
    >>> _ = (folder / "setups" / "deep.yaml").write_text("layers: 10\\n")
    >>> bottom, changes = lay(str(folder / "mine.yaml"), "setup: deep")
    >>> Path(bottom).name, dict(changes)
    ('all.yaml', {'width': 16, 'layers': 10, 'setup': 'deep'})
    """
    top = _read(Path(path))
    given = YAML().load(overrides) or {} if overrides else {}
    if BASE not in top and given.get(SETUP) in NO_SETUP:
        _refuse_unknown(given, top, path)
        return path, overrides
    bottom, changes, known = Path(path), {}, top
    if BASE in top:
        changes = dict(top)
        bottom = bottom.parent / changes.pop(BASE)
        known = _read(bottom)
    name = given.get(SETUP, changes.get(SETUP))
    extended = known.get(EXTENDED, ())
    if name not in NO_SETUP:
        changes = _override(changes, _setup(bottom.parent / "setups", str(name)), extended)
    changes = _override(changes, given, extended)
    _refuse_unknown(changes, known, bottom)
    return str(bottom), changes


def _override(
    keys: Mapping[str, Any], above: Mapping[str, Any], extended: Sequence[str]
) -> dict[str, Any]:
    """Keys with those of another file on top; mappings of ``extended`` keys are merged."""
    merged = {
        key: {**keys[key], **value}
        for key, value in above.items()
        if key in extended and isinstance(keys.get(key), Mapping) and isinstance(value, Mapping)
    }
    return {**keys, **above, **merged}


def _refuse_unknown(given: Mapping[str, Any], known: Mapping[str, Any], path: str | Path) -> None:
    """A misspelled key, named with what is like it."""
    for key in given:
        if key not in known:
            like = difflib.get_close_matches(str(key), map(str, known), 3)
            hint = f"; is it {' or '.join(like)}?" if like else ""
            raise ValueError(f"{path} has no key {key!r}{hint}")


def _setup(folder: Path, name: str) -> dict[str, Any]:
    """The keys of a set-up, on top of those of its base."""
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml"))) or "none"
        raise FileNotFoundError(f"{path}: there is no such set-up; there are: {known}")
    keys = dict(_read(path))
    base = keys.pop(BASE, None)
    if base is None:
        return keys
    if Path(base).stem == name:
        raise ValueError(f"{path} is its own {BASE}")
    return _setup(folder, Path(base).stem) | keys


def _read(path: Path) -> Mapping[str, Any]:
    """A file's keys, with the tags of their values."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        found = YAML().load(path)
    except YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    if not isinstance(found, Mapping):
        raise ValueError(f"{path} holds no keys with values")
    return found


def _refuse_empty(overrides: str) -> None:
    """A flag without a value would silently become a null."""
    empty = re.findall(r"^(\w+):\s*(?:null|None)?\s*$", overrides or "", re.MULTILINE)
    if empty:
        raise ValueError(f"--{empty[0]} needs a value, such as --{empty[0]}=True")


def _choose_backend(run_opts: RunOptions) -> RunOptions:
    """Processes on CPUs can only talk by gloo: take it, where nothing else was asked for."""
    on_cpu = run_opts.device == "cpu" or not torch.cuda.is_available()
    if "RANK" in os.environ and on_cpu and "distributed_backend" not in run_opts.overridden_args:
        chosen = run_opts.overridden_args | {"distributed_backend"}
        return replace(run_opts, distributed_backend="gloo", overridden_args=chosen)
    return run_opts
