"""Small images as sequences: MNIST, Fashion-MNIST and CIFAR-10 in their official files."""

from gatedrnn.dataio.images.layouts import DATASETS, read_images
from gatedrnn.dataio.images.sequences import ORDERS, as_sequences, sets_as_sequences

__all__ = ["DATASETS", "ORDERS", "as_sequences", "read_images", "sets_as_sequences"]
