"""A cell run by processes that have their own environment from the beginning.

The tests' modules ask for a compiler when they are imported, and remember what they find.
"""

import os
import warnings

import torch

from gatedrnn import engine
from gatedrnn.cells import RAN
from gatedrnn.engine.select import VARIABLE
from tests.tasks.asr.tiny import PROCESSES


def program(values, answer):
    """Runs a cell as a process of its own does, with its own environment."""
    os.environ.update(values)
    os.environ.pop(VARIABLE, None)
    cell = RAN(input_size=3, hidden_size=4)
    g = torch.Generator().manual_seed(0)
    params = {n: torch.rand(s, generator=g) for n, s in engine.plan(cell).parameters.items()}
    x = torch.rand(4, 2, 3, generator=g)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = engine.run(cell, params, x).output
        engine.run(cell, params, x)
    wanted = engine.run(cell, params, x, runner="reference").output
    torch.testing.assert_close(found, wanted)
    said = [str(w.message) for w in caught if w.category is UserWarning]
    answer.send(f"{engine.explain(cell)[0]} {said}")


def start(cache, **environment):
    """A process off one that has imported everything and run nothing, and where it answers."""
    receiver, sender = PROCESSES.Pipe(duplex=False)
    values = {"GATEDRNN_CACHE": str(cache), **environment}
    process = PROCESSES.Process(target=program, args=(values, sender))
    process.start()
    sender.close()
    return process, receiver


def finish(started):
    process, receiver = started
    process.join(timeout=120)
    assert process.exitcode == 0
    return receiver.recv()
