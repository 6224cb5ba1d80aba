"""Runs the kernels in Triton's interpreter.

The interpreter has to be chosen before triton is imported, and then holds for the whole process:
each module of ``interpreted`` is therefore run by a pytest of its own.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
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


@pytest.mark.parametrize("module", MODULES)
def test_in_the_interpreter(module):
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    # Options of the outer run are not for the inner one.
    environment = {n: v for n, v in environment.items() if not n.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", FOLDER / module],
        capture_output=True,
        text=True,
        env=environment,
        cwd=FOLDER.parents[2],
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
