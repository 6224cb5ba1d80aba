"""``gatedrnn doctor``."""

from __future__ import annotations

import importlib.metadata

import pytest
import torch

from gatedrnn.cells import CELLS
from gatedrnn.cli.main import main


def test_versions_devices_and_runners(capsys, monkeypatch):
    monkeypatch.delenv("GATEDRNN_RUNNER", raising=False)
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for package in ("torch", "speechbrain", "hyperpyyaml"):
        expected = f"{package:<12} {importlib.metadata.version(package)}"
        assert expected in lines
    assert any(line.startswith(f"cpu          {torch.get_num_threads()} threads") for line in lines)
    for cell in CELLS:
        (line, *_) = [line for line in lines if line.startswith(f"{cell.key} ")]
        assert line.split()[1] == "cpu"
        assert ": " in line, "the runner and the reason"


def test_a_forced_runner_is_said(capsys, monkeypatch):
    monkeypatch.setenv("GATEDRNN_RUNNER", "reference")
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.count("reference: forced by GATEDRNN_RUNNER") == len(CELLS)
    monkeypatch.setenv("GATEDRNN_RUNNER", "warp")
    assert main(["doctor"]) == 2
    assert "there is no runner 'warp'; there are: auto" in capsys.readouterr().err


def test_missing_packages_are_said(capsys, monkeypatch):
    real = importlib.metadata.version

    def version(package):
        if package == "triton":
            raise importlib.metadata.PackageNotFoundError(package)
        return real(package)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert main(["doctor"]) == 0
    assert "triton       not installed" in capsys.readouterr().out


def test_unknown_dtype():
    with pytest.raises(SystemExit):
        main(["doctor", "--dtype", "int8"])
