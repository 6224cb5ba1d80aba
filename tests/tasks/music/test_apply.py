"""Use of music models: likelihood, continuations, bundles, and the commands."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from gatedrnn.bundle.kind import export
from gatedrnn.cli.main import main
from gatedrnn.data.report import Report
from gatedrnn.tasks.music.apply import continuation, evaluate, notes_of, read_pieces
from gatedrnn.tasks.music.bundle import (
    BUNDLE_KINDS,
    MusicBundle,
    MusicConfig,
    MusicSpec,
    load_music_model,
)
from gatedrnn.tasks.music.decode import continue_piece, frame_losses
from tests.tasks.music.tiny import train

PIECE = [[60, 64, 67], [60, 64, 67], [], [62]]


def tiny_model(first_frame: bool = False) -> MusicBundle:
    torch.manual_seed(5)
    options = {"network": "ran", "hidden_size": 6, "num_layers": 1}
    config = MusicConfig(MusicSpec(88, options, first_frame))
    return MusicBundle(config, config.model.build().eval())


@pytest.mark.parametrize("first_frame", [False, True])
def test_losses_are_those_of_each_frame_given_the_ones_before(first_frame):
    model = tiny_model().model
    roll = (torch.rand(6, 88, generator=torch.Generator().manual_seed(1)) < 0.1).float()
    losses = frame_losses(model, roll, first_frame)
    before = torch.cat([torch.zeros(1, 88), roll]) if first_frame else roll
    expected = []
    for time in range(1, len(before)):
        scores, _ = model(before[None, :time])
        chances = scores[0, -1].sigmoid()
        target = before[time]
        expected.append(-(target * chances + (1 - target) * (1 - chances)).log().sum())
    assert losses.tolist() == pytest.approx(torch.stack(expected).tolist(), rel=1e-4)


def test_a_continuation_depends_on_its_seed_and_temperature():
    model = tiny_model().model
    start = torch.zeros(3, 88)
    first, again = (continue_piece(model, start, 8, seed=1) for _ in range(2))
    assert torch.equal(first, again) and first.shape == (8, 88) and first.dtype == torch.uint8
    assert not torch.equal(first, continue_piece(model, start, 8, seed=2))
    greedy = [continue_piece(model, start, 8, temperature=0, seed=seed) for seed in (1, 2)]
    assert torch.equal(*greedy)
    scores, _ = model(start[None])
    assert torch.equal(greedy[0][0].bool(), scores[0, -1] > 0)
    with pytest.raises(ValueError, match="temperature must be at least 0, not -1"):
        continue_piece(model, start, 8, temperature=-1)
    with pytest.raises(ValueError, match="needs at least one frame"):
        continue_piece(model, start[:0], 8)


def test_sampled_keys_have_the_probabilities_of_the_model():
    model = tiny_model().model
    start = torch.zeros(1, 88)
    chances = model(start[None])[0][0, -1].sigmoid()
    frames = [continue_piece(model, start, 1, seed=seed)[0].float() for seed in range(400)]
    deviation = (torch.stack(frames).mean(0) - chances).abs().max()
    assert deviation < 5 * 0.5 / 400**0.5


@pytest.mark.parametrize("first_frame", [False, True])
def test_a_training_is_exported_and_evaluates_as_in_its_test(tmp_path, first_frame):
    metrics = train(tmp_path / "run", first_frame=first_frame)
    description = json.loads((tmp_path / "run" / "model.json").read_text())
    assert description["task"] == "music" and description["valid_metric"] == "NLL"
    _, written = export(tmp_path / "run", tmp_path / "bundle", BUNDLE_KINDS)
    assert written.config.training["sets"].keys() == {"valid", "test"}
    assert "gatedrnn evaluate-music" in (tmp_path / "bundle" / "README.md").read_text()
    parts = read_pieces(tmp_path / "run" / "data" / "music.json", Report("chords"))
    for folder in ("run", "bundle"):
        model = load_music_model(tmp_path / folder)
        for part in ("valid", "test"):
            result = evaluate(model, parts[part])
            assert result["NLL"] == pytest.approx(metrics[part]["NLL"], rel=1e-5)
            assert result["frames"] == metrics[part]["frames"]
            assert result["pieces"] == metrics[part]["pieces"]


def test_a_single_piece_as_json(tmp_path):
    path = tmp_path / "piece.json"
    path.write_text(json.dumps(PIECE))
    ((name, roll),) = read_pieces(path, Report("piece"))["piece"].items()
    assert name == "piece.json" and notes_of(roll) == PIECE
    whole = continuation(tiny_model(), roll, 3, seed=4)
    assert whole.shape == (7, 88) and np.array_equal(whole[:4], roll)
    with pytest.raises(ValueError, match="nothing is predicted"):
        evaluate(tiny_model(), {"short": roll[:1]})
    path.write_text("[[200]]")
    with pytest.raises(ValueError, match="note 200 is none of a piano's"):
        read_pieces(path, Report("piece"))
    path.write_text("no JSON")
    with pytest.raises(ValueError, match=r"piece\.json is not JSON"):
        read_pieces(path, Report("piece"))


def test_commands(tmp_path, capsys):
    metrics = train(tmp_path / "run")
    corpus = str(tmp_path / "run" / "data" / "music.json")
    capsys.readouterr()
    assert main(["evaluate-music", str(tmp_path / "run"), corpus]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["part", "train", "valid", "test"]
    assert float(rows[3][1]) == pytest.approx(metrics["test"]["NLL"], abs=1e-4)
    output = tmp_path / "out.json"
    command = ["evaluate-music", str(tmp_path / "run"), corpus, "--output", str(output)]
    assert main([*command, "--format", "json"]) == 0
    assert json.loads(output.read_text())["test"]["frames"] == int(rows[3][2])
    command = ["continue-music", str(tmp_path / "run"), corpus, "--piece", "test-001"]
    command += ["--start", "3", "--frames", "5", "--seed", "2"]
    assert main(command) == 0
    frames = json.loads(capsys.readouterr().out)
    original = json.loads((tmp_path / "run" / "data" / "music.json").read_text())["test"][1]
    assert len(frames) == 8 and frames[:3] == original[:3]
    assert all(21 <= note <= 108 for frame in frames for note in frame)
    for wrong, message in (
        (["--piece", "test-9"], "--piece test-9: not in"),
        (["--start", "0"], "--start must be from 1 to"),
        (["--frames", "0"], "--frames must be at least 1"),
    ):
        assert main([*command, *wrong]) == 2
        assert message in capsys.readouterr().err
