"""Bundles of models of polyphonic music."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from gatedrnn.bundle.format import WEIGHTS, BundleConfig
from gatedrnn.bundle.kind import (
    BundleKind,
    ModelSpec,
    check_model_arguments,
    model_card,
    result_lines,
    validation_line,
)
from gatedrnn.modules.network_options import parameters
from gatedrnn.tasks.music.model import SequenceModel

__all__ = ["MusicBundle", "MusicConfig", "MusicSpec", "load_music_model"]

#: Arguments of the model that only matter in training.
TRAINING_ONLY = ("dropout", "dropout_input", "locked", "init")


@dataclass(frozen=True)
class MusicSpec(ModelSpec):
    """Specification of a model of music.

    Arguments
    ---------
    size : int
        Keys of a frame.
    model : Mapping
        Arguments of :class:`~gatedrnn.tasks.music.model.SequenceModel`, without ``size`` and those
        of ``TRAINING_ONLY``.
    first_frame : bool
        Whether it was trained to predict the first frame, too, after a silent one.

    Raises
    ------
    ValueError
        If a key is unknown or a value is refused.
    """

    size: int = field(metadata={"min": 1, "max": 1 << 20})
    model: Mapping[str, Any] = field(default_factory=dict)
    first_frame: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_model_arguments(SequenceModel, self.model, "model", ("size", *TRAINING_ONLY))

    def build(self) -> SequenceModel:
        """Makes the model, with weights to be trained or loaded."""
        try:
            return SequenceModel(self.size, **self.model)
        except TypeError as error:
            raise ValueError(f"this model cannot be built: {error}") from error


@dataclass(frozen=True)
class MusicConfig(BundleConfig):
    """Config of a music model's bundle; see :class:`~gatedrnn.bundle.format.BundleConfig`."""

    model: MusicSpec

    FORMAT = "gatedrnn-music"
    FILES = (WEIGHTS,)


@dataclass(frozen=True)
class MusicBundle:
    """A model of music, ready to run: its config and the model, of piano rolls."""

    config: MusicConfig
    model: SequenceModel


class MusicKind(BundleKind[MusicBundle]):
    """Bundles of models of music; they have no tokens."""

    task, noun, config, tokens = "music", "music model", MusicConfig, {}
    old_metric = ("NLL", False)
    command, result = "evaluate-music {} FILE", "{[NLL]:.3f} nats per frame"

    def load_tokens(self, name: str, path: Path, config: Any, model_file: str) -> Any:
        """See :meth:`BundleKind.load_tokens`; not called."""
        raise NotImplementedError

    def make(self, config: Any, model: nn.Module, tokens: Any, tensors: Any) -> MusicBundle:
        """See :meth:`BundleKind.make`."""
        return MusicBundle(config, model)

    def headline(self, config: Any) -> str:
        """See :meth:`BundleKind.headline`."""
        return f"{config.model.size} keys"

    def card(self, name: str, bundle: MusicBundle) -> str:
        """See :meth:`BundleKind.card`."""
        spec, training = bundle.config.model, bundle.config.training
        options = {"network": "lstmp", "num_layers": 2, "hidden_size": 200, **spec.model}
        columns = {"set": "", "frames": "{[frames]}", "NLL per frame": "{[NLL]:.3f}"}
        return model_card(
            name,
            f"A model of polyphonic music: {options['num_layers']} layers of "
            f"`{options['network']}`, {options['hidden_size']} cells each; {spec.size} keys, "
            f"{parameters(bundle.model):,} parameters.",
            [
                f"    gatedrnn evaluate-music {name} music.json",
                f"    gatedrnn continue-music {name} music.json --frames 64",
            ],
            result_lines(
                training,
                "Negative log-likelihood of the training's own test, in nats:",
                columns,
                validation_line(training, "Nats per frame of the validation pieces", 3),
            ),
        )


MUSIC = MusicKind()
BUNDLE_KINDS = (MUSIC,)
load_music_model = MUSIC.load
