"""Simulated scenes and sounds: seeds, captions that are true, combinations that are held out."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pytest
import soundfile

from gatedrnn.simulation.captioned import divide
from gatedrnn.simulation.scenes import (
    COLOURS,
    SAMPLE_RATE,
    SHAPES,
    Event,
    Scene,
    Scenes,
    Sound,
    Sounds,
    Thing,
    draw,
)
from gatedrnn.tasks.captioning.corpora.items import read_image
from gatedrnn.tasks.captioning.corpora.prepare import prepare_captions
from gatedrnn.tokens import Vocabulary

SPLITS = ("train", "dev", "test")
#: Contents of five items of a seed, as the first version wrote them.
DIGESTS = {
    "scenes/contents.jsonl": "8252aede35883965c6ac184015710411",
    "sounds/contents.jsonl": "1b2dded7eb76cf265741a546dd60c889",
}


# ---- combinations ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("values", "names"),
    [
        (Thing.ATTRIBUTES, ("count", "colour", "shape")),
        (Thing.ATTRIBUTES, ("colour", "shape")),
        (Thing.ATTRIBUTES, ("count", "shape")),
        (Event.ATTRIBUTES, ("count", "loudness", "kind")),
        (Event.ATTRIBUTES, ("loudness", "kind")),
    ],
)
def test_splits_share_no_combination_but_train_has_every_value(values, names, seed):
    splits = divide(values, names, seed=seed)
    total = int(np.prod([len(values[name]) for name in names]))
    assert sum(map(len, splits.values())) == len(set.union(*splits.values())) == total
    assert len(splits["dev"]) == len(splits["test"]) >= 1
    for i, name in enumerate(names):
        for value in values[name]:
            with_it = [c for c in splits["train"] if c[i] == value]
            assert 2 * len(with_it) >= total / len(values[name])


def test_bad_combinations():
    for names in (["count"], ["count", "size"], ["count", "count"]):
        with pytest.raises(ValueError, match="at least two of count, colour, shape"):
            divide(Thing.ATTRIBUTES, names)
    for share in (0.0, 0.6, 0.001):
        with pytest.raises(ValueError, match="must leave at least one each"):
            divide(Thing.ATTRIBUTES, ["colour", "shape"], share)


@pytest.mark.parametrize(
    ("sample", "groups", "key"),
    [(Scenes().sample, "things", "colour"), (Sounds().sample, "events", "loudness")],
    ids=["scenes", "sounds"],
)
def test_no_combination_of_the_test_set_occurs_in_training(sample, groups, key):
    names = ("count", key, "shape" if key == "colour" else "kind")
    combinations = {
        split: {
            group.combination(names)
            for number in range(150)
            for group in getattr(sample(split, number).contents, groups)
        }
        for split in SPLITS
    }
    assert (
        not combinations["train"] & combinations["test"]
        and not combinations["train"] & combinations["dev"]
    )
    assert not combinations["dev"] & combinations["test"]
    for place in range(3):
        values = [{c[place] for c in combinations[split]} for split in SPLITS]
        assert values[1] <= values[0] and values[2] <= values[0]


def test_harder_split_shows_no_pair_of_colour_and_shape_in_training():
    scenes = Scenes(held_out=("colour", "shape"))
    train, test = (
        {(t.colour, t.shape) for n in range(100) for t in scenes.sample(s, n).contents.things}
        for s in ("train", "test")
    )
    assert len(test) == 3 and len(train) > 12 and not train & test


# ---- captions -------------------------------------------------------------------------------


@pytest.mark.parametrize("items", [Scenes(), Sounds()], ids=["scenes", "sounds"])
def test_five_different_true_captions(items):
    for split in SPLITS:
        for number in range(60):
            item = items.sample(split, number)
            every = item.contents.captions()
            assert len(set(every)) == len(every) >= 6
            assert len(set(item.references)) == 5 and set(item.references) <= set(every)
            for caption in every:
                assert re.fullmatch("[a-z]+( [a-z]+)*", caption)
                assert len(caption.split()) <= 16


def test_grammar():
    single = Scene((Thing(1, "red", "square"),), "top left").captions()
    assert "there is a red box in the top left" in single
    assert "in the top left is one red square" in single and len(single) == 24
    many = Scene((Thing(3, "white", "cross"), Thing(1, "blue", "circle")), "above").captions()
    assert "there are three white pluses over a blue disc" in many
    assert "there is one blue circle under three white crosses" in many
    assert not any("above" in c for c in many if c.index("blue") < c.index("white"))
    two = Sound((Event(2, "loud", "noise"), Event(1, "soft", "click"))).captions()
    assert "first two loud hisses then a soft tick" in two
    assert "a soft click after two loud bursts of noise" in two
    assert "two loud hisses after a soft tick" not in two


def test_different_contents_have_no_caption_in_common():
    for items in (Scenes(), Sounds()):
        seen: dict[str, object] = {}
        for number in range(80):
            contents = items.sample("train", number).contents
            for caption in contents.captions():
                first = seen.setdefault(caption, contents)
                assert set(first.captions()) == set(contents.captions())


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
        item = Scenes(noise=0.01).sample(SPLITS[number % 3], number)
        scene = item.contents
        if len({thing.colour for thing in scene.things}) < len(scene.things):
            continue
        middles = [things_in(item.signal, thing.colour) for thing in scene.things]
        assert [len(points) for points in middles] == [thing.count for thing in scene.things]
        rows, columns = ([[m[axis] for m in points] for points in middles] for axis in (0, 1))
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
        # Of two relations that both might be stated only one is true.
        assert max(across[0]) + 15 > min(across[1]) and max(across[1]) + 15 > min(across[0])


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape):
    pixels = draw([Thing(1, "white", shape)], "middle", 256, 0.0, np.random.default_rng(3))
    inside = pixels.min(-1) > 180
    rows, columns = np.nonzero(inside)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    filled = inside.sum() / (height * width)
    assert filled == pytest.approx(
        {"circle": np.pi / 4, "square": 1.0, "triangle": 0.5, "cross": 0.564}[shape], abs=0.03
    )


def test_same_seed_same_bytes():
    for number in (0, 7):
        first, again = (Scenes().sample("dev", number).signal for _ in range(2))
        assert (first == again).all()
        assert (
            Sounds().sample("dev", number).signal == Sounds().sample("dev", number).signal
        ).all()
    contents = Scenes().sample("dev", 0).contents
    assert Scenes(seed=1).sample("dev", 0).contents != contents
    assert Scenes().sample("dev", 1).contents != contents
    assert Scenes(size=96).sample("train", 3).signal.shape == (96, 96, 3)


def test_output_of_a_seed_never_changes(tmp_path):
    """Trained captioners and published tables depend on these files."""
    scenes = Scenes(seed=3, held_out=("colour", "shape"))
    for items, folder in ((scenes, "scenes"), (Sounds(seed=2), "sounds")):
        items.write(tmp_path / folder, {"train": 3, "test": 2})
    digests = {
        str(path.relative_to(tmp_path)): hashlib.md5(path.read_bytes()).hexdigest()
        for path in tmp_path.rglob("contents.jsonl")
    }
    assert digests == DIGESTS


# ---- sounds ---------------------------------------------------------------------------------


def events_in(samples: np.ndarray) -> list[np.ndarray]:
    """Segments of sound between which there are 50 ms of silence."""
    frame = SAMPLE_RATE // 200
    loud = np.sqrt((samples[: len(samples) // frame * frame].reshape(-1, frame) ** 2).mean(1))
    active = np.flatnonzero(loud > 0.004)
    groups = np.split(active, np.flatnonzero(np.diff(active) > 10) + 1)
    return [samples[g[0] * frame : (g[-1] + 1) * frame] for g in groups if len(g)]


def test_sounds_have_the_events_of_their_scenes():
    for number in range(90):
        item = Sounds().sample(SPLITS[number % 3], number)
        events = [event for event in item.contents.events for _ in range(event.count)]
        segments = events_in(item.signal)
        assert len(segments) == len(events)
        for samples, event in zip(segments, events, strict=True):
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
    path = Scenes().write(tmp_path / "scenes", {"train": 40, "dev": 4, "test": 4})
    prepared = prepare_captions("manifest", path, tmp_path / "out")
    assert {s: len(prepared.items(s)) for s in prepared.files} == {
        "train": 40, "dev": 4, "test": 4
    }  # fmt: skip
    assert not prepared.findings()["issues"]
    item = prepared.items("test")[2]
    sample = Scenes().sample("test", 2)
    assert item.references == sample.references and (read_image(item.path) == sample.signal).all()
    assert Scenes.read_contents(tmp_path / "scenes")[item.id] == sample.contents
    words = Vocabulary.learn(c for i in prepared.items("train") for c in i.references)
    assert {"red", "left", "two", "triangle"} <= set(words.names)
    # Done once; again where a file is gone.
    before = path.stat().st_mtime_ns
    counts = {"train": 40, "dev": 4, "test": 4}
    assert Scenes().write(tmp_path / "scenes", counts).stat().st_mtime_ns == before
    item.file.unlink()
    Scenes().write(tmp_path / "scenes", counts)
    assert item.file.is_file()
    (tmp_path / "scenes").rename(tmp_path / "moved")
    moved = prepare_captions("manifest", tmp_path / "moved" / path.name, tmp_path / "out")
    assert len(moved.items("train")) == 40


def test_sounds_as_a_recipe_prepares_them(tmp_path):
    path = Sounds().write(tmp_path, {"train": 3, "test": 2})
    prepared = prepare_captions("manifest", path, tmp_path / "out", splits=["train", "test"])
    item = prepared.items("test")[1]
    samples, rate = soundfile.read(item.path, dtype="float32")
    assert rate == SAMPLE_RATE and item.kind == "audio"
    assert np.abs(samples - Sounds().sample("test", 1).signal).max() < 1e-4
    assert Sounds.read_contents(tmp_path)[item.id] == Sounds().sample("test", 1).contents


def test_bad_input(tmp_path):
    with pytest.raises(ValueError, match="split must be one of train, dev, test"):
        Scenes().sample("val", 0)
    with pytest.raises(ValueError, match="counts must be of train, dev, test"):
        Scenes().write(tmp_path, {"val": 1})
    with pytest.raises(ValueError, match="at least 0"):
        Sounds().write(tmp_path, {"train": -1})
    for options in ({"size": 8}, {"two": 2}, {"seed": -1}, {"held_out": ("size", "shape")}):
        with pytest.raises(ValueError):
            Scenes(**options)
    for options in ({"seconds": 1}, {"two": -1}, {"floor": -1}, {"share": 0.7}):
        with pytest.raises(ValueError):
            Sounds(**options)
    with pytest.raises(FileNotFoundError, match="simulate the set first"):
        Scenes.read_contents(tmp_path)


@pytest.mark.parametrize(
    ("items", "sizes"),
    [
        (Scenes(), {"train": 54, "dev": 9, "test": 9}),
        (Sounds(), {"train": 28, "dev": 4, "test": 4}),
    ],
    ids=["scenes", "sounds"],
)
def test_sizes_of_the_splits(items, sizes):
    assert {split: len(found) for split, found in items.combinations().items()} == sizes


def test_phrases_agree_in_number():
    assert Thing(1, "red", "square").phrases() == [
        "a red square", "a red box", "one red square", "one red box",
    ]  # fmt: skip
    assert Thing(2, "red", "square").phrases() == ["two red squares", "two red boxes"]
