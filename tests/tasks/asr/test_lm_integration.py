"""A language model beside a recogniser: in its bundle, in Python, and on the command line."""

from __future__ import annotations

import json
import shutil
import stat
from dataclasses import replace

import pytest
import soundfile
import torch

from gatedrnn.cli.main import main
from gatedrnn.tasks.asr.apply import Recognizer
from gatedrnn.tasks.asr.bundle import RecognizerConfig, read_bundle, write_bundle
from gatedrnn.tasks.asr.decode import SearchOptions, search
from gatedrnn.tasks.asr.language_model import Fusion, internal_log_probs
from gatedrnn.tasks.asr.streaming import Streamer
from gatedrnn.tasks.language_modeling.bundle import (
    LanguageModel,
    LanguageModelConfig,
    TextModelSpec,
    write_language_model,
)
from gatedrnn.tasks.language_modeling.prefix_scores import score_texts
from gatedrnn.tasks.language_modeling.rescoring import (
    LM_WEIGHTS_FILE,
    LMWeights,
    read_lm_weights,
    write_lm_weights,
)
from gatedrnn.tokens import Characters, Words
from gatedrnn.tokens.hypotheses import distinct
from tests.tasks.asr import models
from tests.tasks.asr.test_bundle import HEADS

SIGNALS = [models.signal(1.0), models.signal(0.4, seed=1)]
FUSED = SearchOptions(6, lm_mode="fusion", lm_weight=1.5, lm_insertion=1.0)
RESCORED = replace(FUSED, lm_mode="rescoring")


def language_model(tokens=None, **changes) -> LanguageModel:
    tokens = tokens or Characters.learn(["ABCD EFGH", "AH"], "<eos>")
    spec = TextModelSpec(len(tokens), {"hidden_size": 8, "num_layers": 1}, **changes)
    torch.manual_seed(3)
    model = spec.build().eval().requires_grad_(False)
    for weight in model.parameters():
        weight.uniform_(-1.5, 1.5)
    return LanguageModel(LanguageModelConfig(spec), tokens, model)


def with_model(options=FUSED, described=None, **kwargs):
    made = models.bundle(described or models.spec())
    return made.with_language_model(language_model(**kwargs), options)


def write(folder, made):
    write_bundle(
        folder,
        made.config,
        made.tokens,
        made.model,
        made.frontend.statistics,
        language_model=made.language_model,
    )
    return folder


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "bundle", with_model())


# ---- what it does ---------------------------------------------------------------------------


def test_fusion_is_that_of_the_search():
    made = with_model()
    recogniser = Recognizer(made)
    scores = recogniser.score(SIGNALS)
    found = made.language_model
    fusion = Fusion(found.model, found.tokens, made.tokens, FUSED.lm_weights)
    wanted = search(made.model, scores, FUSED, fusion)
    plain = Recognizer(made.without_language_model()).recognize(SIGNALS, SearchOptions(6, n_best=4))
    for reading, hypotheses, other in zip(
        recogniser.recognize(SIGNALS, replace(FUSED, n_best=4)), wanted, plain, strict=True
    ):
        best = distinct(hypotheses, made.tokens)
        assert reading.n_best == tuple((made.tokens.decode(h.tokens), h.score) for h in best[:4])
        assert reading.n_best != other.n_best and reading.words


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("internal", [0.0, 0.4])
def test_rescoring_is_that_of_lists(head, internal):
    if head == "ctc" and internal:
        pytest.skip("head ctc has no internal language model of its own")
    described = models.spec(head=head, head_options=HEADS[head])
    options = SearchOptions(6, None, -8.0, "rescoring", 0.8, 0.5, internal)
    made = with_model(options, described)
    recogniser = Recognizer(made)
    scores = recogniser.score(SIGNALS)
    for reading, found in zip(
        recogniser.recognize(SIGNALS), search(made.model, scores, SearchOptions(6)), strict=True
    ):
        heard = distinct(found, made.tokens)
        texts = [made.tokens.decode(h.tokens) for h in heard]
        lm = made.language_model
        linguistic = score_texts(lm.model, lm.tokens, texts).log_probs.tolist()
        inner = [0.0] * len(texts)
        if internal:
            inner = internal_log_probs(made.model, [h.tokens for h in heard]).tolist()
        wanted = {
            t: h.score + 0.8 * v + 0.5 * len(t.split()) - internal * i
            for t, h, v, i in zip(texts, heard, linguistic, inner, strict=True)
        }
        assert dict(reading.n_best) == pytest.approx(wanted, abs=1e-4)
        assert reading.text == max(wanted, key=wanted.get)


