"""Bundles of captioners, and the command that uses them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from gatedrnn.cli.main import main
from gatedrnn.seq2seq.search import SearchOptions
from gatedrnn.simulation.scenes import write_image
from gatedrnn.tasks.captioning.bundle import (
    CaptionerBundle,
    CaptionerConfig,
    CaptionerSpec,
    read_captioner,
    write_captioner,
)
from gatedrnn.tasks.captioning.corpora.items import MediaError, MediaOptions, load_media
from gatedrnn.tokens import Vocabulary
from tests.data.corpora import tone
from tests.tasks.captioning.tiny import scenes, train

WORDS = Vocabulary(("<eos>", "<unk>", "a", "red", "dog", "cat", "runs"), max_length=5)
ENCODERS = {
    "image": {"channels": [4, 4], "width": 8},
    "features": {"input_size": 6, "width": 8},
    "sound": {"channels": [4, 4], "width": 8, "features": {"n_mels": 16}},
    "recurrent_sound": {"hidden_size": 4, "width": 8, "features": {"n_mels": 16}},
}


def write(folder, kind="image", **decoder):
    """Writes a bundle of random weights; gives it as it was."""
    torch.manual_seed(0)
    options = {"hidden_size": 8, "embedding_size": 8, **decoder}
    spec = CaptionerSpec(len(WORDS), kind, ENCODERS[kind], options)
    media = MediaOptions(spec.media, 16, 16, sample_rate=16000, max_seconds=1.0)
    search = SearchOptions(beam_size=2, max_length=WORDS.max_length)
    made = CaptionerBundle(CaptionerConfig(spec, media, search), WORDS, spec.build().eval())
    write_captioner(folder, made)
    return made


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_encoder_comes_back(tmp_path, kind):
    made = write(tmp_path / "c", kind, tied=kind == "image", attention="top_down")
    found = read_captioner(tmp_path / "c")
    assert found.config == replace(
        made.config, files=found.config.files, made_by=found.config.made_by
    )
    state = found.model.state_dict()
    assert made.model.state_dict().keys() == state.keys()
    for name, weight in made.model.state_dict().items():
        assert torch.equal(state[name], weight), name
    media = {"image": torch.rand(2, 3, 16, 16), "features": torch.rand(2, 5, 6)}
    given = media.get(kind, torch.randn(2, 4000))
    captions = torch.tensor([[0, 2, 3], [0, 4, 0]])
    with torch.no_grad():
        both = [model(given, None, captions).scores for model in (made.model, found.model)]
    # The same weights, but lying elsewhere: products may be added up in another order.
    assert torch.allclose(*both, atol=1e-6)


def test_what_is_broken_is_refused(tmp_path, capsys):
    folder = tmp_path / "c"
    write(folder)
    image = tmp_path / "a.png"
    write_image(image, np.zeros((8, 8, 3), dtype=np.uint8))
    config = json.loads((folder / "config.json").read_text())

    def refused(change, wanted):
        data = json.loads(json.dumps(config))
        change(data)
        (folder / "config.json").write_text(json.dumps(data))
        assert main(["caption", str(folder), str(image)]) == 2
        assert wanted in capsys.readouterr().err

    refused(lambda d: d["media"].update(kind="audio"), "media: kind must be 'image', which the enc")
    refused(lambda d: d["media"].update(height=0), "media: height must be a whole number")
    refused(lambda d: d["media"].update(hight=1), "media: unknown key 'hight'")
    refused(lambda d: d["search"].update(beam_size=0), "beam_size must be a whole number from 1")
    refused(lambda d: d["model"].update(kind="vision"), "kind must be features, image")
    refused(lambda d: d["model"]["decoder"].update(hidden_size=9), "does not fit the model")
    refused(lambda d: d["model"].update(vocabulary=8), "has 7 tokens, and the model of config.json")
    refused(lambda d: d.update(format="gatedrnn-recogniser"), "format must be 'gatedrnn-captioner'")
    refused(lambda d: d["files"]["tokens.json"].update(bytes=3), "bytes, and 3 by config.json")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    train(folder, epochs=4, beam_size=3, captions_per_item=1)
    return folder


def test_a_training_becomes_a_bundle_that_gives_its_captions(trained, tmp_path, capsys):
    bundle = tmp_path / "c"
    assert main(["export", str(trained), str(bundle)]) == 0
    assert "CIDEr-D" in capsys.readouterr().out
    for refused, option in (("--onnx", []), ("--lm", [str(trained), "--lm-weight", "1"])):
        assert main(["export", str(trained), str(tmp_path / "o"), refused, *option]) == 2
        assert f"{refused} is for recognisers" in capsys.readouterr().err
    names = sorted(path.name for path in bundle.iterdir())
    assert names == ["README.md", "config.json", "model.safetensors", "tokens.json"]
    card = (bundle / "README.md").read_text()
    assert "| test | 4 |" in card and "1 layers of `ran`" in card
    wanted = json.loads((trained / "captions_test.json").read_text())
    images = trained / "data" / "images" / "test"
    for model in (bundle, trained):
        assert main(["caption", str(model), str(images), "--format", "json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert [row["caption"] for row in found] == [row["caption"] for row in wanted]
        assert found[0]["image_id"] == "000000.png"
    # Of a manifest the ids are kept, and the file can be scored.
    results = tmp_path / "all.json"
    manifest = trained / "data" / "captions.jsonl"
    arguments = [str(bundle), str(manifest), "--format", "json", "--output", str(results)]
    assert main(["caption", *arguments]) == 0
    found = {row["image_id"]: row["caption"] for row in json.loads(results.read_text())}
    assert {row["image_id"]: row["caption"] for row in wanted}.items() <= found.items()
    assert main(["score-captions", str(manifest), str(results), "--java", "never"]) == 0


def test_the_command(tmp_path, capsys):
    bundle = write(tmp_path / "c") and tmp_path / "c"
    folder = tmp_path / "in"
    for i, name in enumerate(("a.png", "deep/b.png", "c.png")):
        pixels = np.full((20, 30, 3), 60 * i, dtype=np.uint8)
        write_image(folder / name, pixels)
    (folder / "b.png").write_bytes((folder / "c.png").read_bytes()[:50])
    (folder / "notes.txt").write_text("no image")
    arguments = ["caption", str(bundle), str(folder), "--nbest", "2", "--diverse", "2",
                 "--beam", "4", "--pictures", str(tmp_path / "out"), "--batch", "2"]  # fmt: skip
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert "b.png" in said.err and said.err.count("\n") == 1
    lines = [line.split("\t") for line in said.out.splitlines()]
    assert [line[0] for line in lines] == ["a.png"] * 2 + ["c.png"] * 2 + ["deep/b.png"] * 2
    assert all(float(line[1]) <= 0 for line in lines)
    drawn = sorted(p.relative_to(tmp_path / "out").as_posix() for p in tmp_path.rglob("*.png.png"))
    assert drawn == ["a.png.png", "c.png.png", "deep/b.png.png"]
    for wrong, message in (
        (["--nbest", "0"], "--nbest must be at least 1"),
        (["--nbest", "3", "--beam", "2"], "needs a --beam-size of at least as many"),
        (["--beam", "3", "--diverse", "2"], "groups share the beams evenly"),
        (["--batch", "0"], "batch size must be at least 1"),
        (["--device", "nothing"], "--device nothing cannot be used here"),
        ([str(tmp_path / "none.png")], "none.png: no such file or folder"),
        ([str(tmp_path / "c")], "no image (.png"),
    ):
        assert main(["caption", str(bundle), str(folder / "a.png"), *wrong]) == 2
        assert message in capsys.readouterr().err


def test_recordings_and_features(tmp_path, capsys):
    write(tmp_path / "s", "sound")
    tone(tmp_path / "a.wav", 0.3)
    (tmp_path / "b.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:900])
    pictures = ["--pictures", str(tmp_path / "out")]
    both = [str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]
    assert main(["caption", str(tmp_path / "s"), *both, *pictures]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("a.wav\t") and "b.wav" in said.err
    assert (tmp_path / "out" / "a.wav.png").is_file()
    write(tmp_path / "f", "features")
    np.savez(tmp_path / "all.npz", one=np.ones((3, 6)), two=np.ones((2, 6)), bad=np.ones((2, 5)))
    names = [f"{tmp_path / 'all.npz'}#{name}" for name in ("one", "two", "bad")]
    assert main(["caption", str(tmp_path / "f"), *names]) == 1
    said = capsys.readouterr()
    assert [line.split("\t")[0] for line in said.out.splitlines()] == ["all.npz#one", "all.npz#two"]
    assert "features are 5 wide, and must be 6" in said.err
    assert main(["caption", str(tmp_path / "f"), names[0], *pictures]) == 2
    assert "only be plotted over images" in capsys.readouterr().err


def test_images_come_to_their_size(tmp_path):
    pixels = np.zeros((20, 40, 3), dtype=np.uint8)
    pixels[:, :20] = 255
    write_image(tmp_path / "a.png", pixels)
    found = {
        fit: load_media(str(tmp_path / "a.png"), MediaOptions("image", 10, 10, fit))[0]
        for fit in ("stretch", "crop", "pad")
    }
    assert found["stretch"][:, 0].tolist() == [255] * 10 and int(found["stretch"][0, -1]) == 0
    assert found["crop"].float().mean() == pytest.approx(127, abs=8)
    assert found["pad"][0].tolist() == [128] * 10 and int(found["pad"][5, 0]) == 255
    # Stereo is averaged, another rate resampled, what is long cut.
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.ones((8000, 2)) * [0.2, 0.4], 8000)
    sound = load_media(str(tmp_path / "a.wav"), MediaOptions("audio", max_seconds=0.5))
    assert sound.shape == (8000,) and float(sound[4000]) == pytest.approx(0.3, abs=0.01)
    with pytest.raises(MediaError, match=r"none\.png: no such file"):
        load_media(str(tmp_path / "none.png"), MediaOptions())
    assert scenes(tmp_path / "s", 1, 1, 1).kind == "image"
