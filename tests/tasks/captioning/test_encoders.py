"""Encoders of captioners: padding and company change nothing; descriptions of captioners."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from gatedrnn.seq2seq.decoder import Decoder
from gatedrnn.seq2seq.encoder import EncoderOutput
from gatedrnn.tasks.captioning.bundle import CaptionerSpec
from gatedrnn.tasks.captioning.model import (
    ENCODERS,
    BackboneEncoder,
    Captioner,
    FeatureEncoder,
    ImageEncoder,
    RecurrentSoundEncoder,
    Regions,
    SoundEncoder,
)

SMALL = {"sample_rate": 8000, "n_mels": 20}


def sound_encoders():
    torch.manual_seed(0)
    return [
        SoundEncoder([3, 4], width=6, features=SMALL),
        RecurrentSoundEncoder("lstmp", 2, 5, width=6, features=SMALL, stacked=3, pooled=2),
        RecurrentSoundEncoder("ran", 1, 5, bidirectional=False, width=6, features=SMALL),
    ]


def test_encoder_outputs_repeat_and_select():
    encoded = EncoderOutput(torch.rand(2, 4, 3), torch.tensor([0.5, 1.0]), (2, 2))
    twice = encoded.repeat(2)
    assert torch.equal(twice.features, encoded.features[[0, 0, 1, 1]])
    assert torch.equal(twice.lengths, torch.tensor([0.5, 0.5, 1.0, 1.0]))
    assert twice.shape == (2, 2) and encoded.repeat(1) is encoded
    assert torch.allclose(encoded.mean()[0], encoded.features[0, :2].mean(0))
    assert EncoderOutput(encoded.features).valid() is None


def test_features_in_the_padding_change_nothing():
    encoder = FeatureEncoder(3, 5)
    media, lengths = torch.randn(2, 6, 3), torch.tensor([1.0, 0.5])
    encoded = encoder(media, lengths)
    media[1, 3:] = torch.nan
    assert torch.equal(encoder(media, lengths).features, encoded.features)
    assert torch.allclose(encoder(media[1:, :3]).features[0], encoded.features[1, :3], atol=1e-6)
    assert not encoded.features[1, 3:].any()
    grid = encoder(torch.randn(2, 4, 3, 3))
    assert grid.features.shape == (2, 12, 5) and grid.shape == (4, 3)


@pytest.mark.parametrize("encoder", sound_encoders(), ids=["conv", "both ways", "one way"])
@pytest.mark.parametrize("sizes", [(8000, 5117), (8000, 400), (7999, 7999)])
def test_sound_in_the_padding_changes_nothing(encoder, sizes):
    encoder.eval()
    media = torch.randn(2, sizes[0])
    lengths = torch.tensor([1.0, sizes[1] / sizes[0]])
    encoded = encoder(media, lengths)
    padded = media.clone()
    padded[1, sizes[1] :] = torch.nan
    assert torch.equal(encoder(padded, lengths).features, encoded.features)
    for i, size in enumerate(sizes):
        alone = encoder(media[i : i + 1, :size])
        regions = alone.features.shape[1]
        assert int(encoded.valid()[i].sum()) == regions == alone.shape[0]
        assert torch.allclose(alone.features[0], encoded.features[i, :regions], atol=2e-5)
        assert not encoded.features[i, regions:].any()
    longer = torch.cat([media, torch.ones(2, 3001)], 1)
    shorter = encoder(longer, lengths * sizes[0] / longer.shape[1])
    assert torch.equal(shorter.valid().sum(1), encoded.valid().sum(1))
    both = min(shorter.features.shape[1], encoded.features.shape[1])
    assert torch.allclose(shorter.features[:, :both], encoded.features[:, :both], atol=2e-5)


@pytest.mark.parametrize("encoder", sound_encoders(), ids=["conv", "both ways", "one way"])
def test_sound_that_is_silent_or_short_is_no_trouble(encoder):
    encoded = encoder(torch.zeros(2, 100), torch.tensor([1.0, 0.01]))
    assert torch.isfinite(encoded.features).all()
    # Loudness does not matter.
    media = torch.randn(1, 4000)
    assert torch.allclose(encoder(media).features, encoder(0.01 * media).features, atol=1e-3)
    with pytest.raises(ValueError, match=r"must be \(batch, samples\)"):
        encoder(torch.zeros(2, 3, 4))


def test_regions_of_sounds_have_times():
    for encoder in sound_encoders():
        encoded = encoder(torch.randn(1, 8000))
        assert encoded.shape[0] * encoder.region_seconds == pytest.approx(1.0, abs=0.1)


def test_images_keep_their_grid_and_know_no_company():
    torch.manual_seed(0)
    encoder = ImageEncoder([4, 8], width=6).eval()
    media = torch.rand(3, 3, 32, 20)
    encoded = encoder(media)
    assert encoded.features.shape == (3, 40, 6) and encoded.shape == (8, 5)
    for i in range(3):
        alone = encoder(media[i : i + 1]).features[0]
        assert torch.allclose(alone, encoded.features[i], atol=1e-5)
    whole = (media * 255).round().to(torch.uint8)
    assert torch.allclose(encoder(whole).features, encoder(whole / 255).features, atol=1e-5)
    # A bright spot is seen where it is.
    spot = torch.zeros(2, 3, 32, 32)
    spot[1, :, 24:28, 4:8] = 1.0
    dark, bright = ImageEncoder([4], width=16).eval()(spot).features
    # Nothing of it is seen elsewhere: attention has to look there.
    rows, columns = (bright != dark).any(1).view(16, 16).nonzero(as_tuple=True)
    assert (int(rows.min()), int(rows.max())) == (11, 15)
    assert (int(columns.min()), int(columns.max())) == (1, 5)
    with pytest.raises(ValueError, match="images have no lengths"):
        encoder(media, torch.ones(3))
    with pytest.raises(ValueError, match=r"must be \(batch, 3, height, width\)"):
        encoder(media[:, :1])


@pytest.mark.parametrize("kind", ["sound", "image"])
def test_everything_of_a_captioner_gets_a_gradient(kind):
    torch.manual_seed(0)
    encoder, media = {
        "sound": (sound_encoders()[1], torch.randn(2, 8000)),
        "image": (ImageEncoder([4, 8], width=6), torch.rand(2, 3, 16, 16)),
    }[kind]
    decoder = Decoder(9, 6, hidden_size=8, embedding_size=5)
    captioner = Captioner(encoder, decoder)
    output = captioner(media, None, torch.tensor([[3, 4, 0], [7, 0, -100]]))
    output.scores.logsumexp(2).sum().backward()
    for name, parameter in captioner.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_an_encoders_own_loss_term_is_passed_on():
    options = {"prior_weight": 0.1}
    encoder = RecurrentSoundEncoder("beta", 1, 5, network_options=options, width=6, features=SMALL)
    captioner = Captioner(encoder, Decoder(9, 6, hidden_size=8, embedding_size=5))
    arguments = torch.randn(2, 4000), None, torch.zeros(2, 2, dtype=torch.long)
    auxiliary = captioner(*arguments).auxiliary
    assert float((auxiliary - encoder.stack.auxiliary_loss()).detach()) == 0.0
    assert captioner.eval()(*arguments).auxiliary is None
    captioner.freeze_encoder()
    assert captioner.train()(*arguments).auxiliary is None, "the frozen encoder has no loss"


# ---- descriptions of captioners ------------------------------------------------------------------

SPECS = {
    "features": {"input_size": 7, "width": 6},
    "image": {"channels": [4, 8], "width": 6},
    "backbone": {"name": "resnet18", "width": 6},
    "sound": {"channels": [4], "width": 6, "features": SMALL},
    "recurrent_sound": {"network": "ran", "hidden_size": 5, "width": 6, "features": SMALL},
}


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_captioner_is_built_again_from_its_description(kind):
    if kind == "backbone":
        pytest.importorskip("torchvision", reason="networks of torchvision need torchvision")
    attention = {"kind": "late", "size": 4}
    decoder = {"network": "highway", "num_layers": 3, "hidden_size": 4, "attention": attention}
    spec = CaptionerSpec(12, kind, SPECS[kind], decoder)
    again = CaptionerSpec.from_dict(spec.to_dict())
    assert again == spec
    built, empty = again.build(), again.build_empty()
    shapes = {name: weight.shape for name, weight in built.state_dict().items()}
    assert {name: weight.shape for name, weight in empty.state_dict().items()} == shapes
    assert all(weight.is_meta for weight in empty.parameters())
    other = again.build()
    other.load_state_dict(built.state_dict())
    assert spec.media == {"image": "image", "backbone": "image", "features": "features"}.get(
        kind, "audio"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((12, "picture"), "kind must be features, image, backbone, sound"),
        ((1,), "vocabulary must be a whole number from 2"),
        (
            (12, "image", {"channels": 3}),
            "channels must be a list of whole numbers from 1 to 1048576, not 3",
        ),
        ((12, "image", {"input_size": 3}), "encoder: unknown key 'input_size'"),
        ((12, "sound", {"features": {"mels": 3}}), "encoder: features: unknown key 'mels'"),
        (
            (12, "image", {}, {"attention": "hard"}),
            "attention must be soft, top_down or late, or an object with named values, not 'hard'",
        ),
        (
            (12, "image", {}, {"attention": 3}),
            "decoder: attention must be soft, top_down or late, or an object",
        ),
        (
            (12, "image", {}, {"attention": {"size": "a"}}),
            "attention: size must be a whole number from 1 to 1048576, not 'a'",
        ),
        ((12, "image", {}, {"dropout": 0.5}), "decoder: unknown key 'dropout'"),
        ((12, "image", {}, {"encoder_size": 3}), "decoder: unknown key 'encoder_size'"),
    ],
)
def test_wrong_descriptions_are_reported(arguments, message):
    with pytest.raises(ValueError, match=message):
        CaptionerSpec(*arguments)


def test_what_cannot_be_built_is_told():
    with pytest.raises(ValueError, match="cannot be built.*input_size"):
        CaptionerSpec(12, "features").build()
    with pytest.raises(ValueError, match="there is no recurrence 'rann'"):
        CaptionerSpec(12, "image", {}, {"network": "rann"}).build()


# ---- torchvision --------------------------------------------------------------------------------


@pytest.fixture
def vision():
    return pytest.importorskip("torchvision", reason="networks of torchvision need torchvision")


@pytest.mark.parametrize(
    ("name", "channels"), [("resnet18", 512), ("squeezenet1_1", 1000), ("mobilenet_v3_small", 576)]
)
def test_networks_of_torchvision_keep_their_grid(vision, name, channels):
    encoder = BackboneEncoder(name, width=5)
    media = torch.rand(2, 3, 96, 64)
    encoded = encoder.train()(media)
    assert encoded.features.shape[0] == 2 and encoded.features.shape[2] == 5
    assert encoded.shape[0] * encoded.shape[1] == encoded.features.shape[1] > 1
    assert encoder.regions.project.in_features == channels
    # Averages of the normalisation stay, and nothing of it is trained.
    assert torch.allclose(encoder(media[:1]).features, encoded.features[:1], atol=1e-5)
    assert [n for n, p in encoder.named_parameters() if p.requires_grad] == [
        "regions.project.weight",
        "regions.project.bias",
        "regions.norm.weight",
        "regions.norm.bias",
    ]
    trained = BackboneEncoder(name, width=5, trained=True)
    trained(media).features.sum().backward()
    assert all(p.grad is not None for p in trained.parameters())


def test_weights_of_torchvision_come_from_a_file(vision, tmp_path):
    torch.manual_seed(0)
    network = vision.models.resnet18().eval()
    torch.save(network.state_dict(), tmp_path / "resnet.pth")
    encoder = BackboneEncoder("resnet18", tmp_path / "resnet.pth", width=5).eval()
    seen = {}
    network.layer4.register_forward_hook(lambda *hooked: seen.update(grid=hooked[2]))
    media = torch.rand(1, 3, 64, 64)
    network((media - encoder.mean) / encoder.deviation)
    encoder.regions.register_forward_pre_hook(lambda m, x: seen.update(found=x[0]))
    encoder(media)
    assert torch.allclose(seen["found"], seen["grid"].flatten(2).transpose(1, 2), atol=1e-5)

    with pytest.raises(FileNotFoundError, match="none.pth: there are no weights for resnet18"):
        BackboneEncoder("resnet18", tmp_path / "none.pth")
    with pytest.raises(ValueError, match="these are not the weights of resnet50"):
        BackboneEncoder("resnet50", tmp_path / "resnet.pth")
    torch.save({"conv1.weight": network.conv1.weight}, tmp_path / "part.pth")
    with pytest.raises(ValueError, match="weights of resnet18 are missing"):
        BackboneEncoder("resnet18", tmp_path / "part.pth")
    with pytest.raises(ValueError, match="torchvision has no network 'resnet'"):
        BackboneEncoder("resnet")
    with pytest.raises(ValueError, match="resnet18 has no layer 'layer9'"):
        BackboneEncoder("resnet18", layer="layer9")


def test_a_transformer_of_torchvision(vision):
    encoder = BackboneEncoder("vit_b_32", width=5).eval()
    encoded = encoder(torch.rand(1, 3, 224, 224))
    assert encoded.shape == (7, 7) and encoded.features.shape == (1, 49, 5)


@pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is not None, reason="torchvision is installed"
)
def test_without_torchvision_it_is_told_what_to_install():
    with pytest.raises(ImportError, match=r"gatedrnn\[vision\]"):
        BackboneEncoder("resnet18")


def test_regions_are_projected_to_the_width():
    assert Regions(8, 4)(torch.rand(2, 6, 8)).shape == (2, 6, 4)
