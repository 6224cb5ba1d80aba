"""Encoders of images that others have trained: torchvision's, with weights in a local file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from gatedrnn.seq2seq.encoder_output import Memory
from gatedrnn.tasks.captioning.encoders import MemoryEncoder, Regions, pixels

#: What torchvision's weights expect red, green and blue to be brought to.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Rows and columns of the image with which the layer is looked for.
_USUAL_SIZE = 224


class BackboneEncoder(MemoryEncoder):
    """A network of torchvision up to its last grid, brought to the width of the memory.

    Layers after the grid are left out. Normalisation keeps the averages that it was trained with.
    Nothing is downloaded.

    Arguments
    ---------
    name : str
        As torchvision calls it, such as ``"resnet50"``.
    weights_file : str or Path or None
        The network's weights, ``.safetensors`` or what torchvision gives (``.pth``); ``None``:
        weights at random, to be trained or loaded.
    width : int
        Width of the memory.
    dropout : float
        Dropout on the memory.
    trained : bool
        Whether the network itself is trained on.
    layer : str or None
        The layer whose output is taken, as torchvision's ``get_graph_node_names`` names it;
        ``None``: the last one whose output still has rows and columns, or tokens.

    Raises
    ------
    ImportError
        If torchvision is not installed.
    FileNotFoundError
        If there is no such file.
    ValueError
        If there is no such network or layer, or the weights are another one's.

    Example
    -------
    >>> encoder = BackboneEncoder("resnet18", width=32)  # doctest: +SKIP
    >>> encoder(torch.rand(1, 3, 96, 64)).shape  # doctest: +SKIP
    (3, 2)
    """

    def __init__(
        self,
        name: str,
        weights_file: str | Path | None = None,
        width: int = 512,
        dropout: float = 0.0,
        trained: bool = False,
        layer: str | None = None,
    ) -> None:
        super().__init__(width)
        models, extraction = _torchvision()
        if name not in models.list_models(module=models):
            raise ValueError(
                f"torchvision has no network {name!r} for images; it has "
                f"{', '.join(models.list_models(module=models))}"
            )
        with torch.device("meta"):
            # Nothing is computed there: only shapes are looked at.
            empty = models.get_model(name, weights=None, **_options(name)).eval()
            layer, channels = _grid_layer(extraction, empty, name, layer)
        network = models.get_model(name, weights=None, **_options(name))
        missing = set() if weights_file is None else _load(network, Path(weights_file), name)
        self.body = extraction.create_feature_extractor(network.eval(), {layer: "grid"})
        needed = sorted(missing & set(self.body.state_dict()))
        if needed:
            raise ValueError(
                f"{weights_file}: {len(needed)} weights of {name} are missing: {needed[0]}, ..."
            )
        self.trained = trained
        self.body.requires_grad_(trained)
        self.regions = Regions(channels, width, dropout)
        self.register_buffer("mean", torch.tensor(MEAN).view(-1, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(-1, 1, 1), persistent=False)
        self.train(self.training)

    def train(self, mode: bool = True) -> BackboneEncoder:
        """Sets the mode of all but the network, whose averages stay as they are."""
        super().train(mode)
        self.body.eval()
        return self

    def forward(self, media: torch.Tensor, lengths: torch.Tensor | None = None) -> Memory:
        """Encodes images.

        Arguments
        ---------
        media : torch.Tensor
            (batch, 3, height, width) of one size, floats from 0 to 1, or bytes.
        lengths : torch.Tensor or None
            Must be ``None``.

        Returns
        -------
        Memory
        """
        images = (pixels(media, lengths) - self.mean) / self.deviation
        with torch.set_grad_enabled(self.trained and torch.is_grad_enabled()):
            grid = self.body(images)["grid"]
        if grid.dim() == 3:
            regions, shape = _patches(grid)
        else:
            regions, shape = grid.flatten(2).transpose(1, 2), tuple(grid.shape[2:])
        return Memory(self.regions(regions), None, shape)


def _torchvision() -> tuple[ModuleType, ModuleType]:
    try:
        from torchvision import models
        from torchvision.models import feature_extraction
    except ModuleNotFoundError as error:
        raise ImportError(
            'networks of torchvision need it: pip install "gatedrnn[vision]"'
        ) from error
    return models, feature_extraction


def _options(name: str) -> dict[str, bool]:
    """Starting weights at random take these two minutes to draw."""
    return {"init_weights": False} if name in ("googlenet", "inception_v3") else {}


def _grid_layer(
    extraction: ModuleType, network: nn.Module, name: str, layer: str | None
) -> tuple[str, int]:
    """The layer to take, and how many channels it has."""
    _, names = extraction.get_graph_node_names(network)
    if layer is not None and layer not in names:
        raise ValueError(f"{name} has no layer {layer!r}; the last ones are {names[-8:]}")
    wanted = names if layer is None else [layer]
    found = extraction.create_feature_extractor(network, {n: n for n in wanted})(
        torch.zeros(1, 3, _USUAL_SIZE, _USUAL_SIZE)
    )
    for each in reversed(wanted):
        value = found[each]
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            if value.dim() == 4 and value.shape[2] * value.shape[3] > 1:
                return each, value.shape[1]
            if value.dim() == 3 and value.shape[1] > 1:
                return each, value.shape[2]
    raise ValueError(f"{name}: {layer or 'no layer'} has an output with rows and columns")


def _load(network: nn.Module, path: Path, name: str) -> set[str]:
    """Loads weights; returns the names of those that the file does not have."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there are no weights for {name}")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(path)
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, Mapping):
        raise ValueError(f"{path}: must hold weights by name, not {type(state).__name__}")
    try:
        return set(network.load_state_dict(state, strict=False).missing_keys)
    except RuntimeError as error:
        raise ValueError(f"{path}: these are not the weights of {name} ({error})") from error


def _patches(tokens: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int] | None]:
    """Tokens of a transformer's patches, without the one for the class."""
    side = int((tokens.shape[1] - 1) ** 0.5)
    if side * side == tokens.shape[1] - 1:
        return tokens[:, 1:], (side, side)
    return tokens, None