@pytest.mark.parametrize("use", [FUSED, RESCORED], ids=lambda use: use.lm_mode)
def test_a_stream_ends_where_the_whole_signal_does(use):
    recogniser = Recognizer(with_model(use))
    (wanted,) = recogniser.recognize(SIGNALS[:1], replace(use, n_best=4))
    assert Streamer(recogniser).options.beam_size == 6
    streamer = Streamer(recogniser, replace(use, n_best=4))
    for piece in SIGNALS[0].split(1000):
        streamer.accept(piece)
    found = streamer.finish()
    assert found.text == wanted.text
    # The tests' models magnify differences of rounding forty times.
    assert dict(found.n_best) == pytest.approx(dict(wanted.n_best), abs=5e-3)
    with pytest.raises(ValueError, match="beam_size of at least 2.*--no-lm"):
        Streamer(recogniser, replace(use, beam_size=1))


def test_what_cannot_be_streamed():
    described = models.spec(head="transducer", head_options=HEADS["transducer"])
    with pytest.raises(ValueError, match="only head ctc streams with one.*--no-lm"):
        Streamer(Recognizer(with_model(RESCORED, described)))
    with pytest.raises(ValueError, match="beam_size of at least 2, not 1; --no-lm"):
        Recognizer(with_model()).recognize(SIGNALS, replace(FUSED, beam_size=1))


@pytest.mark.parametrize(
    ("options", "head", "wanted"),
    [
        (FUSED, "attention", "fusion is for head ctc; for attention use mode rescoring"),
        (replace(FUSED, beam_size=1), "ctc", "beam_size of at least 2, not 1"),
        (replace(FUSED, lm_internal=0.2), "ctc", "--internal 0"),
        (replace(RESCORED, lm_internal=0.2), "ctc", "--internal 0"),
    ],
)
def test_what_does_not_go_together(options, head, wanted):
    with pytest.raises(ValueError, match=wanted):
        with_model(options, models.spec(head=head, head_options=HEADS[head]))


# ---- in a bundle ----------------------------------------------------------------------------


@pytest.mark.parametrize("use", [FUSED, RESCORED], ids=lambda use: use.lm_mode)
def test_there_and_back(tmp_path, use):
    made = with_model(use)
    folder = write(tmp_path / "bundle", made)
    found = read_bundle(folder)
    assert found.config.search == use and found.config.search.beam_size == 6
    assert found.language_model.tokens.names == made.language_model.tokens.names
    assert json.loads((folder / "config.json").read_text())["version"] == 2
    assert stat.S_IMODE((folder / "lm").stat().st_mode) & 0o500 == 0o500
    wanted = Recognizer(made).recognize(SIGNALS)
    assert Recognizer(found).recognize(SIGNALS) == wanted
    # Written over itself, with and without.
    write_bundle(folder, found.without_language_model().config, found.tokens, found.model,
                 found.frontend.statistics, overwrite=True)  # fmt: skip
    plain = read_bundle(folder)
    assert plain.language_model is None and not (folder / "lm").exists()
    # As bundles were before there were language models in them.
    data = json.loads((folder / "config.json").read_text())
    assert data["version"] == 1 and "language_model" not in data


def test_half_of_it_is_not_written(tmp_path):
    made = with_model()
    with pytest.raises(ValueError, match="go together"):
        write_bundle(tmp_path / "b", made.config, made.tokens, made.model)
    assert not (tmp_path / "b").exists()


def refused(folder, wanted):
    with pytest.raises((ValueError, FileNotFoundError), match=wanted) as caught:
        read_bundle(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"mode": "magic"}, "mode must be fusion or rescoring"),
        ({"mode": None}, "mode must be fusion or rescoring"),
        ({"folder": "../lm"}, "folder must be 'lm'"),
        ({"folder": None}, "folder must be 'lm'"),
        ({"weight": -1.0}, "weight must be at least 0"),
        ({"weight": "1"}, "weight must be a finite number"),
        ({"weight": float("nan")}, "weight must be a finite number"),
        ({"insertion": float("inf")}, "insertion must be a finite number"),
        ({"insertion": True}, "insertion must be a finite number"),
        ({"internal": 0.3}, "--internal 0"),
        ({"url": "http://example.org"}, "unknown key 'url'"),
    ],
)
def test_config(folder, changes, wanted):
    path = folder / "config.json"
    data = json.loads(path.read_text())
    data["language_model"].update(changes)
    path.write_text(json.dumps(data))
    refused(folder, f"language_model: .*{wanted}")


@pytest.mark.parametrize(
    ("edit", "wanted"),
    [
        (lambda d: d["search"].update(beam_size=1), "language_model: .*beam_size of at least 2"),
        (lambda d: d.update(language_model=[]), "language_model: .*object"),
        (lambda d: d.update(version=3), "version 3 is newer"),
    ],
)
def test_the_rest_of_the_config(folder, edit, wanted):
    path = folder / "config.json"
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))
    refused(folder, wanted)


