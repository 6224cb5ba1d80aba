"""Batch normalisation over processes on a CPU: that of one process with all of their items."""

from __future__ import annotations

import pytest
import torch
import torch.multiprocessing as mp
from torch import nn

from gatedrnn.training.distributed import (
    SynchronisedBatchNorm,
    gather,
    rank_and_world,
    sum_over_ranks,
    synchronise,
)

#: Items of each process.
SHARES = (1, 3)


def network() -> nn.Module:
    torch.manual_seed(0)
    parts = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 4)
    return nn.Sequential(*parts, nn.BatchNorm1d(4, momentum=None)).double()


def items() -> torch.Tensor:
    return torch.randn(2, sum(SHARES), 2, 5, 5, generator=torch.manual_seed(1)).double()


def loss_of(output: torch.Tensor) -> torch.Tensor:
    return (output * torch.arange(4.0)).sigmoid().square().sum()


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    model = nn.parallel.DistributedDataParallel(synchronise(network()))
    outputs = []
    for media in items():  # twice, for the averages
        model.zero_grad()
        outputs.append(model(media.split(SHARES)[rank]))
        loss_of(outputs[-1]).backward()
    # DDP's gradients are means over the processes.
    grads = {name: 2 * p.grad for name, p in model.module.named_parameters()}
    model.eval()
    evaluated = model.module(items()[0][:1])
    torch.save((outputs, grads, model.module.state_dict(), evaluated), f"{folder}/{rank}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    mp.start_processes(worker, (str(folder),), nprocs=2, start_method="spawn")
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def test_outputs_gradients_and_averages_are_those_of_one_process(ranks):
    whole = network()
    for media in items():
        whole.zero_grad()
        output = whole(media)
        loss_of(output).backward()
    both = torch.cat([ranks[0][0][-1], ranks[1][0][-1]])
    assert torch.allclose(both, output, atol=1e-12)
    for _, grads, state, _ in ranks:
        for name, parameter in whole.named_parameters():
            assert torch.allclose(grads[name], parameter.grad, atol=1e-10), name
        for name, value in whole.state_dict().items():
            assert torch.allclose(state[name], value, atol=1e-12), name
    whole.eval()
    assert torch.allclose(ranks[1][3], whole(items()[0][:1]), atol=1e-12)


def test_alone_it_is_an_ordinary_one_with_the_same_tensors():
    plain, twin = network(), network()
    before = dict(twin.named_parameters())
    made = synchronise(twin)
    assert type(made[1]) is SynchronisedBatchNorm and synchronise(made) is made
    assert all(before[name] is p for name, p in made.named_parameters())
    for _ in range(2):
        assert torch.equal(made(items()[0]), plain(items()[0]))
    assert torch.equal(made.eval()(items()[1]), plain.eval()(items()[1]))
    for name, value in plain.state_dict().items():
        assert torch.equal(made.state_dict()[name], value), name
    single = synchronise(nn.BatchNorm1d(4))
    assert type(single) is SynchronisedBatchNorm
    # SpeechBrain asks for torch's own, which does not run on a CPU: ours stays.
    assert type(nn.SyncBatchNorm.convert_sync_batchnorm(made)[1]) is SynchronisedBatchNorm


def test_a_process_alone_is_rank_0_of_1():
    assert rank_and_world() == (0, 1)
    assert gather("here") == ["here"]
    assert sum_over_ranks([1.0, 2.5], "cpu") == [1.0, 2.5]
