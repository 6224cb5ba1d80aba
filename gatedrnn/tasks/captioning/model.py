"""The captioner: an encoder of images, recordings or features, and an attention decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import torch
from torch import nn

from gatedrnn.lazy import require
from gatedrnn.modules.features import FrameStacking, LogMel, feature_lengths, valid_frames
from gatedrnn.modules.network_options import build_stack
from gatedrnn.nnet import frame_counts
from gatedrnn.seq2seq.encoder import Encoder, EncoderOutput
from gatedrnn.seq2seq.model import EncoderDecoder

#: Mean and standard deviation of red, green and blue that torchvision's weights expect.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Rows and columns of the image with which a backbone's layers are inspected.
_INSPECTED_SIZE = 224


class Captioner(EncoderDecoder):
    """Images, recordings or features to captions.

    Arguments
    ---------
    encoder : CaptionEncoder
        One of :data:`~gatedrnn.tasks.captioning.model.ENCODERS`.
    decoder : Decoder
        With an ``encoder_size`` that is the encoder's ``output_size``.

    Example
    -------
    >>> from gatedrnn.seq2seq import Decoder
    >>> captioner = Captioner(FeatureEncoder(5, 8), Decoder(20, 8, hidden_size=16))
    >>> targets, rows = torch.tensor([[3, 4, 0], [5, 0, -100]]), torch.tensor([0, 0])
    >>> captioner(torch.rand(1, 9, 5), None, targets, rows).scores.shape  # two captions of an item
    torch.Size([2, 3, 20])
    """


class Regions(nn.Module):
    """Last layer of an encoder: (..., input_size) to (..., width), at least 0.

    Without the normalization of each region a small convolutional network learns nothing at first:
    what is common to all images outweighs what differs, and the decoder learns the captions'
    grammar without attending.
    """

    def __init__(self, input_size: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.project = nn.Linear(input_size, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Projects, normalizes and rectifies regions."""
        return self.dropout(torch.relu(self.norm(self.project(x))))


class CaptionEncoder(Encoder):
    """Base class of a captioner's encoders, which are listed in ``ENCODERS``."""

    #: Kind of items that the encoder reads: ``"image"``, ``"audio"`` or ``"features"``.
    media: ClassVar[str]


# ---- features -----------------------------------------------------------------------------------


class FeatureEncoder(CaptionEncoder):
    """Projection of features that were computed elsewhere.

    Arguments
    ---------
    input_size : int
        Width of the features.
    width : int
        Width of the encoder output.
    dropout : float
        Dropout of the encoder output.

    Example
    -------
    >>> encoded = FeatureEncoder(8, 4)(torch.rand(2, 6, 8), torch.tensor([1.0, 0.5]))
    >>> encoded.features.shape, int(encoded.features[1, 3:].count_nonzero())
    (torch.Size([2, 6, 4]), 0)
    """

    media = "features"

    def __init__(self, input_size: int, width: int = 512, dropout: float = 0.0) -> None:
        super().__init__(width)
        self.regions = Regions(input_size, width, dropout)

    def forward(self, source: torch.Tensor, lengths: torch.Tensor | None = None) -> EncoderOutput:
        """Encodes features (batch, regions, input_size) or (batch, rows, columns, input_size)."""
        shape = tuple(source.shape[1:3]) if source.dim() == 4 else None
        source = source.flatten(1, -2)
        valid = None
        if lengths is not None:
            batch, regions = source.shape[:2]
            counts = frame_counts(lengths, regions, batch).to(source.device)
            valid = valid_frames(counts, regions).unsqueeze(2)
            # The padding may hold anything, also infinity.
            source = source.masked_fill(~valid, 0.0)
        features = self.regions(source)
        if valid is not None:
            features = features.masked_fill(~valid, 0.0)
        return EncoderOutput(features, lengths, shape)


# ---- images -------------------------------------------------------------------------------------


