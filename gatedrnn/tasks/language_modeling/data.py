"""Windows of tokens for language models.

Rows of tokens are processed side by side, a window of each at a time. A row is a segment of the
running text, whose state continues from one window to the next, or a line by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch.utils.data import Dataset, Sampler

from gatedrnn.tokens import IGNORE

#: The token that is read before the first one.
START = 0


@dataclass(frozen=True)
class Window:
    """A window: inputs and the token after each of them, ``IGNORE`` past the end of a row.

    ``first`` tells that rows begin here; otherwise they continue from the window before.
    ``lengths`` are relative lengths of the rows, where they differ.

    inputs: Tokens, int64, (rows, time).
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    first: bool
    id: tuple[str, ...] = ()
    lengths: torch.Tensor | None = None

    def to(self, device: torch.device | str) -> Window:
        """The window on a device."""
        moved = {n: getattr(self, n) for n in ("inputs", "targets", "lengths")}
        return replace(self, **{n: t.to(device) for n, t in moved.items() if t is not None})


@dataclass(frozen=True)
class Rows:
    """Rows of tokens that are processed side by side.

    ``starts`` and ``stops`` (rows,) are places in ``ids``; with ``fresh`` each row begins anew, as
    a line does, otherwise after the token before it."""

    ids: torch.Tensor
    starts: torch.Tensor
    stops: torch.Tensor
    fresh: bool = False

    def __len__(self) -> int:
        """Tokens of the longest row."""
        return int((self.stops - self.starts).max()) if len(self.starts) else 0

    def share(self, rank: int, world: int) -> Rows:
        """The rows of one process."""
        return replace(self, starts=self.starts[rank::world], stops=self.stops[rank::world])

    def window(self, begin: int, end: int) -> Window:
        """Some tokens of every row."""
        places = self.starts.unsqueeze(1) + torch.arange(begin, end)
        inside = places < self.stops.unsqueeze(1)
        last = max(0, len(self.ids) - 1)
        targets = self.ids[places.clamp(max=last)].long().masked_fill(~inside, IGNORE)
        inputs = self.ids[(places - 1).clamp(0, last)].long()
        anew = places == (self.starts.unsqueeze(1) if self.fresh else 0)
        return Window(inputs.masked_fill(anew, START), targets, begin == 0, (f"token {begin}",))

    def windows(self, size: int) -> Iterator[Window]:
        """All tokens of every row, one window after the other."""
        for begin in range(0, len(self), size):
            yield self.window(begin, min(begin + size, len(self)))


def streams(ids: torch.Tensor, count: int, equal: bool = False) -> Rows:
    """Cuts a text into ``count`` segments, processed side by side, that differ by one token.

    With ``equal``, as in training, they have the same length, and the remaining tokens are left
    out."""
    if not 1 <= count <= max(1, len(ids)):
        raise ValueError(
            f"a text of {len(ids)} tokens cannot be read as {count} streams: take from 1 to "
            f"{max(1, len(ids))}"
        )
    step = torch.arange(count + 1)
    borders = step * (len(ids) // count) if equal else step * len(ids) // count
    return Rows(ids, borders[:-1], borders[1:])


def lines(ids: torch.Tensor, offsets: torch.Tensor, count: int) -> list[Rows]:
    """Rows of ``count`` lines each, of similar length."""
    order = torch.argsort(offsets[1:] - offsets[:-1], stable=True)
    return [
        Rows(ids, offsets[:-1][part], offsets[1:][part], fresh=True) for part in order.split(count)
    ]


class WindowDataset(Dataset):
    """The windows of some rows, in their order."""

    def __init__(self, rows: Sequence[Rows], size: int) -> None:
        self.rows, self.size = rows, size
        self.places = [(i, begin) for i, r in enumerate(rows) for begin in range(0, len(r), size)]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Window:
        which, begin = self.places[index]
        rows = self.rows[which]
        return rows.window(begin, min(begin + self.size, len(rows)))


class LineDataset(Dataset):
    """Batches of whole lines; longer ones are cut, and what follows a cut is a line by itself.

    Example
    -------
    >>> lines = LineDataset(torch.tensor([5, 6, 7, 0, 8, 0]), torch.tensor([0, 4, 6]), longest=3)
    >>> lines.sizes
    [3, 1, 2]
    >>> lines[[0, 2]].targets
    tensor([[   5,    6,    7],
            [   8,    0, -100]])
    """

    def __init__(self, ids: torch.Tensor, offsets: torch.Tensor, longest: int) -> None:
        borders = [
            (begin, min(begin + longest, stop))
            for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
            for begin in range(start, stop, longest)
        ]
        self.ids = ids
        self.starts, self.stops = torch.tensor(borders).reshape(-1, 2).unbind(1)
        #: Tokens of each line.
        self.sizes = (self.stops - self.starts).tolist()

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, chosen: Sequence[int]) -> Window:
        rows = Rows(self.ids, self.starts[chosen], self.stops[chosen], fresh=True)
        window = rows.window(0, len(rows))
        lengths = (rows.stops - rows.starts) / len(rows)
        return replace(window, lengths=lengths, id=tuple(f"line {i}" for i in chosen))


class InOrder(Sampler[int]):
    """One window after the other, the same in every epoch."""

    def __init__(self, count: int) -> None:
        self.count = count

    def set_epoch(self, epoch: int) -> None:
        """Does nothing: a state that continues needs the order of the text."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.count))

    def __len__(self) -> int:
        return self.count
