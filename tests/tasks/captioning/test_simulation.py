"""Simulated scenes and sounds: seeds, captions that are true, combinations that are held out."""

from __future__ import annotations

import re

import numpy as np
import pytest
import soundfile

from gatedrnn.simulation import scenes, sound_scenes
from gatedrnn.simulation.combinations import part
from gatedrnn.simulation.drawing import COLOURS, SHAPES, draw
from gatedrnn.simulation.scenes import Scene, SceneOptions, Thing, make_scene, write_scenes
from gatedrnn.simulation.sound_scenes import (
    SAMPLE_RATE,
    Event,
    Sound,
    SoundOptions,
    make_sound,
    write_sounds,
)
from gatedrnn.tasks.captioning.corpora.media import read_image
from gatedrnn.tasks.captioning.corpora.prepare import prepare_captions
from gatedrnn.tokens.vocabulary import Vocabulary

SPLITS = ("train", "dev", "test")


# ---- combinations ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("values", "names"),
    [
        (scenes.ATTRIBUTES, ("count", "colour", "shape")),
        (scenes.ATTRIBUTES, ("colour", "shape")),
        (scenes.ATTRIBUTES, ("count", "shape")),
        (sound_scenes.ATTRIBUTES, ("count", "loudness", "kind")),
        (sound_scenes.ATTRIBUTES, ("loudness", "kind")),
    ],
)
def test_splits_share_no_combination_but_train_has_every_value(values, names, seed):
    found = part(values, names, seed=seed)
    total = int(np.prod([len(values[name]) for name in names]))
    assert sum(map(len, found.values())) == len(set.union(*found.values())) == total
    assert len(found["dev"]) == len(found["test"]) >= 1
    for i, name in enumerate(names):
        for value in values[name]:
            with_it = [c for c in found["train"] if c[i] == value]
            assert 2 * len(with_it) >= total / len(values[name])


def test_bad_combinations():
    for names in (["count"], ["count", "size"], ["count", "count"]):
        with pytest.raises(ValueError, match="at least two of count, colour, shape"):
            part(scenes.ATTRIBUTES, names)
    for share in (0.0, 0.6, 0.001):
        with pytest.raises(ValueError, match="must leave at least one each"):
            part(scenes.ATTRIBUTES, ["colour", "shape"], share)


@pytest.mark.parametrize(
    ("make", "parts", "key"),
    [(make_scene, "things", "colour"), (make_sound, "events", "loudness")],
    ids=["scenes", "sounds"],
)
def test_no_combination_of_the_test_set_occurs_in_training(make, parts, key):
    names = ("count", key, "shape" if key == "colour" else "kind")
    found = {
        split: {
            one.combination(names)
            for number in range(150)
            for one in getattr(make(split, number).contents, parts)
        }
        for split in SPLITS
    }
    assert not found["train"] & found["test"] and not found["train"] & found["dev"]
    assert not found["dev"] & found["test"]
    for place in range(3):
        values = [{c[place] for c in found[split]} for split in SPLITS]
        assert values[1] <= values[0] and values[2] <= values[0]


def test_harder_split_shows_no_pair_of_colour_and_shape_in_training():
    options = SceneOptions(held_out=("colour", "shape"))
    train, test = (
        {(t.colour, t.shape) for n in range(100) for t in make_scene(s, n, options).contents.things}
        for s in ("train", "test")
    )
    assert len(test) == 3 and len(train) > 12 and not train & test


# ---- captions -------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [make_scene, make_sound])
def test_five_different_true_captions(make):
    for split in SPLITS:
        for number in range(60):
            made = make(split, number)
            every = made.contents.captions()
            assert len(set(every)) == len(every) >= 6
            assert len(set(made.references)) == 5 and set(made.references) <= set(every)
            for caption in every:
                assert re.fullmatch("[a-z]+( [a-z]+)*", caption)
                assert len(caption.split()) <= 16


