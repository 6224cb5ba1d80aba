"""Checkpoints: whole or not there, damaged ones skipped, random numbers brought back."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
import yaml

from gatedrnn.training.checkpoints import UNFINISHED, RandomStates, SafeCheckpointer, load_parts


@pytest.fixture
def warnings(monkeypatch):
    """Texts of the warnings."""
    found: list[str] = []
    logger = "gatedrnn.training.checkpoints.logger"
    monkeypatch.setattr(f"{logger}.warning", lambda text, *a, **k: found.append(text))
    return found


def model_and_checkpointer(folder):
    model = torch.nn.Linear(2, 2)
    return model, SafeCheckpointer(folder, {"model": model, "random": RandomStates()})


def cut_a_file(checkpoint):
    path = checkpoint.paramfiles["model"]
    path.write_bytes(path.read_bytes()[:-10])


def flip_a_bit(checkpoint):
    path = checkpoint.paramfiles["model"]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def lose_a_file(checkpoint):
    checkpoint.paramfiles["model"].unlink()


def cut_the_meta_file(checkpoint):
    path = checkpoint.path / "CKPT.yaml"
    path.write_bytes(path.read_bytes()[:20])


@pytest.mark.parametrize("damage", [cut_a_file, flip_a_bit, lose_a_file, cut_the_meta_file])
def test_a_damaged_checkpoint_is_skipped_with_one_warning(tmp_path, warnings, damage):
    model, checkpointer = model_and_checkpointer(tmp_path)
    good = checkpointer.save_checkpoint({"WER": 9.0})
    weight = model.weight.clone()
    with torch.no_grad():
        model.weight += 1
    damage(checkpointer.save_checkpoint({"WER": 1.0}))
    assert checkpointer.recover_if_possible().path == good.path
    assert torch.equal(model.weight, weight)
    checkpointer.recover_if_possible(min_key="WER")
    assert len(warnings) == 1
    assert "Skipping the damaged checkpoint" in warnings[0]


@pytest.mark.parametrize("at", ["model", "random", "CKPT.yaml"])
def test_a_save_that_is_cut_short_leaves_the_one_before(tmp_path, warnings, monkeypatch, at):
    model, checkpointer = model_and_checkpointer(tmp_path)
    good = checkpointer.save_checkpoint()

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if at == "CKPT.yaml":
            patch.setattr("gatedrnn.training.checkpoints.os.replace", stop)
        else:
            checkpointer.custom_save_hooks[at] = stop
        with pytest.raises(KeyboardInterrupt):
            checkpointer.save_checkpoint()
    checkpointer.custom_save_hooks.clear()
    assert [c.path for c in checkpointer.list_checkpoints()] == [good.path]
    assert list(tmp_path.glob(UNFINISHED + "*"))
    assert checkpointer.recover_if_possible().path == good.path
    assert not list(tmp_path.glob(UNFINISHED + "*"))
    assert len(warnings) == 1
    assert "cut short" in warnings[0]


def test_random_numbers_go_on_where_they_were(tmp_path):
    _, checkpointer = model_and_checkpointer(tmp_path)
    random.seed(1), np.random.seed(2), torch.manual_seed(3)
    random.gauss(0, 1), np.random.randn()  # half of a pair is kept back by both
    checkpointer.save_checkpoint()

    def draw():
        return random.gauss(0, 1), float(np.random.randn()), float(torch.randn(()))

    first = draw()
    checkpointer.recover_if_possible()
    assert draw() == first


def test_meta_is_plain_and_what_is_not_is_refused(tmp_path):
    _, checkpointer = model_and_checkpointer(tmp_path)
    saved = checkpointer.save_checkpoint({"WER": np.float64(3.5), "loss": torch.tensor(0.5)})
    meta = yaml.safe_load((saved.path / "CKPT.yaml").read_text())
    assert (meta["WER"], meta["loss"], meta["end-of-epoch"]) == (3.5, 0.5, True)
    with pytest.raises(ValueError, match="'bad' must be a number"):
        checkpointer.save_checkpoint({"bad": object()})
    assert len(checkpointer.list_checkpoints()) == 1


def test_checkpoints_of_speechbrains_own_checkpointer_are_read(tmp_path):
    from speechbrain.utils.checkpoints import Checkpointer

    model = torch.nn.Linear(2, 2)
    Checkpointer(tmp_path, {"model": model}).save_checkpoint()
    weight = model.weight.clone()
    with torch.no_grad():
        model.weight += 1
    assert SafeCheckpointer(tmp_path, {"model": model}).recover_if_possible() is not None
    assert torch.equal(model.weight, weight)


def test_a_model_takes_parts_of_another(tmp_path):
    source, target = (
        torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, n)) for n in (4, 5)
    )
    path = tmp_path / "model.ckpt"
    torch.save(source.state_dict(), path)
    arguments = {"min_key": "loss"}, "Give the same sizes"
    assert load_parts(target, path, ("0.",), *arguments) == path
    assert torch.equal(target[0].weight, source[0].weight)
    with pytest.raises(ValueError, match=r"does not fit this model: its 1\.weight .* same sizes"):
        load_parts(target, path, ("1.",), *arguments)
