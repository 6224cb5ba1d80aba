"""What a recipe does to the process that it runs in."""

import pytest
import torch

from gatedrnn.training.launch import run_recipe


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