def test_grammar():
    one = Scene((Thing(1, "red", "square"),), "top left").captions()
    assert "there is a red box in the top left" in one
    assert "in the top left is one red square" in one and len(one) == 24
    many = Scene((Thing(3, "white", "cross"), Thing(1, "blue", "circle")), "above").captions()
    assert "there are three white pluses over a blue disc" in many
    assert "there is one blue circle under three white crosses" in many
    assert not any("above" in c for c in many if c.index("blue") < c.index("white"))
    two = Sound((Event(2, "loud", "noise"), Event(1, "soft", "click"))).captions()
    assert "first two loud hisses then a soft tick" in two
    assert "a soft click after two loud bursts of noise" in two
    assert "two loud hisses after a soft tick" not in two


def test_different_contents_have_no_caption_in_common():
    for make in (make_scene, make_sound):
        seen: dict[str, object] = {}
        for number in range(80):
            contents = make("train", number).contents
            for caption in contents.captions():
                other = seen.setdefault(caption, contents)
                assert set(other.captions()) == set(contents.captions())


# ---- pictures -------------------------------------------------------------------------------


def things_in(pixels: np.ndarray, colour: str) -> list[tuple[float, float]]:
    """Middles of the connected areas of a colour."""
    from scipy.ndimage import center_of_mass, label

    palette = np.array([*COLOURS.values(), (90, 90, 90)])
    nearest = ((pixels[..., None, :].astype(float) - palette) ** 2).sum(-1).argmin(-1)
    areas, count = label(nearest == list(COLOURS).index(colour))
    sizes = [(areas == i + 1).sum() for i in range(count)]
    return [center_of_mass(areas == i + 1) for i, pixels in enumerate(sizes) if pixels > 12]


def test_pictures_show_what_their_scenes_say():
    """Numbers, colours, places and relations, found again in the pixels."""
    for number in range(120):
        made = make_scene(SPLITS[number % 3], number, SceneOptions(noise=0.01))
        scene = made.contents
        if len({thing.colour for thing in scene.things}) < len(scene.things):
            continue
        middles = [things_in(made.signal, thing.colour) for thing in scene.things]
        assert [len(found) for found in middles] == [thing.count for thing in scene.things]
        rows, columns = ([[m[axis] for m in found] for found in middles] for axis in (0, 1))
        if len(scene.things) == 1:
            inner = {14 < value < 50 for m in middles[0] for value in m}
            assert (scene.relation == "middle") == (inner == {True})
            if scene.relation != "middle":
                top, left = scene.relation.split()
                assert all((row < 32) == (top == "top") for row in rows[0])
                assert all((column < 32) == (left == "left") for column in columns[0])
            continue
        along, across = (columns, rows) if scene.relation in ("left", "right") else (rows, columns)
        if scene.relation in ("right", "below"):
            along = along[::-1]
        assert max(along[0]) < min(along[1])
        # Of two relations that both might be said only one is true.
        assert max(across[0]) + 15 > min(across[1]) and max(across[1]) + 15 > min(across[0])


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape):
    pixels = draw([(1, "white", shape)], "middle", 256, 0.0, np.random.default_rng(3))
    inside = pixels.min(-1) > 180
    rows, columns = np.nonzero(inside)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    filled = inside.sum() / (height * width)
    assert filled == pytest.approx(
        {"circle": np.pi / 4, "square": 1.0, "triangle": 0.5, "cross": 0.564}[shape], abs=0.03
    )


def test_same_seed_same_bytes():
    for number in (0, 7):
        first, again = (make_scene("dev", number).signal for _ in range(2))
        assert (first == again).all()
        assert (make_sound("dev", number).signal == make_sound("dev", number).signal).all()
    other = make_scene("dev", 0, SceneOptions(seed=1))
    assert other.contents != make_scene("dev", 0).contents
    assert make_scene("dev", 0).contents != make_scene("dev", 1).contents
    assert make_scene("train", 3, SceneOptions(size=96)).signal.shape == (96, 96, 3)


# ---- sounds ---------------------------------------------------------------------------------


