"""Real recordings of AMI through preparation, features and decoding, as a user's manifest."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest

from gatedrnn.data.dataset import speech_dataset
from gatedrnn.data.tables import read_csv
from gatedrnn.tasks.asr.corpora import prepare_corpus
from tests.data.corpora import real_data
from tests.tasks.asr.tiny import hparams


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Lists of a few utterances of two meetings, and of one that is not trained on."""
    folder = tmp_path_factory.mktemp("clips")
    rows = defaultdict(list)
    for line in real_data("ami", "audio", "ref.stm").read_text().splitlines():
        clip, _, speaker, start, stop, *words = line.split()
        audio = real_data("ami", "audio", f"{clip}.flac")
        row = {"audio": str(audio), "speaker": speaker, "text": " ".join(words).upper()}
        rows[clip].append(row | {"start": float(start), "stop": min(float(stop), 29.9)})
    # The meeting with most to say is not trained on.
    test, dev, *train = sorted(rows, key=lambda clip: (-len(rows[clip]), clip))
    sets = {"train": sum((rows[c] for c in train), []), "dev": rows[dev], "test": rows[test]}
    for name, found in sets.items():
        lines = [json.dumps(r) + "\n" for r in found if r["start"] + 0.5 < r["stop"]][:8]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    train, dev, test = (folder / f"{name}.jsonl" for name in sets)
    return prepare_corpus(
        "manifest", None, folder / "prepared", train=train, dev=dev, test=test
    ).files


@pytest.mark.parametrize("head", ["ctc", "transducer"])
def test_real_clips_are_prepared_and_decoded(tmp_path, prepared, head):
    from gatedrnn.tasks.asr.train import RecogniserTraining

    figures = RecogniserTraining(
        hparams(tmp_path, epochs=1, head=head, beam_size=2, factor=12, max_batch_seconds=40.0),
        {"device": "cpu", "noprogressbar": True},
        {name: speech_dataset(prepared[name], rate=16_000) for name in ("train", "dev", "test")},
    ).run()
    wanted = [row.id for row in read_csv(prepared["test"])]
    assert figures["test"]["utterances"] == len(wanted) >= 3
    assert figures["test"]["words"] == sum(len(r.words.split()) for r in read_csv(prepared["test"]))
    records = [json.loads(line) for line in (tmp_path / "nbest_test.jsonl").open()]
    assert sorted(r["id"] for r in records) == sorted(wanted)
    assert all(r["hyps"] and r["ref"] for r in records)
    report = (tmp_path / "wer_test.txt").read_text()
    assert all(name in report for name in wanted)
