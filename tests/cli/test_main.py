"""The table of commands: what it imports, the shared options, and what becomes of errors."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from gatedrnn.cli import main as module
from gatedrnn.cli.main import BUG, build_parser, commands, main
from gatedrnn.cli.score import FORMATS
from gatedrnn.lazy import MissingExtraError
from gatedrnn.scoring import formats
from gatedrnn.scoring.alignment import RULES
from gatedrnn.scoring.pairing import EXTRA, MISSING
from gatedrnn.tasks.command_line import Command

NAMES = [
    "list", "doctor", "bench", "export", "score", "compare", "transcribe", "rescore", "perplexity",
    "generate", "caption", "score-captions", "translate", "classify", "evaluate-music",
    "continue-music",
]  # fmt: skip
#: Libraries that take seconds to import.
HEAVY = ("torch", "torchaudio", "speechbrain", "numpy", "scipy")


def actions(name: str) -> dict[str, object]:
    """Option -> its argparse action."""
    (subparsers,) = (a for a in build_parser()._actions if a.dest == "command")
    return {
        option: action
        for action in subparsers.choices[name]._actions
        for option in action.option_strings
    }


def test_every_command_is_there():
    assert sorted(commands()) == sorted(NAMES)


def test_help_and_version_import_nothing_heavy():
    """In one process: the help of the whole, of each command, and the version."""
    code = f"""
import contextlib, io, sys
from gatedrnn.cli.main import main
for arguments in (["--version"], ["--help"], *([name, "--help"] for name in {NAMES})):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main(arguments)
    assert out.getvalue().strip(), arguments
    heavy = [name for name in {HEAVY} if name in sys.modules]
    assert not heavy, (arguments, heavy)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "gatedrnn", "--help"], capture_output=True, text=True, check=True
    )
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("    ")}
    assert set(NAMES) <= listed


@pytest.mark.parametrize("name", NAMES)
def test_help_ends_with_examples_that_parse(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    text = capsys.readouterr().out
    examples = [shlex.split(x) for x in text.splitlines() if x.startswith(f"  gatedrnn {name}")]
    assert examples
    for _, *words in examples:
        build_parser().parse_args(words[: words.index("--") if "--" in words else None])


def test_shared_options_are_the_same_everywhere():
    """Same help up to what a command adds; former spellings are accepted and not listed."""
    helps: dict[str, set[str]] = {}
    for name in NAMES:
        known = actions(name)
        assert {"--quiet", "--debug"} <= known.keys()
        for option in ("--device", "--beam-size", "--nbest", "--quiet", "--debug"):
            if option in known:
                helps.setdefault(option, set()).add(known[option].help.split(";")[0])
    assert all(len(texts) == 1 for texts in helps.values()), helps
    parse = build_parser().parse_args
    old = parse(["translate", "bundle", "a.txt", "--beam", "3", "--n-best", "2"])
    assert (old.beam_size, old.nbest) == (3, 2)
    assert parse(["caption", "bundle", "a.png"]).beam_size is None


def test_choices_are_those_of_the_modules_that_are_imported_later():
    known = actions("score")
    assert tuple(formats.FORMATS) == FORMATS
    assert tuple(known["--alignment"].choices) == tuple(RULES)
    assert tuple(known["--missing"].choices) == MISSING
    assert tuple(known["--extra"].choices) == EXTRA


@pytest.fixture
def failing(monkeypatch):
    """``gatedrnn fail`` raises what the test says."""
    raised: list[BaseException] = []

    def run(arguments) -> int:
        raise raised[0]

    command = Command("fail", lambda parser: None, run)
    monkeypatch.setattr(module, "commands", lambda: {"fail": command})
    return raised


@pytest.mark.parametrize(
    "error",
    [ValueError("a.csv: no rows"), FileNotFoundError("a.csv: no such file"),
     MissingExtraError("pictures need matplotlib")],
)  # fmt: skip
def test_errors_of_the_user_are_one_line(failing, error, capsys):
    failing.append(error)
    assert main(["fail"]) == 2
    assert capsys.readouterr().err == f"gatedrnn fail: error: {error}\n"
    assert main(["fail", "--debug"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("Traceback") and printed.endswith(f"gatedrnn fail: error: {error}\n")


@pytest.mark.parametrize(
    "error",
    [TypeError("x"), AttributeError("x"), KeyError("x"), AssertionError("x"), IndexError("x"),
     RuntimeError("x"), ImportError("x")],
)  # fmt: skip
def test_bugs_show_their_traceback_and_ask_for_a_report(failing, error, capsys):
    failing.append(error)
    assert main(["fail"]) == BUG
    printed = capsys.readouterr().err
    assert printed.startswith("Traceback")
    assert f"this is a bug in gatedrnn ({type(error).__name__}); please report it" in printed


def test_interrupting_is_no_error(failing, capsys):
    failing.append(KeyboardInterrupt())
    assert main(["fail"]) == 130
    assert capsys.readouterr().err == "gatedrnn fail: interrupted\n"
