"""The runs of a table: commands, folders, results, tuning; running several at a time."""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gatedrnn.data.files import write_atomically
from gatedrnn.experiments.compare.specification import (
    OWN_ARGUMENTS,
    Measure,
    Part,
    Table,
    as_argument,
)

#: Name of the file in a run's folder that says what was run.
RECORD = "compare.json"
#: Name of the file that holds what the recipe printed.
OUTPUT = "compare.log"
#: Kinds of runs.
TUNE, SEED = "tune", "seed"
#: States of runs: ended well, ended with an error, ended from outside or not at all, not begun, and
#: a folder that holds something else.
DONE, FAILED, CUT, NEW, OTHER = "done", "failed", "interrupted", "not run", "of another command"
#: Held by a run's process as long as it lives, so that no other works in its folder.
LOCK = ".compare.lock"
#: Lines of a failed run's output that are shown.
_TAIL_LINES = 12
#: Seconds that a process has to end after it was told to terminate.
_GRACE_SECONDS = 10


@dataclass(frozen=True)
class Run:
    """One training.

    ``kind``: "tune" or "seed"; ``setting``: the tuned arguments; ``identity``: the command without
    what depends on the machine.
    """

    data: Part
    network: Part
    kind: str
    setting: Mapping[str, Any]
    seed: int
    folder: Path
    identity: tuple[str, ...]
    command: tuple[str, ...]

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.data.name} / {self.network.name} / {self.folder.name}"

    def record(self) -> dict[str, Any]:
        """The record in its folder; empty if it has not started."""
        path = self.folder / RECORD
        if not path.is_file():
            return {}
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            return {**record, "identity": list(record["identity"]), "sessions": record["sessions"]}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not the record of a run: {error}") from error


@dataclass(frozen=True)
class Choice:
    """The result of tuning.

    ``scores``: the value of each setting, None where the run failed; ``edges``: chosen values that
    are the lowest or highest tried, in words.
    """

    setting: Mapping[str, Any]
    scores: list[float | None]
    edges: tuple[str, ...]


class Plan:
    """All runs of a table in a folder.

    output: The folder: ``DATA/NETWORK/tune-NUMBER`` and ``DATA/NETWORK/seed-SEED`` are in it.
    extra: Command line arguments of every run; they precede those of the table.
    """

    def __init__(self, table: Table, output: str | Path, extra: Sequence[str] = ()) -> None:
        self.table, self.output = table, Path(output).resolve()
        self.extra = (*table.command_line, *extra)
        self._fixed = {a[2:].partition("=")[0] for a in self.extra if a.startswith("--")}
        tuned = {
            key
            for data in table.data
            for network in table.networks
            if (tuning := table.tuned(data, network)) is not None
            for key in tuning.grid
        }
        each = {*OWN_ARGUMENTS}.union(*(part.arguments for part in (*table.networks, *table.data)))
        for name in sorted(self._fixed & {*each, *tuned}):
            why = "tunes it" if name in tuned else "sets it for each run"
            raise ValueError(f"--{name} cannot be given for all runs: {table.path} {why}")

    def tuning_runs(self, data: Part, network: Part) -> list[Run]:
        """The runs that tune a network, in the order of its settings."""
        tuning = self.table.tuned(data, network)
        if tuning is None:
            return []
        return [
            self._run(data, network, TUNE, number, tuning.seed, setting, tuning.arguments)
            for number, setting in enumerate(tuning.settings(), 1)
        ]

    def seed_run(self, data: Part, network: Part, seed: int) -> Run | None:
        """The run of a seed; None before the network is tuned."""
        setting: Mapping[str, Any] = {}
        if self.table.tuning is not None:
            choice = self.choice(data, network)
            if choice is None:
                return None
            setting = choice.setting
        return self._run(data, network, SEED, seed, seed, setting, {})

    def choice(self, data: Part, network: Part) -> Choice | None:
        """The result of tuning; None while it is not finished.

        A setting whose run ended with an error is out; one that was interrupted is waited for.
        """
        tuning, select = self.table.tuned(data, network), self.table.selected(data)
        runs = self.tuning_runs(data, network)
        states = [run_state(run, select) for run in runs]
        if DONE not in states or not set(states) <= {DONE, FAILED}:
            return None
        scores = [
            read_value(run.folder, select) if state == DONE else None
            for run, state in zip(runs, states, strict=True)
        ]
        ranked = [
            math.inf if score is None or math.isnan(score) else select.sign * score
            for score in scores
        ]
        best = min(range(len(runs)), key=ranked.__getitem__)
        if ranked[best] == math.inf:
            return None
        return Choice(runs[best].setting, scores, edges(tuning.grid, runs[best].setting))

    def _run(
        self,
        data: Part,
        network: Part,
        kind: str,
        number: int,
        seed: int,
        setting: Mapping[str, Any],
        shortened: Mapping[str, Any],
    ) -> Run:
        table = self.table
        folder = self.output / data.folder / network.folder / f"{kind}-{number}"
        merged = {
            **table.arguments,
            **data.arguments,
            **network.arguments,
            **shortened,
            **setting,
            "seed": seed,
        }
        files = [table.recipe, network.hparams or data.hparams or table.hparams]
        files = [path for path in files if path is not None]
        arguments = [
            f"--{name}={as_argument(value)}"
            for name, value in merged.items()
            if name not in self._fixed
        ]
        here = table.path.parent.resolve()
        return Run(
            data,
            network,
            kind,
            setting,
            seed,
            folder,
            identity=(
                *(Path(os.path.relpath(f, here)).as_posix() for f in files),
                *arguments,
                *self.extra,
            ),
            command=(
                sys.executable,
                *map(str, files),
                *arguments,
                *self.extra,
                f"--output_folder={folder}",
            ),
        )


