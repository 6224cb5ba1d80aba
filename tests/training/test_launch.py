"""What a recipe does to its process, and what becomes of its errors."""

import pytest
import torch

from gatedrnn.training.launch import refuse_another_training, run_recipe, run_script


def flushed() -> bool:
    return (torch.tensor(1e-40) * 1.0).item() == 0.0


@pytest.mark.parametrize("before", [False, True])
def test_numbers_next_to_zero_are_zeros_in_a_recipe_only(tmp_path, before):
    yaml = tmp_path / "a.yaml"
    yaml.write_text(f"output_folder: {tmp_path / 'out'}\nseed: 1\n")
    torch.set_flush_denormal(before)
    try:
        assert run_recipe([str(yaml), "--device=cpu"], lambda hparams, run_opts: flushed())
        assert flushed() == before
        with pytest.raises(ZeroDivisionError):
            run_recipe([str(yaml), "--device=cpu"], lambda hparams, run_opts: 1 / 0)
        assert flushed() == before
    finally:
        torch.set_flush_denormal(False)


# ---- errors of a recipe's script ------------------------------------------------------------


def run(monkeypatch, train, *options):
    monkeypatch.setattr("sys.argv", ["recipes/LM/train.py", "a.yaml", *options])
    return run_script(train, lambda: None)


def test_a_users_error_is_one_line(monkeypatch, capsys, tmp_path):
    (tmp_path / "a.yaml").write_text(f"output_folder: {tmp_path / 'out'}\nseed: 1\n")

    def train(arguments, read):
        run_recipe([str(tmp_path / "a.yaml"), "--sed=2"], read)

    assert run(monkeypatch, train) == 2
    error = capsys.readouterr().err
    assert error.startswith("train.py: error: ") and error.count("\n") == 1
    assert "a.yaml has no key 'sed'; is it seed?" in error
    with pytest.raises(ValueError, match="has no key"):
        run(monkeypatch, train, "--debug")


def test_an_argument_that_a_class_does_not_have_is_a_users_error(monkeypatch, capsys, tmp_path):
    wrong = "out: !new:torch.nn.Linear\n    size: 3\n"
    (tmp_path / "a.yaml").write_text(f"output_folder: {tmp_path / 'out'}\n{wrong}")

    def train(arguments, read):
        run_recipe([str(tmp_path / "a.yaml")], read)

    assert run(monkeypatch, train) == 2
    error = capsys.readouterr().err
    assert error.startswith("train.py: error: ") and "torch.nn.Linear" in error


@pytest.mark.parametrize("error", [TypeError, KeyError, RuntimeError])
def test_other_errors_have_a_traceback(monkeypatch, error):
    def train(arguments, read):
        raise error("a mistake")

    with pytest.raises(error):
        run(monkeypatch, train)


def test_a_value_error_that_nobody_raised_has_a_traceback(monkeypatch):
    with pytest.raises(ValueError, match="empty"):
        run(monkeypatch, lambda arguments, read: max([]))
    with pytest.raises(ValueError, match="zip"):
        run(monkeypatch, lambda arguments, read: list(zip([1], [], strict=True)))


def test_success_is_zero(monkeypatch):
    assert run(monkeypatch, lambda arguments, read: None) == 0


def test_a_folder_with_another_training_is_refused(tmp_path):
    (tmp_path / "save" / "CKPT+1").mkdir(parents=True)
    (tmp_path / "hyperparams.yaml").write_text("network: ran\nlr: 0.1\n")
    refuse_another_training(tmp_path, {"network": "ran", "lr": 0.2})
    message = "was trained with network 'ran', not 'gru': use another --output_folder"
    with pytest.raises(ValueError, match=message):
        refuse_another_training(tmp_path, {"network": "gru"})
