"""Two data-parallel processes on one machine (gloo): own noise, same weights."""

from __future__ import annotations

import pytest
import torch
import torch.multiprocessing as mp

from gatedrnn import nnet


def worker(rank: int, name: str, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    torch.manual_seed(0)  # as SpeechBrain does: the same seed on every rank
    net = nnet.CLASSES[name](4, input_size=3, num_layers=2, bidirectional=True).train()
    model = torch.nn.parallel.DistributedDataParallel(net)
    x = torch.ones(2, 5, 3)
    output, _ = model(x)
    output.pow(2).sum().backward()
    torch.save(
        {
            "output": output.detach(),
            "grads": [p.grad for p in net.parameters()],
            "weights": [p.detach() for p in net.parameters()],
        },
        f"{folder}/{rank}.pt",
    )
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("name", ["BetaLSTM", "G2LSTM", "ResidualLSTM"])
def test_ranks_draw_their_own_noise_and_share_gradients(name, tmp_path):
    mp.start_processes(worker, (name, str(tmp_path)), nprocs=2, start_method="spawn")
    one, two = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    for a, b in zip(one["weights"], two["weights"], strict=True):
        assert torch.equal(a, b)
    for a, b in zip(one["grads"], two["grads"], strict=True):
        assert torch.equal(a, b), "gradients are averaged over the ranks"
    stochastic = name != "ResidualLSTM"
    assert torch.allclose(one["output"], two["output"]) != stochastic
