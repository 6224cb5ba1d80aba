"""The sets of instructions cells can be compiled to, and how one is chosen."""

import os
import subprocess
import sys

import pytest

from gatedrnn.engine.cpu import build

pytestmark = pytest.mark.skipif(build.obstacle() is not None, reason="no C++ compiler")

#: Cells with a projection, with draws, with an elementwise recurrence; all elementary functions.
SELECTED = (
    "(test_float64 and (LSTMP-3-0-cpu or BetaLSTM-5g--0-cpu or SlimLSTM-11--0-cpu)) or "
    "(test_every_operation and cpu) or test_distribution or test_gradient_is"
)


@pytest.mark.parametrize("chosen", ["avx2", "plain"])
def test_agreement(chosen):
    if os.environ.get(build.VARIABLE):
        pytest.skip(f"{build.VARIABLE} is set")
    if chosen == "avx2" and "avx2" not in build._features().split():
        pytest.skip("this processor has no AVX2")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-k", SELECTED,
         "tests/engine/test_agreement.py", "tests/engine/test_draws.py"],
        env={**os.environ, build.VARIABLE: chosen}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 passed" in done.stdout, "the names of the tests have changed"


def test_choice(monkeypatch):
    monkeypatch.setenv(build.VARIABLE, "plain")
    assert build.instructions() == "plain"
    plain = build._flags()
    monkeypatch.delenv(build.VARIABLE)
    assert build.instructions() == "native"
    assert build._flags() != plain, "files of other instructions have other names"
    monkeypatch.setenv(build.VARIABLE, "mmx")
    with pytest.raises(build.CompilerError, match="one of native, avx512, avx2, plain, not 'mmx'"):
        build.instructions()
    monkeypatch.setenv(build.VARIABLE, "avx512")
    monkeypatch.setattr(build, "_features", lambda: "flags : sse2 avx2 fma")
    with pytest.raises(build.CompilerError, match="lacks: avx512f, avx512bw"):
        build.instructions()


def test_doctor_says_what_is_used():
    chosen = build.instructions()
    assert f"instructions {chosen}" in build.describe()
    assert build.VARIABLE in build.describe()
