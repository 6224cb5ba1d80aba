"""Images read as sequences: row by row, or pixel by pixel, also in a scrambled order."""

from __future__ import annotations

import torch

from gatedrnn.tasks.classification.corpora.labelled import Labelled, LabelledSets

#: What a frame is.
ORDERS = ("rows", "pixels")


def as_sequences(
    images: torch.Tensor, order: str = "rows", permutation: int | None = None
) -> torch.Tensor:
    """Reads images as sequences.

    Arguments
    ---------
    images : torch.Tensor
        (number, height, width, channels).
    order : str
        ``"rows"``: a row of pixels with all their channels is a frame, from top to bottom;
        ``"pixels"``: one pixel is, row after row.
    permutation : int or None
        Seed of a permutation of the pixels, the same for all images, before they are read (the
        channels of a pixel stay together).

    Returns
    -------
    torch.Tensor
        (number, time, width of a frame).

    Raises
    ------
    ValueError
        If there is no such order.

    Example
    -------
    >>> images = torch.arange(12).reshape(1, 2, 2, 3)
    >>> as_sequences(images).tolist()
    [[[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]]
    >>> as_sequences(images, "pixels", permutation=1)[0, :, 0].tolist()
    [3, 9, 6, 0]
    """
    if order not in ORDERS:
        raise ValueError(f"order must be {' or '.join(ORDERS)}, not {order!r}")
    count, height, width, channels = images.shape
    pixels = images.reshape(count, height * width, channels)
    if permutation is not None:
        if type(permutation) is not int:
            raise ValueError(
                f"permutation must be a whole number, the seed of the order, not {permutation!r}"
            )
        generator = torch.Generator().manual_seed(permutation)
        pixels = pixels[:, torch.randperm(height * width, generator=generator)]
    return pixels.reshape(count, height, -1) if order == "rows" else pixels


def sets_as_sequences(
    sets: LabelledSets, order: str = "rows", permutation: int | None = None
) -> LabelledSets:
    """Reads all images of a training as sequences.

    Arguments
    ---------
    sets : LabelledSets
        Images.
    order : str
        See :func:`as_sequences`.
    permutation : int or None
        See :func:`as_sequences`.

    Returns
    -------
    LabelledSets
    """

    def read(part: Labelled) -> Labelled:
        return Labelled(part.name, as_sequences(part.inputs, order, permutation), part.labels)

    return LabelledSets(
        sets.classes, read(sets.train), read(sets.valid), tuple(read(part) for part in sets.tests)
    )