def events_in(samples: np.ndarray) -> list[np.ndarray]:
    """Stretches of sound that 50 ms of quiet part."""
    frame = SAMPLE_RATE // 200
    loud = np.sqrt((samples[: len(samples) // frame * frame].reshape(-1, frame) ** 2).mean(1))
    active = np.flatnonzero(loud > 0.004)
    groups = np.split(active, np.flatnonzero(np.diff(active) > 10) + 1)
    return [samples[g[0] * frame : (g[-1] + 1) * frame] for g in groups if len(g)]


def test_sounds_have_the_events_of_their_scenes():
    for number in range(90):
        made = make_sound(SPLITS[number % 3], number)
        wanted = [event for event in made.contents.events for _ in range(event.count)]
        found = events_in(made.signal)
        assert len(found) == len(wanted)
        for samples, event in zip(found, wanted, strict=True):
            # A click's peak is higher than that of a tone of its level.
            peak = np.abs(samples).max() / (3 if event.kind == "click" else 1)
            assert (peak > 0.12) == (event.loudness == "loud")
            assert (len(samples) < 0.05 * SAMPLE_RATE) == (event.kind == "click")
            if event.kind.endswith(("tone", "chirp")):
                third = len(samples) // 3
                first, last = (
                    np.argmax(np.abs(np.fft.rfft(part * np.hanning(third), 16000)))
                    for part in (samples[:third], samples[-third:])
                )
                kind = "tone" if 0.8 < first / last < 1.25 else (
                    "rising chirp" if first < last else "falling chirp"
                )  # fmt: skip
                if kind == "tone":
                    kind = "low tone" if first < 800 else "high tone"
                assert kind == event.kind


# ---- files ----------------------------------------------------------------------------------


def test_scenes_as_a_recipe_prepares_them(tmp_path):
    path = write_scenes(tmp_path / "scenes", {"train": 40, "dev": 4, "test": 4})
    prepared = prepare_captions("manifest", path, tmp_path / "out")
    assert {s: len(prepared.items(s)) for s in prepared.manifests} == {
        "train": 40, "dev": 4, "test": 4
    }  # fmt: skip
    assert not prepared.findings()["faults"]
    item = prepared.items("test")[2]
    made = make_scene("test", 2)
    assert item.references == made.references and (read_image(item.path) == made.signal).all()
    assert scenes.read_scenes(tmp_path / "scenes")[item.id] == made.contents
    words = Vocabulary.learn(c for i in prepared.items("train") for c in i.references)
    assert {"red", "left", "two", "triangle"} <= set(words.names)
    # Done once; again where a file is gone.
    before = path.stat().st_mtime_ns
    counts = {"train": 40, "dev": 4, "test": 4}
    assert write_scenes(tmp_path / "scenes", counts).stat().st_mtime_ns == before
    item.file.unlink()
    write_scenes(tmp_path / "scenes", counts)
    assert item.file.is_file()
    (tmp_path / "scenes").rename(tmp_path / "moved")
    moved = prepare_captions("manifest", tmp_path / "moved" / path.name, tmp_path / "out")
    assert len(moved.items("train")) == 40


def test_sounds_as_a_recipe_prepares_them(tmp_path):
    path = write_sounds(tmp_path, {"train": 3, "test": 2})
    prepared = prepare_captions("manifest", path, tmp_path / "out", splits=["train", "test"])
    item = prepared.items("test")[1]
    samples, rate = soundfile.read(item.path, dtype="float32")
    assert rate == SAMPLE_RATE and item.kind == "audio"
    assert np.abs(samples - make_sound("test", 1).signal).max() < 1e-4
    assert sound_scenes.read_sounds(tmp_path)[item.id] == make_sound("test", 1).contents


def test_bad_input(tmp_path):
    with pytest.raises(ValueError, match="split must be one of train, dev, test"):
        make_scene("val", 0)
    with pytest.raises(ValueError, match="counts must be of train, dev, test"):
        write_scenes(tmp_path, {"val": 1})
    with pytest.raises(ValueError, match="at least 0"):
        write_sounds(tmp_path, {"train": -1})
    for options in ({"size": 8}, {"two": 2}, {"seed": -1}, {"held_out": ("size", "shape")}):
        with pytest.raises(ValueError):
            SceneOptions(**options)
    for options in ({"seconds": 1}, {"two": -1}, {"floor": -1}, {"share": 0.7}):
        with pytest.raises(ValueError):
            SoundOptions(**options)
    with pytest.raises(FileNotFoundError, match="simulate the set first"):
        scenes.read_scenes(tmp_path)
