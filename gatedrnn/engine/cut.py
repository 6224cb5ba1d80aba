"""Which values the forward direction stores for the backward, and which are computed again."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping

from gatedrnn.engine.ir import CONDITIONS, Instruction

_INFINITE = 10**6
_START, _END = ("start",), ("end",)


def smallest_cut(
    body: Iterable[Instruction],
    lost: Iterable[str],
    needed: Iterable[str],
    free: Iterable[str],
) -> set[str]:
    """Finds the fewest values from which all that is needed can be computed again.

    Arguments
    ---------
    body : iterable of Instruction
        Forward instructions.
    lost : iterable of str
        Values that are gone after the forward step unless stored: sums, and random draws.
    needed : iterable of str
        Values that the backward step uses.
    free : iterable of str
        Values that are stored anyway.

    Returns
    -------
    set of str
        What to store. Of equally small sets the one nearest to the use: a gate rather than its
        pre-activation, so that nothing is computed twice without need.

    Example
    -------
    >>> gate = [Instruction("i", "sigmoid", ("z",)), Instruction("j", "sub", (1.0, "i"))]
    >>> smallest_cut(gate, lost=["z"], needed=["i", "j"], free=[])
    {'i'}
    """
    body = list(body)
    free, needed = set(free), set(needed)
    capacity: dict[tuple, dict[tuple, int]] = defaultdict(lambda: defaultdict(int))

    def edge(a: tuple, b: tuple, size: int) -> None:
        capacity[a][b] += size
        capacity[b][a] += 0

    def node(name: str, size: int) -> None:
        edge((name, 0), (name, 1), size)

    made = {i.result for i in body}
    draws = {i.result for i in body if i.op == "gamma"}
    for name in {*lost, *draws}:
        edge(_START, (name, 0), _INFINITE)
        if name not in made:
            node(name, 0 if name in free else 1)
    for one in body:
        big = _INFINITE if one.op in CONDITIONS else 1
        node(one.result, 0 if one.result in free else big)
        for arg in one.args:
            if isinstance(arg, str) and one.result not in draws:
                edge((arg, 1), (one.result, 0), _INFINITE)
    for name in needed:
        edge((name, 1), _END, _INFINITE)
    while _augment(capacity):
        pass
    close = _reaching_end(capacity)
    every = {n[0] for n in capacity if len(n) == 2}
    # What can be had from values that are not lost has no way in from the start.
    inside = {n for n in every if (n, 0) in capacity and (n, 1) in close and (n, 0) not in close}
    return inside - free


def _augment(capacity: Mapping[tuple, dict[tuple, int]]) -> bool:
    """Pushes flow along one shortest path; whether there was one."""
    came: dict[tuple, tuple] = {_START: _START}
    queue = deque([_START])
    while queue and _END not in came:
        here = queue.popleft()
        for there, left in capacity[here].items():
            if left > 0 and there not in came:
                came[there] = here
                queue.append(there)
    if _END not in came:
        return False
    path, here = [], _END
    while here != _START:
        path.append((came[here], here))
        here = came[here]
    flow = min(capacity[a][b] for a, b in path)
    for a, b in path:
        capacity[a][b] -= flow
        capacity[b][a] += flow
    return True


def _reaching_end(capacity: Mapping[tuple, dict[tuple, int]]) -> set[tuple]:
    close, queue = {_END}, deque([_END])
    while queue:
        here = queue.popleft()
        for before in capacity[here]:
            if before not in close and capacity[before][here] > 0:
                close.add(before)
                queue.append(before)
    return close
