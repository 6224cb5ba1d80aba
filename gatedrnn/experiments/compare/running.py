"""Runs trainings, several at a time; what is there already is not run again."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatedrnn.data.files import write_atomically
from gatedrnn.experiments.compare.runs import DONE, NEW, OTHER, OUTPUT, RECORD, Run, figure, state
from gatedrnn.experiments.compare.specification import Measure

#: Held by a run's process as long as it lives, so that no other works in its folder.
LOCK = ".compare.lock"
#: Lines of a failed run's output that are shown.
_SHOWN = 12
#: Seconds that a process has to end when it is told to.
_PATIENCE = 10


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Arguments
    ---------
    run : Run
        The run.
    problem : str
        What went wrong, with the last lines that it printed; empty if nothing did.
    value : float or None
        Its figure.
    seconds : float
        How long it ran this time; 0 if it had been run before.
    """

    run: Run
    problem: str = ""
    value: float | None = None
    seconds: float = 0.0


class Runner:
    """Runs commands of recipes.

    Arguments
    ---------
    jobs : int
        How many at a time.
    threads : int
        Threads of each, by ``OMP_NUM_THREADS``; 0 leaves them as they are.
    replace : bool
        Whether a folder that holds a run of another command is deleted.
    report : callable or None
        Called with each outcome and how many are left, as they come.

    Raises
    ------
    ValueError
        If a number is too small.
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
        """Runs those that have not ended yet; an interrupted one goes on.

        Arguments
        ---------
        runs : sequence of (Run, Measure)
            The runs, and the figure that each has to leave.

        Returns
        -------
        list of Outcome
            In the order of the runs.
        """
        outcomes: dict[int, Outcome] = {}
        with ThreadPoolExecutor(self.jobs) as pool, _terminable():
            futures = {pool.submit(self._one, *one): n for n, one in enumerate(runs)}
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

    def _one(self, run: Run, measure: Measure) -> Outcome:
        with _locked(run.folder) as lock:
            if lock is None:
                return Outcome(run, "another process is running it")
            try:
                seconds = 0.0
                if state(run, measure) in (NEW, OTHER):
                    self._make_room(run)
                if state(run, measure) != DONE:
                    status, seconds = self._start(run, lock)
                    if status != 0:
                        return Outcome(run, _failure(run, status), seconds=seconds)
                if not (run.folder / measure.file).is_file():
                    return Outcome(run, f"it ended without {run.folder / measure.file}")
                return Outcome(run, value=figure(run.folder, measure), seconds=seconds)
            except (ValueError, OSError) as error:
                return Outcome(run, str(error))

    def _make_room(self, run: Run) -> None:
        """Makes sure that nothing of another command is in the folder."""
        record = run.record()
        others = [path for path in run.folder.iterdir() if path.name != LOCK]
        if not others:
            return
        if not self.replace:
            what = _difference(record["identity"], run.identity) if record else "none that is known"
            raise ValueError(
                f"{run.folder} holds a run of another command ({what}): use another --output, or "
                "--replace to delete it"
            )
        for path in others:
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
        _write(run.folder / RECORD, record)
        environment = dict(os.environ)
        if self.threads:
            environment["OMP_NUM_THREADS"] = str(self.threads)
        since = time.monotonic()
        with open(run.folder / OUTPUT, "ab") as output:
            with self._lock:
                if self._stopped:
                    return -signal.SIGTERM, 0.0
                process = subprocess.Popen(
                    run.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    env=environment, pass_fds=(lock,),
                )  # fmt: skip
                self._processes.add(process)
            status = process.wait()
        with self._lock:
            self._processes.discard(process)
        session |= {"status": status, "seconds": round(time.monotonic() - since, 3)}
        _write(run.folder / RECORD, record)
        return status, session["seconds"]

    def _stop(self) -> None:
        """Ends what runs; the same command goes on with it."""
        with self._lock:
            self._stopped = True
            running = list(self._processes)
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def tail(path: Path, count: int = _SHOWN) -> list[str]:
    """The last lines of a text file.

    Arguments
    ---------
    path : Path
        The file.
    count : int
        How many.

    Returns
    -------
    list of str

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


def _difference(there: Sequence[str], now: Sequence[str]) -> str:
    gone = [a for a in there if a not in now]
    new = [a for a in now if a not in there]
    return f"there {' '.join(gone) or 'nothing'}, now {' '.join(new) or 'nothing'}"


def _write(path: Path, record: dict[str, Any]) -> None:
    write_atomically(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[int | None]:
    """A file descriptor that holds the folder's lock; ``None`` if another process has it.

    The training inherits it: should this process be killed, the lock stays with the training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Has a request to terminate end the trainings, too."""
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
