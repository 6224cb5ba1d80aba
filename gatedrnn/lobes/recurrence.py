"""Recurrent classes: made for a lobe of known width, and registered in SpeechBrain by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import torch
from speechbrain.nnet import RNN as stock
from speechbrain.utils.callchains import lengths_arg_name
from torch import nn

from gatedrnn.nnet import CLASSES, RecurrentStackCell

#: Classes that advance by one frame at a call.
ONE_FRAME = (RecurrentStackCell, stock.RNNCell, stock.GRUCell, stock.LSTMCell)
#: Classes of SpeechBrain's that run over sequences although they take no lengths.
WITHOUT_LENGTHS = (stock.LiGRU, stock.SLiGRU, stock.QuasiRNN)
#: The module itself: ``from speechbrain.nnet import RNN`` may be a lazy proxy, on which names are
#: set without effect.
NAMESPACE = import_module("speechbrain.nnet.RNN")


def build(
    owner: str,
    rnn_class: Callable[..., nn.Module],
    input_size: int,
    options: Mapping[str, Any] | None = None,
    **common: Any,
) -> nn.Module:
    """Makes a recurrent network for an input of known width."""
    if not callable(rnn_class):
        raise TypeError(
            f"{owner}: rnn_class must be a class such as gatedrnn.nnet.LSTMP (in YAML "
            f"!name:gatedrnn.nnet.LSTMP), not {rnn_class!r}"
        )
    options = dict(options or {})
    twice = sorted(options.keys() & {*common, "input_size", "input_shape"})
    if twice:
        raise ValueError(
            f"{owner}: {', '.join(twice)} cannot be among rnn_options: {owner} sets it by an "
            "argument of its own"
        )
    parameters = inspect.signature(rnn_class).parameters
    if "input_size" in parameters:
        width = {"input_size": input_size}
    elif "input_shape" in parameters:
        # LiGRU and SLiGRU take a shape only; the batch and time in it do not matter.
        width = {"input_shape": (1, 1, input_size)}
    else:
        raise TypeError(
            f"{owner}: rnn_class {class_name(rnn_class)} takes neither input_size nor "
            "input_shape, so the width of its input cannot be set"
        )
    return rnn_class(**width, **common, **options)


def class_name(rnn_class: Any) -> str:
    """Name of a class, also behind ``functools.partial``, for messages.

    Example
    -------
    >>> from functools import partial
    >>> class_name(partial(dict, a=1))
    'dict'
    """
    rnn_class = getattr(rnn_class, "func", rnn_class)
    return getattr(rnn_class, "__name__", repr(rnn_class))


def is_one_frame(rnn: nn.Module) -> bool:
    """Whether a recurrent network advances by one frame at a call.

    Example
    -------
    >>> from gatedrnn.nnet import RAN, RANCell
    >>> is_one_frame(RAN(2, input_size=3)), is_one_frame(RANCell(2, input_size=3))
    (False, True)
    """
    if isinstance(rnn, ONE_FRAME):
        return True
    return not isinstance(rnn, WITHOUT_LENGTHS) and lengths_arg_name(rnn.forward) is None


def output_width(rnn: nn.Module, example_shape: tuple[int, ...]) -> int:
    """Width of a recurrent network's output.

    rnn: A recurrent network that returns (output, hidden).

    Example
    -------
    >>> import speechbrain as sb
    >>> output_width(sb.nnet.RNN.GRU(4, input_size=3, bidirectional=True), (1, 1, 3))
    8
    """
    stated = getattr(rnn, "output_size", None)
    if stated is not None:
        return int(stated)
    training = rnn.training
    rnn.eval()
    with torch.no_grad():
        output, _ = rnn(torch.zeros(example_shape))
    rnn.train(training)
    return output.shape[-1]


def register(*classes: type[nn.Module]) -> None:
    """Adds recurrent classes to ``speechbrain.nnet.RNN``, where SpeechBrain finds them by name.

    The ``rnn_type`` of ``SBRNNBlock`` (dual-path and RE-SepFormer separation) is such a name. In a
    recipe's YAML: ``__register: !apply:gatedrnn.register``. Doing it again changes nothing.

    Arguments
    ---------
    *classes : type
        Classes to put there beside all of :mod:`gatedrnn.nnet`, under their own names.

    Raises
    ------
    ValueError
        If SpeechBrain, or another plug-in, has something else of that name. Nothing is then
        registered.

    Example
    -------
    >>> import torch
    >>> from speechbrain.lobes.models.dual_path import SBRNNBlock
    >>> register()
    >>> SBRNNBlock(8, 5, 1, rnn_type="RAN")(torch.rand(2, 7, 8)).shape
    torch.Size([2, 7, 10])
    """
    registered = dict(CLASSES)
    for cls in (*CLASSES.values(), *classes):
        name = cls.__name__
        existing = registered.setdefault(name, cls)
        existing = getattr(NAMESPACE, name, cls) if existing is cls else existing
        if existing is not cls:
            raise ValueError(
                f"register: there is another {name} already ({existing!r}), which is not "
                f"overwritten; give {cls.__module__}.{cls.__qualname__} another name"
            )
    for name, cls in registered.items():
        setattr(NAMESPACE, name, cls)
