"""What a training leaves out at first: augmentation and dropout."""

from __future__ import annotations

from torch import nn


class Dropout:
    """The dropout rates of a network, to be switched off and on again.

    Deep stacks under connectionist temporal classification find their first alignments in a tenth
    of the steps when nothing is dropped.

    Arguments
    ---------
    network : nn.Module
        Everything in it that has a rate is switched: ``nn.Dropout`` and its like, recurrent stacks
        of this package, ``nn.LSTM``.

    Example
    -------
    >>> network = nn.Sequential(nn.Dropout(0.3), nn.LSTM(3, 4, num_layers=2, dropout=0.2))
    >>> rates = Dropout(network)
    >>> rates.switch(False)
    >>> network[0].p, network[1].dropout
    (0.0, 0.0)
    >>> rates.switch(True)
    >>> network[0].p, network[1].dropout
    (0.3, 0.2)
    """

    def __init__(self, network: nn.Module) -> None:
        self.rates: list[tuple[nn.Module, str, float]] = []
        for module in network.modules():
            name = "p" if isinstance(module, nn.modules.dropout._DropoutNd) else "dropout"
            rate = getattr(module, name, None)
            if isinstance(rate, float):
                self.rates.append((module, name, rate))

    def switch(self, on: bool) -> None:
        """Sets all rates to what they were, or to zero.

        Arguments
        ---------
        on : bool
            Whether to drop.
        """
        for module, name, rate in self.rates:
            setattr(module, name, rate if on else 0.0)
