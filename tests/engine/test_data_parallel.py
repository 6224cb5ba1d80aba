"""Two data-parallel processes with the compiled runner (gloo)."""

import pytest
import torch
import torch.multiprocessing as mp

from gatedrnn import nnet
from gatedrnn.engine.cpu import build

pytestmark = pytest.mark.skipif(build.obstacle() is not None, reason="no C++ compiler")
LAYERS = 4


def stack():
    torch.manual_seed(0)
    return nnet.HighwayLSTM(12, input_size=5, num_layers=LAYERS, proj_size=7)


def batch():
    g = torch.Generator().manual_seed(1)
    return torch.rand(4, 9, 5, generator=g), torch.tensor([1.0, 0.5, 0.8, 1.0])


def worker(rank, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    net = stack()
    # So small that every parameter is a bucket of its own.
    model = torch.nn.parallel.DistributedDataParallel(net, bucket_cap_mb=1e-6)
    events = []

    def reduce(state, bucket):
        events.append("bucket")
        # Waited for here: a callback in Python that gloo's thread still holds when the process
        # group goes away can lock it up for good.
        torch.distributed.all_reduce(bucket.buffer())
        done = torch.futures.Future()
        done.set_result(bucket.buffer() / 2)
        return done

    model.register_comm_hook(None, reduce)
    for index, (layer,) in enumerate(net.layers):

        def watch(module, inputs, result, index=index):
            # The gradient of a layer's output is there: next is the layer's own backward.
            result.output.register_hook(lambda g: events.append(index))

        layer.register_forward_hook(watch)
    x, lengths = batch()
    half = slice(2 * rank, 2 * rank + 2)
    # DistributedDataParallel orders its buckets anew after the first step.
    for _ in range(2):
        events.clear()
        model.zero_grad()
        output, _ = model(x[half], lengths=lengths[half])
        # The ranks' gradients are averaged, so that each counts twice.
        (2 * output.square().sum()).backward()
    result = {"events": events, "grads": [p.grad for p in net.parameters()]}
    torch.save(result, f"{folder}/{rank}.pt")
    # Gloo's thread may still be letting go of tensors that Python knows, for which it needs the
    # interpreter; the end of the process group holds that and waits for the thread.
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_gradients_are_one_process_s_and_travel_while_lower_layers_run(tmp_path):
    mp.start_processes(worker, (str(tmp_path),), nprocs=2, start_method="spawn")
    net = stack()
    x, lengths = batch()
    net(x, lengths=lengths)[0].square().sum().backward()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt")
        for parameter, gradient in zip(net.parameters(), found["grads"], strict=True):
            torch.testing.assert_close(gradient, parameter.grad)
        events = found["events"]
        assert events.count("bucket") > LAYERS
        for index in range(LAYERS - 1):
            before = events[: events.index(index)]
            assert "bucket" in before, "what lies above is on its way before this layer begins"
            assert events.index(index + 1) < events.index(index)
        upper = events[: events.index(0)].count("bucket")
        lower = events[events.index(0) :].count("bucket")
        assert upper > lower, "most of the gradients do not wait for the lowest layer"