class ImageEncoder(CaptionEncoder):
    """A small convolutional network that is trained from scratch and keeps the grid.

    Each stage halves rows and columns. The network uses batch normalization: normalization by an
    image's own statistics would tell every region what the others contain, so that attention need
    not find an object, and the model learns several times more slowly. Two more channels hold each
    region's coordinates.

    Arguments
    ---------
    channels : sequence of int
        Channels of each stage, at least one.
    width : int
        Width of the encoder output.
    dropout : float
        Dropout of the encoder output.

    Example
    -------
    >>> encoded = ImageEncoder([8, 16, 16], width=32)(torch.rand(2, 3, 64, 48))
    >>> encoded.features.shape, encoded.shape
    (torch.Size([2, 48, 32]), (8, 6))
    """

    media = "image"

    def __init__(
        self, channels: Sequence[int] = (32, 64, 128), width: int = 256, dropout: float = 0.0
    ) -> None:
        super().__init__(width)
        if not channels:
            raise ValueError("channels: there must be one number at least")
        stages, inputs = [], 3
        for outputs in channels:
            stages += _convolution(inputs, outputs, stride=2)
            stages += _convolution(outputs, outputs, stride=1)
            inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.regions = Regions(inputs + 2, width, dropout)

    def forward(self, source: torch.Tensor, lengths: torch.Tensor | None = None) -> EncoderOutput:
        """Encodes images of one size, (batch, 3, height, width), floats from 0 to 1 or bytes."""
        grid = self.stages(2.0 * _pixels(source, lengths) - 1.0)
        rows, columns = grid.shape[2:]
        axes = [
            torch.linspace(-1.0, 1.0, n, dtype=grid.dtype, device=grid.device)
            for n in (rows, columns)
        ]
        places = torch.stack(torch.meshgrid(*axes, indexing="ij")).expand(len(grid), -1, -1, -1)
        regions = torch.cat([grid, places], 1).flatten(2).transpose(1, 2)
        return EncoderOutput(self.regions(regions), None, (rows, columns))


class BackboneEncoder(CaptionEncoder):
    """A network of torchvision up to its last grid, and a projection.

    Layers after the grid are left out. Batch normalization keeps its running statistics. Nothing is
    downloaded.

    Arguments
    ---------
    name : str
        Its name in torchvision, such as ``"resnet50"``.
    weights_file : str or Path or None
        The network's weights, ``.safetensors`` or torchvision's ``.pth``; ``None``: random weights,
        to be trained or loaded.
    width : int
        Width of the encoder output.
    dropout : float
        Dropout of the encoder output.
    trained : bool
        Whether the network itself is trained.
    layer : str or None
        The layer whose output is taken, by its name in torchvision's ``get_graph_node_names``;
        ``None``: the last one whose output still has rows and columns, or tokens.

    Raises
    ------
    ImportError
        If torchvision is not installed.
    ValueError
        If there is no such network or layer, or the weights do not fit it.

    Example
    -------
    >>> encoder = BackboneEncoder("resnet18", width=32)  # doctest: +SKIP
    >>> encoder(torch.rand(1, 3, 96, 64)).shape  # doctest: +SKIP
    (3, 2)
    """

    media = "image"

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
        models = require("torchvision.models", "pretrained networks", "vision", "torchvision")
        extraction = require("torchvision.models.feature_extraction", "networks", "vision")
        if name not in models.list_models(module=models):
            raise ValueError(
                f"torchvision has no network {name!r} for images; it has "
                f"{', '.join(models.list_models(module=models))}"
            )
        # The initial random weights of these two take minutes.
        options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        with torch.device("meta"):
            # Nothing is computed there: only shapes are inspected.
            empty = models.get_model(name, weights=None, **options).eval()
            layer, channels = _grid_layer(extraction, empty, name, layer)
        network = models.get_model(name, weights=None, **options)
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
        """Sets the mode; the network stays in evaluation mode, with its running statistics."""
        super().train(mode)
        self.body.eval()
        return self

    def forward(self, source: torch.Tensor, lengths: torch.Tensor | None = None) -> EncoderOutput:
        """Encodes images of one size, (batch, 3, height, width), floats from 0 to 1 or bytes."""
        images = (_pixels(source, lengths) - self.mean) / self.deviation
        with torch.set_grad_enabled(self.trained and torch.is_grad_enabled()):
            grid = self.body(images)["grid"]
        if grid.dim() == 3:
            regions, shape = _patches(grid)
        else:
            regions, shape = grid.flatten(2).transpose(1, 2), tuple(grid.shape[2:])
        return EncoderOutput(self.regions(regions), None, shape)


