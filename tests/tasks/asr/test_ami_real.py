"""The complete real annotations of AMI against published counts, and its real recordings."""

from __future__ import annotations

import gzip
import json
import tarfile
from collections import Counter, defaultdict
from pathlib import Path

import pytest
import soundfile

from gatedrnn.data.dataset import speech_dataset
from gatedrnn.data.preparation import Prepared
from gatedrnn.data.tables import read_csv
from gatedrnn.tasks.asr.corpora.ami.meetings import find_partition
from gatedrnn.tasks.asr.corpora.ami.prepare import AmiOptions, prepare_ami
from tests.data.corpora import real_data


@pytest.fixture(scope="session")
def annotations(tmp_path_factory) -> Path:
    """The real annotations, unpacked once."""
    archive = real_data("ami", "nxt_words_segments_1.6.2.tar.xz")
    folder = tmp_path_factory.mktemp("ami")
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    return folder


def counts(prepared: Prepared, what: str) -> dict[str, int]:
    splits = prepared.findings()["statistics"]["splits"]
    return {split: statistics[what] for split, statistics in splits.items()}


def test_unsplit(annotations, tmp_path):
    found = prepare_ami(annotations, tmp_path)
    assert counts(found, "utterances") == {"train": 66_784, "dev": 8_665, "eval": 7_490}
    assert counts(found, "words") == {"train": 794_657, "dev": 95_164, "eval": 89_641}
    assert counts(found, "speakers") == {"train": 152, "dev": 21, "eval": 16}
    findings = found.findings()
    assert all(check["holds"] for check in findings["checks"])
    # The counts of an independent converter: 4 words without times, 11 that end before they start.
    issues = {kind: issue["count"] for kind, issue in findings["issues"].items()}
    assert issues["word-untimed"] == 4
    assert issues["word-negative"] == 11
    assert issues["word-transform-error"] == 30
    assert "xml-broken" not in issues
    assert (tmp_path / "eval.txt").read_text().count("\n") == 7_490
    compare_with_language_model_text(found)


def compare_with_language_model_text(found: Prepared) -> None:
    """The texts that somebody else made of the same annotations are the same."""
    for split, path in found.files.items():
        ours = Counter(row.words for row in read_csv(path))
        theirs: Counter[str] = Counter()
        with gzip.open(real_data("ami", "lm_text", f"{split}.tsv.gz"), "rt") as lines:
            for line in lines:
                place, _, text = line.rstrip("\n").partition("\t")
                # They train on the meeting that shares speakers with dev.
                if not place.startswith("IB4005"):
                    theirs[text] += 1
        only_ours, only_theirs = ours - theirs, theirs - ours
        # Twelve times a word has punctuation inside of it ("that.you"), which parts words here and
        # joins them there.
        assert only_ours.total() == only_theirs.total() == (12 if split == "train" else 0)
        joined = [Counter(t.replace(" ", "") for t in x) for x in (only_ours, only_theirs)]
        assert joined[0] == joined[1]


def test_words30(annotations, tmp_path):
    options = AmiOptions(segmentation="words30", normalize="kaldi")
    found = prepare_ami(annotations, tmp_path, options=options)
    for split, published in (("train", 103_377), ("dev", 12_614), ("eval", 12_121)):
        assert counts(found, "utterances")[split] == pytest.approx(published, rel=0.03)
    # sclite counts 94.8 to 94.9 and 89.6 to 90.0 thousand with Kaldi's text normalization.
    assert counts(found, "words") == {"train": 796_685, "dev": 94_954, "eval": 89_675}
    assert all(check["holds"] for check in found.findings()["checks"])


def test_real_recordings(annotations, tmp_path):
    """The first 30 seconds of ten meetings, under the names of the corpus."""
    texts: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for line in real_data("ami", "audio", "ref.stm").read_text().splitlines():
        clip, _, speaker, start, _, *words = line.split()
        texts[f"{clip.split('_')[1]} {speaker}"].append((float(start), " ".join(words)))
    audio = tmp_path / "audio"
    audio.mkdir()
    for clip in real_data("ami", "audio").glob("trn*.flac"):
        samples, rate = soundfile.read(clip, dtype="int16")
        soundfile.write(audio / f"{clip.name.split('_')[1]}.Array1-01.wav", samples, rate)
    meetings = sorted(path.name.split(".")[0] for path in audio.iterdir())
    partition = tmp_path / "clips.json"
    partition.write_text(json.dumps({"train": meetings[:8], "dev": meetings[8:], "eval": []}))
    assert set(meetings) <= set(find_partition("full-corpus-asr").meetings)
    found = prepare_ami(annotations, tmp_path / "out", audio, AmiOptions(partition=str(partition)))
    assert found.findings()["issues"]["past-the-end"]["count"] > 1000
    rows = [row for split in ("train", "dev") for row in read_csv(found.files[split])]
    known = 0
    for row in rows:
        told = texts[f"{Path(row.wav).name.split('.')[0]} {row.speaker}"]
        text = [words for begin, words in told if abs(begin - row.start / 16_000) < 0.02]
        known += len(text)
        if text and row.stop < 480_000:
            assert text == [row.words]
        elif text:
            # Where the clip ends, the reference keeps fewer of the words that are cut.
            assert row.words.startswith(text[0])
            assert len(row.words.split()) <= len(text[0].split()) + 1
    assert known == sum(map(len, texts.values())) == 61
    assert len(rows) <= 63
    dataset = speech_dataset(found.files["dev"], rate=16_000)
    item = dataset[0]
    assert len(item["sig"]) == round(item["duration"] * 16_000)
    assert float(item["sig"].abs().max()) > 0.001