def edges(grid: Mapping[str, Sequence[Any]], setting: Mapping[str, Any]) -> tuple[str, ...]:
    """Chosen numbers that are the lowest or highest of their grid, in words."""
    lines = []
    for name, values in grid.items():
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        if not numbers or len(set(values)) < 2:
            continue
        for bound, word in ((min(values), "lowest"), (max(values), "highest")):
            if setting[name] == bound:
                lines.append(f"{name} {bound} is the {word} tried")
    return tuple(lines)


def read_value(folder: Path, measure: Measure) -> float:
    """The value of a measure in a run's folder."""
    path = folder / measure.file
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    for value in [results, results.get("sets")] if isinstance(results, dict) else [results]:
        for key in measure.key:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    raise ValueError(f"{path} has no number at {': '.join(measure.key)} ({measure.name})")


def run_state(run: Run, measure: Measure) -> str:
    """``DONE``, ``FAILED``, ``CUT``, ``NEW`` or ``OTHER``; a run has to leave the measure."""
    record = run.record()
    if not record:
        return OTHER if (run.folder / measure.file).exists() else NEW
    if tuple(record["identity"]) != run.identity:
        return OTHER
    if (run.folder / measure.file).is_file():
        return DONE
    status = record["sessions"][-1].get("status") if record["sessions"] else None
    return FAILED if status is not None and status > 0 else CUT