def _pixels(images: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """Images (batch, 3, height, width) as floats from 0 to 1."""
    if lengths is not None:
        raise ValueError("images have no lengths: bring those of a batch to one size")
    if images.dim() != 4 or images.shape[1] != 3:
        raise ValueError(f"images must be (batch, 3, height, width), not {tuple(images.shape)}")
    return images if images.is_floating_point() else images.to(torch.get_default_dtype()) / 255


def _convolution(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


def _grid_layer(
    extraction: ModuleType, network: nn.Module, name: str, layer: str | None
) -> tuple[str, int]:
    """The layer whose output is taken, and its number of channels."""
    _, names = extraction.get_graph_node_names(network)
    if layer is not None and layer not in names:
        raise ValueError(f"{name} has no layer {layer!r}; the last ones are {names[-8:]}")
    candidates = names if layer is None else [layer]
    outputs = extraction.create_feature_extractor(network, {n: n for n in candidates})(
        torch.zeros(1, 3, _INSPECTED_SIZE, _INSPECTED_SIZE)
    )
    for candidate in reversed(candidates):
        value = outputs[candidate]
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            if value.dim() == 4 and value.shape[2] * value.shape[3] > 1:
                return candidate, value.shape[1]
            if value.dim() == 3 and value.shape[1] > 1:
                return candidate, value.shape[2]
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
    """Tokens of a transformer's patches, without the class token, and their grid."""
    side = int((tokens.shape[1] - 1) ** 0.5)
    if side * side == tokens.shape[1] - 1:
        return tokens[:, 1:], (side, side)
    return tokens, None


# ---- recordings ---------------------------------------------------------------------------------


class AudioEncoder(CaptionEncoder):
    """Base class of encoders of recordings: features that are normalized within each recording."""

    media = "audio"
    #: The last layer, which subclasses make.
    regions: Regions

    def __init__(self, features: Mapping[str, Any] | None, factor: int, width: int) -> None:
        super().__init__(width)
        self.features = LogMel(**(features or {}))
        #: Frames per region.
        self.factor = factor

    @property
    def region_seconds(self) -> float:
        """Duration of a region in seconds."""
        return self.factor * self.features.hop / self.features.options["sample_rate"]

    def _log_mel(
        self, source: torch.Tensor, lengths: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features of mean 0 and variance 1, zero in the padding, and the numbers of frames."""
        if source.dim() != 2:
            raise ValueError(f"recordings must be (batch, samples), not {tuple(source.shape)}")
        batch, samples = source.shape
        if lengths is None:
            lengths = torch.ones(batch, device=source.device)
        counts = frame_counts(lengths, samples, batch).to(source.device)
        source = source.masked_fill(~valid_frames(counts, samples), 0.0)
        mels = self.features(source)
        frames = mels.shape[1]
        relative = feature_lengths(counts / samples, samples, frames, self.features.hop)
        counts = torch.round(relative * frames).long()
        valid = valid_frames(counts, frames).unsqueeze(2)
        inside = counts.view(-1, 1, 1) * mels.shape[2]
        mean = (mels * valid).sum((1, 2), keepdim=True) / inside
        mels = (mels - mean) * valid
        # Silence has no variance.
        scale = (mels.square().sum((1, 2), keepdim=True) / inside).sqrt().clamp(min=1.0)
        return mels / scale, counts

    def _output(self, features: torch.Tensor, counts: torch.Tensor) -> EncoderOutput:
        frames = features.shape[1]
        valid = valid_frames(counts, frames).unsqueeze(2)
        regions = self.regions(features).masked_fill(~valid, 0.0)
        return EncoderOutput(regions, counts / frames, (frames,))


class SoundEncoder(AudioEncoder):
    """Convolutions over time and frequency, each followed by pooling that halves both.

    Normalization is within a frame, so that the encoder output of a recording depends neither on
    its batch nor on its padding.

    Arguments
    ---------
    channels : sequence of int
        Channels of each stage, at least one.
    width : int
        Width of the encoder output.
    dropout : float
        Dropout of the encoder output.
    features : Mapping or None
        Arguments of :class:`~gatedrnn.modules.features.LogMel`.

    Example
    -------
    >>> encoder = SoundEncoder([4, 8], width=16, features={"n_mels": 40})
    >>> encoded = encoder(torch.randn(2, 16000), torch.tensor([1.0, 0.5]))
    >>> encoded.features.shape, encoded.valid().sum(1), encoder.region_seconds
    (torch.Size([2, 26, 16]), tensor([26, 13]), 0.04)
    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 64, 128),
        width: int = 256,
        dropout: float = 0.0,
        features: Mapping[str, Any] | None = None,
    ) -> None:
        if not channels:
            raise ValueError("channels: there must be one number at least")
        super().__init__(features, 2 ** len(channels), width)
        inputs = [1, *channels[:-1]]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(i, o, 3, padding=1) for i, o in zip(inputs, channels, strict=True)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in channels)
        bands = -(-self.features.options["n_mels"] // self.factor)
        self.regions = Regions(channels[-1] * bands, width, dropout)

    def forward(self, source: torch.Tensor, lengths: torch.Tensor | None = None) -> EncoderOutput:
        """Encodes recordings (batch, samples) with relative lengths (batch,)."""
        mels, counts = self._log_mel(source, lengths)
        hidden = mels.to(self.regions.project.weight.dtype).unsqueeze(1)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            hidden = norm(convolution(hidden).movedim(1, 3)).movedim(3, 1)
            valid = valid_frames(counts, hidden.shape[2])[:, None, :, None]
            # Above zero, so that a zero in the padding never is the maximum.
            hidden = torch.relu(hidden) * valid
            hidden = nn.functional.max_pool2d(hidden, 2, ceil_mode=True)
            counts = torch.div(counts + 1, 2, rounding_mode="floor")
        return self._output(hidden.transpose(1, 2).flatten(2), counts)


class RecurrentSoundEncoder(AudioEncoder):
    """A recurrent stack over stacked frames; neighbouring outputs are stacked to one region.

    Arguments
    ---------
    network, num_layers, hidden_size, proj_size, network_options, init
        The stack, see :func:`~gatedrnn.modules.network_options.build_stack`.
    bidirectional : bool
        Whether a second stack reads from the end.
    stacked : int
        Frames per input of the stack.
    pooled : int
        Outputs of the stack per region.
    width : int
        Width of the encoder output.
    dropout : float
        Dropout between layers, and of the encoder output.
    features : Mapping or None
        Arguments of :class:`~gatedrnn.modules.features.LogMel`.

    Example
    -------
    >>> encoder = RecurrentSoundEncoder("ran", 2, hidden_size=8, width=16)
    >>> encoded = encoder(torch.randn(2, 16000), torch.tensor([1.0, 0.5]))
    >>> encoded.features.shape, encoded.valid().sum(1)
    (torch.Size([2, 13, 16]), tensor([13,  7]))
    """

    def __init__(
        self,
        network: str = "residual",
        num_layers: int = 2,
        hidden_size: int = 256,
        proj_size: int | None = None,
        network_options: Mapping[str, Any] | None = None,
        bidirectional: bool = True,
        stacked: int = 4,
        pooled: int = 2,
        width: int = 256,
        dropout: float = 0.0,
        features: Mapping[str, Any] | None = None,
        init: Mapping[str, float | str] | None = None,
    ) -> None:
        super().__init__(features, stacked * pooled, width)
        self.stacking = FrameStacking(self.features.options["n_mels"], stacked)
        self.stack = build_stack(
            network,
            network_options,
            init,
            proj_size=proj_size,
            input_size=self.stacking.output_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            bidirectional=bidirectional,
        )
        self.pooling = FrameStacking(self.stack.output_size, pooled)
        self.regions = Regions(self.pooling.output_size, width, dropout)

    def forward(self, source: torch.Tensor, lengths: torch.Tensor | None = None) -> EncoderOutput:
        """Encodes recordings (batch, samples) with relative lengths (batch,)."""
        mels, counts = self._log_mel(source, lengths)
        stacked, counts = self.stacking(mels.to(self.regions.project.weight.dtype), counts)
        output, _ = self.stack(stacked, lengths=counts / stacked.shape[1])
        pooled, counts = self.pooling(output, counts)
        return self._output(pooled, counts)

    def auxiliary_loss(self) -> torch.Tensor | None:
        """The stack's own loss term, of the last forward pass in training."""
        return self.stack.auxiliary_loss() if self.training else None


#: Name of an encoder in YAML files and bundles -> its class. A new encoder needs a class above and
#: a row here.
ENCODERS: dict[str, type[CaptionEncoder]] = {
    "features": FeatureEncoder,
    "image": ImageEncoder,
    "backbone": BackboneEncoder,
    "sound": SoundEncoder,
    "recurrent_sound": RecurrentSoundEncoder,
}