def test_broken_language_models(folder, tmp_path):
    whole = tmp_path / "whole"
    shutil.copytree(folder, whole)

    def again():
        shutil.rmtree(folder)
        shutil.copytree(whole, folder)

    shutil.rmtree(folder / "lm")
    refused(folder, "lm: no such bundle")
    again()
    (folder / "lm" / "model.safetensors").unlink()
    refused(folder, "lm/model.safetensors: this file of the bundle is missing")
    again()
    path = folder / "lm" / "tokens.json"
    path.write_text(path.read_text().replace("A", "B"))
    refused(folder, "lm/tokens.json is not the file that config.json lists")
    again()
    shutil.copy(folder / "config.json", folder / "lm" / "config.json")
    refused(folder, "lm/config.json: format must be 'gatedrnn-language-model'")
    for found, wanted in (
        (language_model(line_ends=False), "lm: .*without ends of lines"),
        (language_model(Words.learn(["abc d"], "<eos>")), "lm: .*no letter.*another case"),
    ):
        shutil.rmtree(folder / "lm")
        write_language_model(folder / "lm", found.config, found.tokens, found.model)
        refused(folder, wanted)


# ---- on the command line --------------------------------------------------------------------


@pytest.fixture
def sound(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, SIGNALS[0].numpy(), 16000, subtype="FLOAT")
    return path


def said(capsys, *arguments) -> str:
    assert main(["transcribe", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def failed(capsys, *arguments, command="transcribe") -> str:
    assert main([command, *map(str, arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"gatedrnn {command}: error: ") and error.count("\n") == 1
    return error


def test_transcribe(folder, sound, tmp_path, capsys):
    def read(made):
        return f"a\t{Recognizer(made).recognize(SIGNALS[:1])[0].text}\n"

    found = read_bundle(folder)
    fused, plain = read(found), read(found.without_language_model())
    assert fused != plain
    assert said(capsys, folder, sound) == said(capsys, folder, sound, "--stream") == fused
    assert said(capsys, folder, sound, "--no-lm") == plain
    other = found.with_language_model(
        found.language_model, SearchOptions(6, lm_mode="fusion", lm_weight=0.1)
    )
    assert said(capsys, folder, sound, "--lm-weight", 0.1, "--lm-insertion", 0) == read(other)
    rescored = found.with_language_model(found.language_model, replace(RESCORED, beam_size=9))
    options = ["--lm-mode", "rescoring", "--beam-size", 9]
    assert said(capsys, folder, sound, *options) == read(rescored)
    # A language model for a bundle that has none.
    bare = write(tmp_path / "bare", models.bundle(models.spec()))
    lm = ["--lm", folder / "lm", "--beam-size", 6]
    assert said(capsys, bare, sound, *lm, "--lm-weight", 1.5, "--lm-insertion", 1) == fused
    write_lm_weights(tmp_path / LM_WEIGHTS_FILE, LMWeights(1.5, 1.0))
    assert said(capsys, bare, sound, *lm, "--lm-setting", tmp_path) == fused
    for arguments, wanted in (
        ([folder, sound, "--no-lm", *lm], "contradict"),
        ([folder, sound, "--beam-size", 1], "beam_size of at least 2"),
        ([bare, sound, "--lm-weight", 1], "--lm-weight is for a language model: name it by --lm"),
        ([bare, sound, *lm], "--lm needs --lm-weight"),
        ([bare, sound, *lm, "--lm-weight", -1], "weight must be at least 0"),
        ([bare, sound, *lm[:2], "--lm-weight", 1], "beam_size of at least 2"),
        ([bare, sound, "--lm", tmp_path / "no", "--lm-weight", 1], "no such bundle"),
        ([bare, sound, *lm, "--lm-setting", tmp_path / "no"], "no such file"),
        ([bare, sound, *lm, "--lm-setting", tmp_path, "--lm-weight", 1], "leave out the other"),
    ):
        assert wanted in failed(capsys, *arguments)


def test_settings_that_are_broken(tmp_path):
    path = tmp_path / LM_WEIGHTS_FILE
    for content in ("{", "[]", '{"weight": "x"}', '{"weight": NaN}', '{"size": 1}'):
        path.write_text(content)
        with pytest.raises(ValueError, match="does not hold a language model's weight") as caught:
            read_lm_weights(tmp_path)
        assert str(path) in str(caught.value)


def test_old_configs_are_read():
    described = models.spec()
    data = RecognizerConfig(described).to_dict()
    assert data["version"] == 1 and "language_model" not in data