# ---- running -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """The end of a run.

    ``problem``: what went wrong, with the last lines that it printed, or empty; ``seconds``: of
    this session; 0 if it had been run before.
    """

    run: Run
    problem: str = ""
    value: float | None = None
    seconds: float = 0.0


class Runner:
    """Runs commands of recipes, several at a time; finished ones are not run again.

    jobs: Runs at a time.
    threads: Threads of each, by ``OMP_NUM_THREADS``; 0 does not set it.
    replace: Whether a folder that holds a run of another command is deleted.
    report: Called with each outcome and the number of runs left.
    """

    def __init__(
        self,
        jobs: int = 1,
        threads: int = 1,
        replace: bool = False,
        report: Callable[[Outcome, int], None] | None = None,
    ) -> None:
        if jobs < 1:
            raise ValueError(f"--jobs must be at least 1, not {jobs}")
        if threads < 0:
            raise ValueError(f"--threads must be at least 0, not {threads}")
        self.jobs, self.threads, self.replace, self.report = jobs, threads, replace, report
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen] = set()
        self._stopped = False

    def run(self, runs: Sequence[tuple[Run, Measure]]) -> list[Outcome]:
        """Runs those that have not ended, each with the measure that it has to leave.

        An interrupted run resumes. Returns the outcomes in the order of the runs.
        """
        outcomes: dict[int, Outcome] = {}
        with ThreadPoolExecutor(self.jobs) as pool, _terminable():
            futures = {pool.submit(self._run_one, *pair): n for n, pair in enumerate(runs)}
            try:
                for future in as_completed(futures):
                    outcomes[futures[future]] = future.result()
                    if self.report:
                        self.report(outcomes[futures[future]], len(runs) - len(outcomes))
            except BaseException:
                self._stop()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return [outcomes[n] for n in range(len(runs))]

    def _run_one(self, run: Run, measure: Measure) -> Outcome:
        with _locked(run.folder) as lock:
            if lock is None:
                return Outcome(run, "another process is running it")
            try:
                seconds = 0.0
                if run_state(run, measure) in (NEW, OTHER):
                    self._make_room(run)
                if run_state(run, measure) != DONE:
                    status, seconds = self._start(run, lock)
                    if status != 0:
                        return Outcome(run, _failure(run, status), seconds=seconds)
                if not (run.folder / measure.file).is_file():
                    return Outcome(run, f"it ended without {run.folder / measure.file}")
                return Outcome(run, value=read_value(run.folder, measure), seconds=seconds)
            except (ValueError, OSError) as error:
                return Outcome(run, str(error))

    def _make_room(self, run: Run) -> None:
        """Makes sure that nothing of another command is in the folder."""
        record = run.record()
        present = [path for path in run.folder.iterdir() if path.name != LOCK]
        if not present:
            return
        if not self.replace:
            what = _difference(record["identity"], run.identity) if record else "none that is known"
            raise ValueError(
                f"{run.folder} holds a run of another command ({what}): use another --output, or "
                "--replace to delete it"
            )
        for path in present:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _start(self, run: Run, lock: int) -> tuple[int, float]:
        """Runs the command to its end; its exit status, and seconds."""
        record = run.record() or {"identity": list(run.identity), "sessions": []}
        session: dict[str, Any] = {
            "began": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            "jobs": self.jobs,
            "threads": self.threads or None,
        }
        record["sessions"].append(session)
        record |= {
            "data": run.data.name,
            "network": run.network.name,
            "kind": run.kind,
            "setting": dict(run.setting),
            "seed": run.seed,
            "command": list(run.command),
        }
        _write_record(run.folder / RECORD, record)
        environment = dict(os.environ)
        if self.threads:
            environment["OMP_NUM_THREADS"] = str(self.threads)
        since = time.monotonic()
        with open(run.folder / OUTPUT, "ab") as output:
            with self._lock:
                if self._stopped:
                    return -signal.SIGTERM, 0.0
                process = subprocess.Popen(
                    run.command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=environment,
                    pass_fds=(lock,),
                )
                self._processes.add(process)
            status = process.wait()
        with self._lock:
            self._processes.discard(process)
        session |= {"status": status, "seconds": round(time.monotonic() - since, 3)}
        _write_record(run.folder / RECORD, record)
        return status, session["seconds"]

    def _stop(self) -> None:
        """Terminates the running trainings; the same command resumes them."""
        with self._lock:
            self._stopped = True
            running = list(self._processes)
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def tail(path: Path, count: int = _TAIL_LINES) -> list[str]:
    """The last lines of a text file.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.log"
    >>> _ = path.write_text("one\\n50 %\\r100 %\\ntwo\\n")
    >>> tail(path, 2)
    ['100 %', 'two']
    """
    if not path.is_file():
        return []
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - (1 << 16)))
        text = file.read().decode("utf-8", "replace")
    return [line for line in text.splitlines() if line.strip()][-count:]


def _failure(run: Run, status: int) -> str:
    how = f"signal {-status}" if status < 0 else f"exit status {status}"
    lines = "".join(f"\n    {line}" for line in tail(run.folder / OUTPUT))
    return f"{how}; the end of {run.folder / OUTPUT}:{lines}"


def _difference(before: Sequence[str], now: Sequence[str]) -> str:
    gone = [a for a in before if a not in now]
    new = [a for a in now if a not in before]
    return f"there {' '.join(gone) or 'nothing'}, now {' '.join(new) or 'nothing'}"


def _write_record(path: Path, record: dict[str, Any]) -> None:
    write_atomically(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[int | None]:
    """A file descriptor that holds the folder's lock; ``None`` if another process has it.

    The training inherits it: should this process be killed, the lock stays with the training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield None
        return
    try:
        yield lock._context.lock_file_fd
    finally:
        lock.release()


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Turns SIGTERM into SystemExit, so that the trainings are terminated, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
