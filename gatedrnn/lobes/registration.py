"""Our classes among SpeechBrain's, for the places that look recurrences up by name."""

from __future__ import annotations

from importlib import import_module

from torch import nn

from gatedrnn.nnet import CLASSES

#: The module itself: ``from speechbrain.nnet import RNN`` may give a lazy stand-in, on which
#: names are set without effect.
NAMESPACE = import_module("speechbrain.nnet.RNN")


def register(*classes: type[nn.Module]) -> None:
    """Puts recurrent classes into ``speechbrain.nnet.RNN``, where they are looked up by name.

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
    wanted = dict(CLASSES)
    for cls in (*CLASSES.values(), *classes):
        name = cls.__name__
        there = wanted.setdefault(name, cls)
        there = getattr(NAMESPACE, name, cls) if there is cls else there
        if there is not cls:
            raise ValueError(
                f"register: there is another {name} already ({there!r}), which is not "
                f"overwritten; give {cls.__module__}.{cls.__qualname__} another name"
            )
    for name, cls in wanted.items():
        setattr(NAMESPACE, name, cls)
