"""Registration of our classes in SpeechBrain, which finds recurrences by name."""

from __future__ import annotations

from importlib import import_module

from torch import nn

from gatedrnn.nnet import CLASSES

#: The module itself: ``from speechbrain.nnet import RNN`` may be a lazy proxy, on which names are
#: set without effect.
NAMESPACE = import_module("speechbrain.nnet.RNN")


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
