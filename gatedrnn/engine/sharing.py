"""What is traced once: segments whose functions are wired alike, whatever their sizes.

The layers of a stack differ in their numbers and widths, and a search for the size at which a
network has so many parameters makes hundreds of them. Tracing takes a tenth of a second each time,
and what it gives depends on no size, unless a function itself knows one.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Hashable
from typing import Any

from gatedrnn.engine.plan import Plan
from gatedrnn.engine.segments import Draft, joint

_TRACED: dict[Hashable, tuple[Any, ...]] = {}


class Unshareable(TypeError):
    """A value of which nobody can say whether another one is the same."""


def traced(plan: Plan, draft: Draft) -> tuple:
    """Traces a segment together with its gradient, unless one like it has been traced.

    Arguments
    ---------
    plan : Plan
        The cell.
    draft : Draft
        A segment of it.

    Returns
    -------
    tuple
        What :func:`~gatedrnn.engine.segments.joint` returns; not to be changed.

    Raises
    ------
    UnsupportedOperation
        If a function uses an operator that has no scalar form here.

    Example
    -------
    >>> from gatedrnn.cells import LSTMP
    >>> from gatedrnn.engine.plan import plan
    >>> from gatedrnn.engine.segments import split
    >>> small, large = (plan(LSTMP(input_size=3, hidden_size=k)) for k in (8, 500))
    >>> traced(small, split(small)[0]) is traced(large, split(large)[0])
    True
    """
    functions: list[Any] = []
    try:
        key = (
            tuple(
                (
                    _identity(planned.stage.pointwise, functions),
                    planned.stage.returns,
                    tuple(planned.arguments.items()),
                )
                for planned in draft.stages
            ),
            tuple(draft.inputs.items()),
            tuple(draft.values),
        )
        hash(key)
    except (TypeError, ValueError, RecursionError):
        # What cannot be hashed either, a function that is not whole yet, or that holds itself.
        return joint(plan, draft)
    if key not in _TRACED:
        # What the key knows by its address must not give that address to another.
        _TRACED[key] = (joint(plan, draft), functions)
    return _TRACED[key][0]


def _identity(value: Any, functions: list[Any]) -> Hashable:
    """What two values have in common only if functions that hold them compute the same."""
    if isinstance(value, types.FunctionType):
        functions.append(value)
        held = [cell.cell_contents for cell in value.__closure__ or ()]
        given = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).items()]
        return (
            "function",
            id(value.__code__),
            id(value.__globals__),
            *(_identity(one, functions) for one in (held, given)),
        )
    if isinstance(value, functools.partial):
        parts = [value.func, value.args, tuple(value.keywords.items())]
        return ("partial", _identity(parts, functions))
    if isinstance(value, types.MethodType):
        return ("method", _identity([value.__func__, value.__self__], functions))
    if isinstance(value, (list, tuple)):
        return (type(value), *(_identity(one, functions) for one in value))
    if isinstance(value, dict):
        return (dict, _identity(list(value.items()), functions))
    if isinstance(value, Callable) and not _is_plain(value):
        functions.append(value)
        return ("object", id(value))
    if not _is_plain(value):
        raise Unshareable(type(value).__name__)
    # 1, 1.0 and True are equal, 0.0 and -0.0 too, but a function may tell them apart.
    return (type(value), value, repr(value))


def _is_plain(value: Any) -> bool:
    """Whether a value is equal to another one only if it is the same in all that it does."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return True
    parameters = getattr(type(value), "__dataclass_params__", None)
    return bool(parameters and parameters.frozen and parameters.eq)
