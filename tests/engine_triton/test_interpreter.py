"""Runs the kernels in Triton's interpreter.

The interpreter has to be chosen before triton is imported, and then holds for the whole process:
each module of ``interpreted`` is therefore run by a pytest of its own.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import pytest

FOLDER = Path(__file__).parent / "interpreted"
MODULES = sorted(path.name for path in FOLDER.glob("check_*.py"))

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("triton") is None, reason="triton is not installed"
    ),
    pytest.mark.skipif(
        tuple(map(int, numpy.__version__.split(".")[:2])) >= (2, 4),
        reason="Triton's interpreter needs numpy below 2.4",
    ),
]


def run(module: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    # Options of the outer run are not for the inner one.
    environment = {n: v for n, v in environment.items() if not n.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", FOLDER / module],
        capture_output=True,
        text=True,
        env=environment,
        cwd=FOLDER.parents[2],
        timeout=900,
    )


@pytest.fixture(scope="module")
def runs(request):
    """Module -> its run. Two run at once, unless pytest-xdist already runs several tests."""
    asked = [item.callspec.params["module"] for item in request.session.items if is_ours(item)]
    if "PYTEST_XDIST_WORKER" in os.environ:
        yield run
        return
    with ThreadPoolExecutor(2) as pool:
        started = {module: pool.submit(run, module) for module in asked}
        yield lambda module: started[module].result()
        pool.shutdown(wait=False, cancel_futures=True)


def is_ours(item) -> bool:
    return item.path == Path(__file__) and hasattr(item, "callspec")


@pytest.mark.parametrize("module", MODULES)
def test_in_the_interpreter(module, runs):
    done = runs(module)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
